"""Checks whether a server that was gone answers again, and how fast a link is that was too slow.

A probe is two exchanges of `PROBE_BYTES` and of none: about 2.6 kB. It is made 2.5 times a second on
average while the server is gone, and every three seconds while frames are answered here because the link is slow.
"""

import random
import threading
from typing import Any, List, Tuple

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.client import Client, NoClockError
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.deploy.adapt import Controller
from splitwatt.profiler.deploy.runnable import Runnable
from splitwatt.profiler.infer.deployed import server_of

PROBE_BYTES = 2000
_GONE_EVERY_S, _SLOW_EVERY_S = 0.4, 3.0
_TIMEOUT_S = 0.9
_SLOW_KBIT_S = 1.0


class Prober:
    """A thread that probes while it is needed.

    `points` are those that need the server; `flow.update` gives the controller.
    """

    def __init__(self, endpoint: Endpoint, points: List[Runnable], flow: Any) -> None:
        self._endpoint, self._points, self._flow = endpoint, points, flow
        self._wake = threading.Event()
        self._gone = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def meet(self, fall_back: bool, client: Client) -> None:
        """Compare bundles, have the server load its parts, and measure the link.

        Raises:
            ServerError: it has other bundles, or does not answer and nothing can run without it.
        """
        try:
            for point in self._points:
                theirs = server_of(client, point.bundle)["manifest_sha256"]
                if theirs not in (None, point.bundle.manifest_sha256):
                    note("the server's bundle of %s is another one than the board's: answers may differ; "
                         "copy one bundle to both" % point.model)  # fmt: skip
                client.load(point.model)
            self._probe(client)
        except ServerError as error:
            if client.reachable or not fall_back:
                raise
            self._gone = True
            note("%s: frames are answered here until it is there" % error.message)
            self._flow.update(Controller.lost)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self, reason: str) -> None:
        """Probe now, because the server seems to be gone."""
        if not self._gone:
            self._gone = True
            note(reason)
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join(2 * _TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopped:
            # Boards that lost one server at the same moment must not ask for it at the same moments.
            self._wake.wait(self._flow.update(_every_s) * random.uniform(0.5, 1.5))
            self._wake.clear()
            # Where frames go to the server, they measure the link.
            if self._stopped or self._flow.update(lambda c: c.server_there and not c.answers_here):
                continue
            with Client(self._endpoint, _TIMEOUT_S, ()) as client:
                try:
                    if self._gone:  # it may have been started again
                        for point in self._points:
                            server_of(client, point.bundle)
                    self._probe(client)
                except ServerError:
                    self._flow.update(Controller.lost)
                    continue
            if self._gone:
                self._gone = False
                note("the server answers again")

    def _probe(self, client: Client) -> None:
        try:
            small, large = _exchange(client, 0), _exchange(client, PROBE_BYTES)
        except NoClockError:  # another kind of server: that it answers is all that is known
            client.metadata()
            self._flow.update(Controller.answers)
            return
        self._flow.update(lambda control: control.saw_probe(small, large))


def _exchange(client: Client, size: int) -> Tuple[int, float]:
    """Bytes sent, and the seconds that they took there and back without the server's own."""
    one = client.clock(up_bytes=size)
    own_s = one.server_sent_s - one.server_received_s
    return one.up_bytes, max(0.0, one.received_s - one.sent_s - own_s)


def _every_s(control: Controller) -> float:
    slow = control.rate_kbit_s is not None and control.rate_kbit_s < _SLOW_KBIT_S
    return _GONE_EVERY_S if slow or not control.server_there else _SLOW_EVERY_S
