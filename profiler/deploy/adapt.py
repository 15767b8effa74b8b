"""Which configuration runs the next frame: the best one whose predicted latency meets the deadline.

No threads and no own clock: it is given what was measured and when, so that a trace of a link
can be replayed. A prediction is

    wait + board + base + 8 * bytes / rate + server

with high values of the last frames, a rate from the last transfers and a base time of an exchange
without bytes. A better configuration is taken only after its prediction, with the largest of its last
requests, has met the deadline with a margin for a while; a worse one at once. A better one that was late
soon after it was taken is tried again much later, or after the rate has clearly risen. What was measured of
points that are not in use is forgotten step by step, so that a bad moment does not exclude one for ever.
"""

from collections import deque
from typing import Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.profiler.analyse.statistics import quantile
from splitwatt.profiler.deploy.policy import Point

# The share of the deadline that a prediction may take; less for a change to a better configuration.
MARGIN, UP_MARGIN = 0.9, 0.8
UP_AFTER_S = 1.5
# After a change up that did not last, the wait for the next one, s; where the rate has risen since, four times
# the last wait, up to this.
LONGEST_UP_AFTER_S = 120.0
# Rates whose ratio is less count as the same.
_CLEARLY = 1.4
_KEPT, _KEPT_FOR_LARGEST = 15, 150
_KEPT_RATES = 3
# The time after which the highest measurement of each unused point is forgotten, s.
_FORGET_EVERY_S = 1.0
_HIGH = 0.8
_MOST_KBIT_S = 1e6
# The longest prediction, s: over a link that has stopped it would be endless.
_MOST_S = 1e5
# Neither the link nor the server is busy.
FREE = (0.0, 0.0)


class Choice(NamedTuple):
    """What runs a frame, and what that was predicted from.

    Attributes:
        at: index of the policy's point; None: no point can run now.
        why: "best", "deadline" (a better one would be late), "steady" (a better one is not sure
            yet), "server" (the server is gone), "late" (even this one will be late).
        predicted_s: from now to the answer.
        rate_kbit_s: the uplink's, as estimated then; None: not known.
    """

    at: Optional[int]
    why: str
    predicted_s: Optional[float]
    rate_kbit_s: Optional[float]


class _Recent:
    """A value's last measurements, or what the policy says before there are any."""

    def __init__(self, first: Optional[float]) -> None:
        self._first = first or 0.0
        self._values: Deque[float] = deque(maxlen=_KEPT_FOR_LARGEST)

    def add(self, value: float) -> None:
        self._values.append(value)

    def forget_largest(self) -> None:
        recent = list(self._values)[-_KEPT:]
        if len(recent) > 1:
            self._values.remove(max(recent))

    @property
    def value(self) -> float:
        return quantile(list(self._values)[-_KEPT:], _HIGH) if self._values else self._first

    @property
    def largest(self) -> float:
        return max(self._values, default=self._first)


class Controller:
    """Chooses a point of a policy for each frame.

    Args:
        points: best first.
        local: of each point whether it needs no server.
        deadline_s: from capture to answer; None: the first point that can run is always chosen.

    Attributes:
        board, server, bytes: of each point, what it takes on the board and on the server (s), and how
            large its requests are; to which what was measured is added.
    """

    def __init__(
        self, points: Sequence[Point], local: Sequence[bool], deadline_s: Optional[float]
    ) -> None:
        self.local = list(local)
        self.deadline_s = deadline_s
        self.server_there = True
        self.rate_kbit_s: Optional[float] = None
        self.board = [_Recent(point.board_s) for point in points]
        self.server = [_Recent(point.server_s) for point in points]
        self.bytes = [_Recent(point.wire_bytes) for point in points]
        self._rates: Deque[float] = deque(maxlen=_KEPT_RATES)
        self._base_s = 0.0
        self._current: Optional[int] = None
        self._last: Optional[int] = None  # what ran the last frame; `_current` was in time, too
        self._forgot_s = -1e9
        self._better_since: Dict[int, float] = {}
        self._up_after_s = UP_AFTER_S
        self._last_up_s = -1e9
        # The lowest rate since a change up did not last.
        self._flapped, self._lowest_kbit_s = False, float("inf")

    def carry_s(self, size: float) -> float:
        """Seconds that these bytes take on the link."""
        size_s = 8e-3 * size / self.rate_kbit_s if self.rate_kbit_s else 0.0
        return min(self._base_s + size_s, _MOST_S)

    def saw_transfer(self, index: int, size: int, seconds: float, server_s: float) -> None:
        """Record how long a point's request of that size took on the link, and then on the server."""
        self.bytes[index].add(size)
        self.server[index].add(server_s)
        self._base_s = min(self._base_s, seconds)
        self._saw_rate(8e-3 * size / max(1e-5, seconds - self._base_s))

    def saw_progress(self, bytes_per_s: float) -> None:
        """Record the rate so far of a request that is still being sent."""
        self._rates.clear()
        self._saw_rate(max(1e-6, 8e-3 * bytes_per_s))

    def saw_probe(self, small: Tuple[int, float], large: Tuple[int, float]) -> None:
        """Record two exchanges with the server, (bytes sent, seconds) each: it is there."""
        self.answers()
        rate = 8e-3 * (large[0] - small[0]) / max(1e-6, large[1] - small[1])
        self._base_s = max(0.0, small[1] - 8e-3 * small[0] / rate)
        self._rates.clear()
        self._saw_rate(rate)

    def lost(self) -> None:
        """The server does not answer."""
        self.server_there = False

    def answers(self) -> None:
        """The server answers (again)."""
        if not self.server_there:
            self.server_there = True
            self._current = self._last = None  # nothing is steady any more

    @property
    def answers_here(self) -> bool:
        """Whether the last frame was answered by a local point, and others need the server."""
        last = self._last
        return last is not None and self.local[last] and not all(self.local)

    def _saw_rate(self, rate_kbit_s: float) -> None:
        self._rates.append(min(rate_kbit_s, _MOST_KBIT_S))
        # A lower rate counts at once, a higher one when most of the last transfers say so.
        median_kbit_s = quantile(self._rates, 0.5)
        self.rate_kbit_s = min(self._rates[-1], median_kbit_s)
        if len(self._rates) == _KEPT_RATES:
            self._lowest_kbit_s = min(self._lowest_kbit_s, median_kbit_s)

    def predicted_s(
        self, index: int, wait_s: Tuple[float, float] = FREE, size: Optional[float] = None
    ) -> float:
        """From now to the answer of a frame, where link and server are busy for `wait_s`; of a request
        of `size` bytes, or else of the point's usual ones.
        """
        board_s = self.board[index].value
        if self.local[index]:
            return board_s
        carried_s = self.carry_s(self.bytes[index].value if size is None else size)
        arrives_s = max(board_s, wait_s[0]) + carried_s
        return max(arrives_s, wait_s[1]) + self.server[index].value

    def choose(
        self, now_s: float, age_s: float = 0.0, wait_s: Tuple[float, float] = FREE
    ) -> Choice:
        """What runs a frame.

        Args:
            now_s: on a monotonic clock.
            age_s: how long ago it was captured.
            wait_s: how long the link and the server are still busy.
        """
        self._forget(now_s)
        able = [i for i in range(len(self.local)) if self.server_there or self.local[i]]
        if not able:
            return Choice(None, "server", None, self.rate_kbit_s)
        if self.deadline_s is None:
            return self._made(able[0], "best" if able[0] == 0 else "server", wait_s)
        budget_s = self.deadline_s * MARGIN - age_s
        meets = [i for i in able if self.predicted_s(i, wait_s) <= budget_s]
        if not meets:
            return self._made(min(able, key=lambda i: self.predicted_s(i, wait_s)), "late", wait_s)
        chosen = self._steady(now_s, meets, self.deadline_s * UP_MARGIN - age_s, wait_s)
        why = "best" if chosen == 0 else "server" if not self.server_there else "deadline"
        if chosen > meets[0]:
            why = "steady"
        return self._made(chosen, why, wait_s)

    def _steady(
        self, now_s: float, meets: List[int], up_s: float, wait_s: Tuple[float, float]
    ) -> int:
        """The best that meets the deadline, where it has done so for long enough."""
        current = self._current
        if current is None or meets[0] == current:
            self._current = meets[0]
        elif current not in meets:
            self._fell(now_s)
            self._current = next((i for i in meets if i > current), meets[-1])
        sure = [
            i for i in meets if i < (self._current or 0)
            and self.predicted_s(i, wait_s, self.bytes[i].largest) <= up_s
        ]  # fmt: skip
        self._better_since = {i: self._better_since.get(i, now_s) for i in sure}
        rose = not self._flapped or (self.rate_kbit_s or 0.0) > _CLEARLY * self._lowest_kbit_s
        after_s = self._up_after_s if rose else LONGEST_UP_AFTER_S
        ready = [i for i, since in self._better_since.items() if now_s - since >= after_s]
        if ready:
            self._current = min(ready)
            self._last_up_s = now_s
            self._better_since = {}
        return self._current or 0

    def _forget(self, now_s: float) -> None:
        if now_s - self._forgot_s < _FORGET_EVERY_S:
            return
        self._forgot_s = now_s
        for known in (self.board, self.server, self.bytes):
            for index, recent in enumerate(known):
                if index != self._last:
                    recent.forget_largest()

    def _fell(self, now_s: float) -> None:
        """A change down: soon after one up, the next one up waits longer."""
        self._flapped = now_s - self._last_up_s < LONGEST_UP_AFTER_S
        self._lowest_kbit_s = float("inf")
        longer_s = min(4 * self._up_after_s, LONGEST_UP_AFTER_S)
        self._up_after_s = longer_s if self._flapped else UP_AFTER_S

    def _made(self, index: int, why: str, wait_s: Tuple[float, float]) -> Choice:
        self._last = index
        return Choice(index, why, self.predicted_s(index, wait_s), self.rate_kbit_s)
