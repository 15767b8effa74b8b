"""A process that acts as several boards: it sends their requests, each at the time when it is due.

The times are drawn beforehand and wait for no answer (an open loop). A board has one connection, as
`splitwatt run` has; a frame that is due while the one before it is not answered yet is sent late, and
its latency counts from when it was due. Without that, a server that stalls would be asked less often
just then, and look better than it is ("coordinated omission", Tene; wrk2 counts in the same way).
"""

import base64
import json
import random
import sys
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint, read_token
from splitwatt.profiler.links.process import die_with_parent
from splitwatt.profiler.records.blocks import FIXED

QUEUE = "queue"


class Sent(NamedTuple):
    """A frame: when it was due and sent, seconds from the start; its answer's latency from when it
    was due, None where it failed; how late this process was; the server's time for it.
    """

    due_s: float
    latency_s: Optional[float]
    own_late_s: float
    service_s: Optional[float]


def due_times(board: int, fps: float, arrivals: str, until_s: float, seed: int) -> List[float]:
    """When a board's frames are due: seconds from the start, below `until_s`.

    Arrivals are `fixed` (every 1 / fps s from a random time on) or `poisson` (at random); each
    board has times of its own.
    """
    draw = random.Random("%d/%d" % (seed, board))
    times: List[float] = []
    now_s = draw.uniform(0, 1 / fps) if arrivals == FIXED else draw.expovariate(fps)
    while now_s < until_s:
        times.append(now_s)
        now_s += 1 / fps if arrivals == FIXED else draw.expovariate(fps)
    return times


class _Board(threading.Thread):
    """A board: sends its frames when they are due, over one connection."""

    def __init__(self, number: int, job: Dict[str, Any], frames: Any, endpoint: Endpoint) -> None:
        super().__init__(daemon=True)
        self.sent: List[Sent] = []
        self._due = due_times(number, job["fps"], job["arrivals"], job["until_s"], job["seed"])
        self._until_s = job["until_s"]
        self._give_up_s = job["give_up_s"]
        self._frames, self._at = frames, number
        self._client = Client(endpoint, self._give_up_s, ())
        self.start_s = 0.0

    def connect(self) -> None:
        """Connect to the server, and have it load what the frames need."""
        for model in {model for frame in self._frames for model, _, _ in frame}:
            try:
                self._client.load(model)
            except SplitwattError:  # each of its frames will report that
                return

    def run(self) -> None:
        """Send every frame."""
        with self._client as client:
            free_s = self.start_s
            for due_s in self._due:
                due_at = self.start_s + due_s
                time.sleep(max(0.0, due_at - time.perf_counter()))
                sent_at = time.perf_counter()
                late_s = sent_at - max(due_at, free_s)
                # The rest can only be later still.
                if sent_at > self.start_s + self._until_s + self._give_up_s:
                    self.sent.append(Sent(due_s, None, 0.0, None))
                    continue
                answered_at, service_s = self._ask(client)
                free_s = time.perf_counter()
                latency_s = None if answered_at is None else answered_at - due_at
                self.sent.append(Sent(due_s, latency_s, late_s, service_s))

    def _ask(self, client: Client) -> Tuple[Optional[float], Optional[float]]:
        """When the answers of the next frame were all there, and the server's time for them."""
        self._at += 1
        service_s: Optional[float] = None
        try:
            for model, payload, sizes in self._frames[self._at % len(self._frames)]:
                reply = client.infer(model, payload, sizes)
                own = [value for name, value in reply.stages.items() if name != QUEUE]
                service_s = (service_s or 0.0) + sum(own) if own else service_s
        except SplitwattError:
            return None, None
        return reply.received_s, service_s


def main() -> int:
    """Read the job, connect, say so, read when to start, and write what became of the frames: each a
    line of JSON.
    """
    job = json.loads(sys.stdin.readline())
    die_with_parent(job["parent"])
    token = read_token(job["token_file"])
    endpoint = Endpoint(job["url"], token, job["certificate"], job["fingerprint"])
    frames = [
        [(model, base64.b64decode(payload), sizes) for model, payload, sizes in frame]
        for frame in job["frames"]
    ]
    boards = [_Board(number, job, frames, endpoint) for number in job["boards"]]
    for board in boards:
        board.connect()
    print(json.dumps(True), flush=True)
    start_s = float(json.loads(sys.stdin.readline()))
    for board in boards:
        board.start_s = start_s
        board.start()
    for board in boards:
        board.join()
    json.dump([sent for board in boards for sent in board.sent], sys.stdout, allow_nan=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
