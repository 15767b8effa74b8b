"""How many boards a server carries: as replayed, and as queueing theory expects.

A number of boards holds where at most 1 % of their frames are late. Late frames come in bursts, so
they are not independent: the interval of their share is the wider one of Wilson's and of the means of
ten batches in time (the method of batch means; Law, "Simulation Modeling and Analysis", chapter 9).
"""

import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.profiler.records.blocks import Carried
from splitwatt.profiler.records.run import Run

LATE_SHARE = 0.01
BATCHES = 10
# If the load generator is late by more than this part of the deadline, the server looks too slow.
_OWN_LATE = 0.1
# Student's t of nine degrees of freedom and the normal distribution, 97.5 %.
_T9, _Z = 2.262157, 1.959964


class Service(NamedTuple):
    """A server as a queue: how many frames it works on at once, and the times of one, in s."""

    servers: int
    mean_s: float
    squared_variation: float

    def late_share(self, frames_per_s: float, deadline_s: float) -> float:
        """The share of late frames if frames arrive at random at this rate.

        Waiting has Erlang's probability (C) and falls off exponentially at Kingman's rate, as Allen
        and Cunneen have it for several servers: exact for exponential service, else an approximation.
        """
        busy = frames_per_s * self.mean_s / self.servers
        if busy >= 1 or self.mean_s > deadline_s:
            return 1.0
        waits = erlang_c(self.servers, frames_per_s * self.mean_s)
        mean_wait_s = (
            waits * self.mean_s / (self.servers * (1 - busy)) * (1 + self.squared_variation) / 2
        )
        if mean_wait_s <= 0:
            return 0.0
        return waits * math.exp(-(deadline_s - self.mean_s) * waits / mean_wait_s)

    def most(self, fps: float) -> int:
        """The boards that keep every server busy all the time: no queue can serve more than that."""
        return int(self.servers / (self.mean_s * fps))

    def expected(self, fps: float, deadline_s: float) -> int:
        """The most boards of whose frames at most 1 % are late."""
        low, high = 0, self.most(fps) + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.late_share(middle * fps, deadline_s) <= LATE_SHARE:
                low = middle
            else:
                high = middle
        return low


class Capacity(NamedTuple):
    """A configuration's number of boards; None: not known.

    Attributes:
        config, fps, arrivals, deadline_s: what was replayed.
        boards: the most that held; 0: not even one did.
        low: the most of which that is certain, at 95 %.
        high: one fewer than the least that certainly breaks the deadline; None: none did.
        tried: how many numbers were tried.
        service: of the server.
        expected, most: `Service`'s.
        own_late_s: the load generator's own lateness, the largest of those that count.
    """

    config: str
    fps: float
    arrivals: str
    deadline_s: float
    boards: int
    low: int
    high: Optional[int]
    tried: int
    service: Optional[Service]
    expected: Optional[int]
    most: Optional[int]
    own_late_s: Optional[float]


def carried(run: Run) -> List[Capacity]:
    """The capacity of each configuration whose boards were replayed."""
    return [
        _of([row for row in run.carried if row.config == config], service_of(run, config))
        for config in dict.fromkeys(row.config for row in run.carried)
    ]


def sentences(run: Run) -> List[str]:
    """The results, one sentence per configuration."""
    return [_sentence(own) for own in carried(run)]


def _sentence(own: Capacity) -> str:
    ends = "%d to %s" % (own.low, "more" if own.high is None else own.high)
    text = "%s: the server carries %d boards of %g frames/s each (%s at 95 %%), 99 %% of the frames in %g ms" % (
        own.config, own.boards, own.fps, ends, 1000 * own.deadline_s,
    )  # fmt: skip
    if own.expected is not None:
        text += "; from its service times a queue would carry %d, at most %d" % (
            own.expected, own.most or 0,
        )  # fmt: skip
    if own.own_late_s is not None and own.own_late_s > _OWN_LATE * own.deadline_s:
        text += "; the load generator was late itself, by up to %.0f ms: this machine is too busy for it" % (
            1000 * own.own_late_s,
        )  # fmt: skip
    return text


def _of(rows: Sequence[Carried], service: Optional[Service]) -> Capacity:
    tried = {row.boards: row for row in rows}  # a later session's row replaces an earlier one's
    order = sorted(tried)
    broken = [n for n in order if tried[n].late > LATE_SHARE * tried[n].frames]
    held = [n for n in order if not broken or n < broken[0]]
    unsure = [n for n in order if tried[n].late_high > LATE_SHARE]
    sure = [n for n in order if not unsure or n < unsure[0]]
    certain = [n for n in order if tried[n].late_low > LATE_SHARE]
    first = rows[0]
    late = [tried[n].own_late_s for n in held or order[:1]]
    return Capacity(
        first.config, first.fps, first.arrivals, first.deadline_s, held[-1] if held else 0,
        sure[-1] if sure else 0, certain[0] - 1 if certain else None, len(order),
        service,
        service and service.expected(first.fps, first.deadline_s), service and service.most(first.fps),
        max((value for value in late if value is not None), default=None),
    )  # fmt: skip


def service_of(run: Run, config: str) -> Optional[Service]:
    """The server's times for a frame when it had nothing else to do: of the run's own samples."""
    times = []
    for sample in run.measured(config):
        own = [value for name, value in sample.stages.items() if _works(name)]
        times += [sum(own)] if own else []
    if len(times) < 2 or not any(times):
        return None
    mean_s = float(np.mean(times))
    server = run.document["server"] or {}
    return Service(server.get("workers") or 1, mean_s, float(np.var(times, ddof=1)) / mean_s**2)


def _works(stage: str) -> bool:
    """Whether a worker of the server is busy then: neither HTTP's time nor that in the queue."""
    return ".server." in stage and not stage.endswith((".queue", ".other"))


def erlang_c(servers: int, load: float) -> float:
    """The share of arrivals that wait, where `load` < `servers` of them are busy on average (Erlang 1917,
    by the recursion of his B formula).
    """
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def late_interval(batches: Sequence[Sequence[bool]]) -> Tuple[float, float]:
    """The 95 % interval of the share of late frames; 0 to 1 without frames."""
    frames = sum(len(batch) for batch in batches)
    if not frames:
        return 0.0, 1.0
    share = sum(map(sum, batches)) / frames
    scale, middle = 1 + _Z**2 / frames, share + _Z**2 / (2 * frames)
    half = _Z * math.sqrt(share * (1 - share) / frames + _Z**2 / (4 * frames**2))
    low, high = (middle - half) / scale, (middle + half) / scale
    means = [sum(batch) / len(batch) for batch in batches if batch]
    if len(means) == BATCHES:
        spread = float(np.std(means, ddof=1)) / math.sqrt(BATCHES)
        low, high = min(low, share - _T9 * spread), max(high, share + _T9 * spread)
    return max(0.0, low), min(1.0, high)
