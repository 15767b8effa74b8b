"""The largest number of boards whose frames a server answers in time: from a first guess it is
doubled or halved, then searched in between.
"""

import base64
import json
import math
import os
import subprocess
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ServerError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.profiler.analyse.carried import BATCHES, LATE_SHARE, Service, late_interval
from splitwatt.profiler.analyse.statistics import quantile
from splitwatt.profiler.records.blocks import POISSON, Carried

# Frames that a try should have, so that none late among them is certain to be below 1 %.
_FRAMES = 420
_LEAST_S, _MOST_S = 5.0, 60.0
_BOARDS_A_PROCESS = 32
# The search ends where two numbers of boards differ by less.
_CLOSE = 0.1
_SEED = 1


class Asked(NamedTuple):
    """What `profile --boards` asks for: up to `most` boards, whose frames are due by `poisson` or
    `fixed` arrivals; `deadline_s` is from a frame's being due to its answer.
    """

    most: int
    fps: float
    deadline_s: float
    arrivals: str = POISSON


# Model, bytes in Base64 and sizes of each request of a frame.
Requests = List[Tuple[str, str, List[int]]]


def encoded(bundles: Sequence[Bundle], backend: str, images: Sequence[str]) -> List[Requests]:
    """What a board sends of each image: the requests of a configuration with these bundles."""
    frames: List[Requests] = []
    with EngineStore() as store:
        boards = [(b.manifest.model, BoardPipeline(b, backend, None, store)) for b in bundles]
        for image in images:
            rgb = decode_image(image)
            sent = [(model, board.run(rgb)) for model, board in boards]
            frames.append([(m, _text(r.payload), r.sizes.tolist()) for m, r in sent])
    return frames


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def search(asked: Asked, first: int, measure: Callable[[int], Carried]) -> None:
    """Try numbers of boards, from `first` on, until the most that hold are known to a tenth."""
    holds, breaks = 0, asked.most + 1
    boards = min(max(1, first), asked.most)
    while breaks - holds > max(1, int(_CLOSE * holds)) and holds < asked.most:
        row = measure(boards)
        if row.late <= LATE_SHARE * row.frames:
            holds = boards
        else:
            breaks = boards
        if breaks > asked.most:
            boards = min(2 * boards, asked.most)
        else:
            boards = max(1, (holds + breaks) // 2)


def first_guess(asked: Asked, service: Optional[Service]) -> int:
    """Where to begin: half of what the service times let expect, where they are known."""
    return 1 if service is None else max(1, service.expected(asked.fps, asked.deadline_s) // 2)


def replay(
    asked: Asked, boards: int, frames: List[Requests], server: Dict[str, Any], names: Dict[str, Any]
) -> Carried:
    """Replay the frames of that many boards against the server.

    Args:
        server: `url`, `token_file`, `certificate` and `fingerprint`.
        names: the record's config, block and session.

    Raises:
        ServerError: a process of the boards failed.
    """
    counts_s = min(_MOST_S, max(_LEAST_S, _FRAMES / (boards * asked.fps)))
    warm_s = counts_s / BATCHES
    processes = min(os.cpu_count() or 1, math.ceil(boards / _BOARDS_A_PROCESS))
    seed = _SEED + boards
    job = {
        "parent": os.getpid(), "fps": asked.fps, "arrivals": asked.arrivals, "seed": seed,
        "until_s": warm_s + counts_s, "give_up_s": max(5.0, 4 * asked.deadline_s),
        "frames": frames, **server,
    }  # fmt: skip
    rows = _run(job, [list(range(n, boards, processes)) for n in range(processes)])
    counted = [row for row in rows if row[0] >= warm_s]
    batches: List[List[bool]] = [[] for _ in range(BATCHES)]
    for due_s, latency_s, _, _ in counted:
        late = latency_s is None or latency_s > asked.deadline_s
        batches[min(BATCHES - 1, int((due_s - warm_s) / warm_s))].append(late)
    times = [row[1] for row in counted if row[1] is not None]
    service = [row[3] for row in counted if row[3] is not None]
    low, high = late_interval(batches)
    result = Carried(
        names["config"], names["block"], boards, asked.fps, asked.arrivals, asked.deadline_s, seed,
        counts_s, len(counted), len(counted) - len(times), sum(map(sum, batches)), low, high,
        quantile(times, 0.5) if times else None, quantile(times, 0.99) if times else None,
        quantile([row[2] for row in counted], 0.99) if counted else None,
        sum(service) / len(service) if service else None, processes, names["session"],
    )  # fmt: skip
    note(
        "%s: %d boards: %d of %d frames late or failed%s"
        % (result.config, boards, result.late, result.frames,
           "" if result.p99_s is None else ", 99 %% within %.0f ms" % (1000 * result.p99_s))
    )  # fmt: skip
    return result


def _run(job: Dict[str, Any], shares: List[List[int]]) -> List[List[Any]]:
    command = module_command("profiler.capacity.load")
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         universal_newlines=True)
        for _ in shares
    ]  # fmt: skip
    try:
        for child, share in zip(children, shares):
            _tell(child, dict(job, boards=share))
        for child in children:
            _line(child)
        start_s = time.perf_counter() + 0.2
        for child in children:
            _tell(child, start_s)
        return [row for child in children for row in _line(child)]
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _tell(child: Any, document: Any) -> None:
    try:
        child.stdin.write(json.dumps(document) + "\n")
        child.stdin.flush()
    except BrokenPipeError:  # why is read where its answer is missing
        pass


def _line(child: Any) -> Any:
    line = child.stdout.readline()
    if not line:
        said = (child.stderr.read().strip().splitlines() or ["it said nothing"])[-1]
        raise ServerError("a process that stands in for boards has ended: %s" % said)
    return json.loads(line)
