"""Large bodies are read in turn: other clients are served between two pieces of any of them."""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

# Of all connections together: that of gigabit Ethernet.
RATE_BYTES_S = 125e6
# A smaller piece is most often a whole request: nobody waits for it.
_LARGE_PIECE_BYTES = 32 << 10


class PacedFlow(FlowControl):  # type: ignore[misc,unused-ignore]
    """uvicorn's flow control, which also holds a connection back until its turn comes."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(transport)
        self.loop = loop
        self._full = self._held = False

    def hold(self, held: bool) -> None:
        """Read nothing while `held`; then again, where the application wants more."""
        self._held = held
        self._apply()

    def pause_reading(self) -> None:
        """The application has enough."""
        self._full = True
        self._apply()

    def resume_reading(self) -> None:
        """The application wants more."""
        self._full = False
        self._apply()

    def _apply(self) -> None:
        if self._full or self._held:
            super().pause_reading()
        else:
            super().resume_reading()


class Pace:
    """Connections that wait for their turn to be read; for the event loop's thread alone."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[PacedFlow, float]] = deque()

    def take(self, flow: PacedFlow, count: int, at_least_s: float = 0.0) -> None:
        """Pause a connection that has just sent `count` bytes, for at least `at_least_s`."""
        if count > _LARGE_PIECE_BYTES or at_least_s:
            flow.hold(True)
            flow.loop.call_later(at_least_s, self._queue, flow, count / RATE_BYTES_S)

    def _queue(self, flow: PacedFlow, took_s: float) -> None:
        self._waiting.append((flow, took_s))
        if len(self._waiting) == 1:
            flow.loop.call_later(took_s, self._release)

    def _release(self) -> None:
        """One at a time: an event loop that is late must not read everything that waited at once."""
        flow, _ = self._waiting.popleft()
        flow.hold(False)
        if self._waiting:
            flow.loop.call_later(self._waiting[0][1], self._release)
