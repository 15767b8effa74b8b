"""The server that a profile starts for itself, on the board's own machine, and stops."""

import json
import os
import subprocess
import tempfile
import time
from typing import Any, List, Optional

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import ServerError
from splitwatt.device_configs.files import open_to_write
from splitwatt.device_configs.version import check_host
from splitwatt.engines.backends.base import Closing
from splitwatt.profiler.client.connection import Endpoint

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 35.0


class OwnServer(Closing):
    """`splitwatt serve` in a separate process; a context manager.

    Args:
        bundles: the folder of bundles.
        target: whose bundles to serve.
        backend: what runs the server's parts.
        threads: threads per inference; None: the backend's choice.
        log: the file that its messages are appended to.

    Attributes:
        endpoint: where it listens; it changes when the server is started again.

    Raises:
        UsageError: this Python cannot run the server.
        ServerError: it did not start.
    """

    def __init__(
        self, bundles: str, target: str, backend: str, threads: Optional[int], log: str
    ) -> None:
        check_python()
        self._arguments = ["--bundles", bundles, "--target", target, "--backend", backend]
        if threads is not None:
            self._arguments += ["--threads", str(threads)]
        self._log, self._log_starts = log, 0
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.start()

    def start(self) -> None:
        """Start it (again).

        Raises:
            ServerError: it did not come up.
        """
        with tempfile.TemporaryDirectory(prefix="splitwatt-") as folder:
            ready = os.path.join(folder, "ready.json")
            command = module_command(
                "__main__", "serve", "--port", "0", "--ready-file", ready,
                "--parent", str(os.getpid()), *self._arguments
            )  # fmt: skip
            with open_to_write(self._log) as log:
                self._log_starts = log.tell()
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )  # fmt: skip
            self.endpoint = Endpoint(self._wait(self._process, ready))

    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop it: it finishes what it has taken, within a bound."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait(self, process: Any, ready: str) -> str:
        until = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < until:
            if os.path.exists(ready):
                with open(ready, encoding="utf-8") as stream:
                    return str(json.load(stream)["url"])
            if process.poll() is not None:
                break
            time.sleep(0.02)
        self.close()
        with open(self._log, encoding="utf-8", errors="replace") as stream:
            stream.seek(self._log_starts)  # an earlier session's end is not this one's
            lines: List[str] = [line.strip() for line in stream if line.strip()]
        last = lines[-1] if lines else "it said nothing"
        raise ServerError("the server did not start: %s" % last)


def check_python() -> None:
    """Raise UsageError if this Python is too old for the server."""
    check_host("the server", "run 'splitwatt serve --lan' on another machine and give --server URL")
