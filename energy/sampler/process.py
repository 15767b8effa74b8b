"""The sampler's own process: reads the rails on time, writes the trace as it goes.

Started by `splitwatt.energy.sampler.sampler.Sampler`. It prints one JSON line when it is ready, one
when it ends and, where requested, its newest reading at an interval. It ends when its standard
input closes, so it never outlives its parent.
"""

import contextlib
import ctypes
import json
import os
import select
import sys
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.input.small_files import table_bytes
from splitwatt.energy.rail_set import RailSet, open_rails
from splitwatt.energy.rails.rail import COUNTER, standing_still
from splitwatt.energy.sampler.sensor_rate import probe_periods, sampling_rate
from splitwatt.energy.trace.files import TraceWriter, rail_records

# A read of all rails that takes longer than this is a blocked sensor: what it returns is no reading
# of that moment.
_BLOCKED_S = 0.05
# Volts, clocks and the process's own cost are looked at this often, s.
_LOOK_S = 0.5
# A change of wall time against the monotonic clock beyond this is a step, s.
_STEP_S = 0.05
# A hole of more than this, and of ten samples, is marked as a gap, s.
_HOLE_S = 0.1
# When it is late by more than this it continues from now: the samples missed are lost, s.
_BEHIND_S = 1.0
_PR_SET_TIMERSLACK = 29


class Sampling(object):
    """The state of one sampler: rails, where its readings go, what it counted.

    Args:
        every_s: how often the newest reading is printed, s; None: never.
    """

    def __init__(
        self, rails: RailSet, hz: float, writer: Optional[TraceWriter], every_s: Optional[float]
    ) -> None:
        self.rails = rails
        self.period_s = 1.0 / hz
        self.writer = writer
        self._every_s = every_s
        self._printed_s = float("-inf")
        self.samples = self.late = self.lost = self.failed = self.blocked = 0
        self.worst_late_s = 0.0
        self._counter = [rail.kind == COUNTER for rail in rails.rails]
        self._any_counter = any(self._counter)
        self._before: List[Optional[float]] = [None] * len(rails.rails)
        self._before_s = [0.0] * len(rails.rails)
        self._joules = [0.0] * len(rails.rails)
        self._watts: List[Optional[float]] = [None] * len(rails.rails)
        self._volts: List[Optional[float]] = [None] * len(rails.rails)
        self._clocks = _clock_offsets()
        self._looked_s = 0.0
        self._kept_s = 0.0

    def run(self, stop: Any) -> None:
        """Sample until `stop` is readable, or ended.

        Then one more time, so that a window that ends with the sampler is covered to its end.
        """
        due = time.monotonic()
        last = due - self.period_s
        # When late, catch up at half the period at most: samples at almost the same moment would get
        # huge weights in Simpson's rule.
        while not _stopped(stop, max(due, last + self.period_s / 2)):
            now = time.monotonic()
            late = now - due
            if now - last > max(_HOLE_S, 10 * self.period_s):
                due += self._hole(late, (last + now) / 2)
            self.late += late > self.period_s
            self.worst_late_s = max(self.worst_late_s, late)
            last = now
            self.take(now)
            due += self.period_s
        self.take(time.monotonic())

    def _hole(self, behind: float, at: float) -> float:
        """Mark a hole, and give up what is too late; returns the seconds given up.

        The empty row makes the hole a gap: nothing is interpolated across it. The samples that were due
        in it are taken now, unless that would be a long burst without meaning: then they are lost.
        """
        skipped = int(behind / self.period_s) if behind > _BEHIND_S else 0
        self.lost += skipped
        self.event("fell behind", {"seconds": round(behind, 3), "lost": skipped})
        if self.writer is not None:
            self.writer.row(at, [None] * len(self.rails.rails))
        # A counter has counted in the meantime.
        self._watts = [w if c else None for w, c in zip(self._watts, self._counter)]
        return skipped * self.period_s

    def first(self) -> None:
        """The first sample, before the parent learns that sampling has begun."""
        if self._any_counter:
            # Counters need something to count from, and a while to count.
            self._before = self.rails.read()
            self._before_s = [time.monotonic()] * len(self._before)
            time.sleep(0.005)
        self.take(time.monotonic())

    def take(self, now: float) -> None:
        """One sample: read, write, count."""
        values = self.rails.read()
        done = time.monotonic()
        if done - now > _BLOCKED_S:
            self.blocked += 1
            self.event("blocked", {"seconds": round(done - now, 3)})
            values = [v if c else None for v, c in zip(values, self._counter)]
        at = (now + done) / 2
        watts = self._to_watts(values, at) if self._any_counter else values
        self.samples += 1
        self.failed += sum(1 for w in watts if w is None)
        if self.writer is not None:
            self.writer.row(at, watts)
        if self._every_s is not None:
            self._keep(at, watts)
            if at - self._printed_s >= self._every_s:
                self._print(at)
        if done - self._looked_s > _LOOK_S:
            self._look(done)

    def _to_watts(self, values: List[Optional[float]], at: float) -> List[Optional[float]]:
        """Counters become the mean power since they were read before, and their joules are added to
        those so far; the others are watts already.
        """
        watts = list(values)
        for i, value in enumerate(values):
            if not self._counter[i]:
                continue
            if value is None:
                continue  # the next reading covers this interval too: nothing is lost
            before = self._before[i]
            mean = None if before is None else (value - before) / (at - self._before_s[i])
            if before is not None and self.rails.rails[i].unusable(mean) is None:
                self._joules[i] += value - before
            watts[i] = mean
            self._before[i], self._before_s[i] = value, at
        return watts

    def _keep(self, at: float, watts: List[Optional[float]]) -> None:
        """The newest reading, and joules so far: over gaps they do not grow."""
        for i, value in enumerate(watts):
            if value is None or self.rails.rails[i].unusable(value):
                self._watts[i] = None
                continue
            before = self._watts[i]
            if before is not None and not self._counter[i]:
                self._joules[i] += (value + before) / 2 * (at - self._kept_s)
            self._watts[i] = value
        self._kept_s = at

    def latest(self, at: float) -> Dict[str, Any]:
        """The newest reading, as `splitwatt.energy.sampler.sampler.Latest` has it."""
        rails = self.rails.rails
        moved = {rail.label for rail, joules in zip(rails, self._joules) if joules}
        still = standing_still(rails, moved)
        watts = [None if r.label in still else w for r, w in zip(rails, self._watts)]
        return {
            "t_s": round(at, 6),
            "wall_minus_monotonic_s": self._clocks[0],
            "samples": self.samples,
            "lost": self.lost,
            "failed": self.failed,
            "cpu_s": time.process_time(),
            "watts": [_short(value) for value in watts],
            "volts": [_short(value) for value in self._volts],
            "joules": [_short(value) for value in self._joules],
        }

    def _print(self, at: float) -> None:
        """Print the newest reading, unless the parent reads too slowly: never wait for it."""
        self._printed_s = at
        if select.select([], [sys.stdout], [], 0)[1]:
            _print({"latest": self.latest(at)})

    def _look(self, now: float) -> None:
        """Now and then: the clocks, the volts, the buffer."""
        self._looked_s = now
        clocks = _clock_offsets()
        if abs(clocks[0] - self._clocks[0]) > _STEP_S:
            self.event("wall clock stepped", {"seconds": clocks[0] - self._clocks[0]})
        if abs(clocks[1] - self._clocks[1]) > _STEP_S:
            self.event("suspended", {"seconds": clocks[1] - self._clocks[1]})
        self._clocks = clocks
        if self._every_s is not None:
            self._volts = self.rails.volts()
        if self.writer is not None:
            self.writer.flush()

    def event(self, what: str, details: Dict[str, Any]) -> None:
        """Something that a reader of the trace must know."""
        if self.writer is not None:
            self.writer.event(what, details)

    def stats(self, cpu_before_s: float, wall_before_s: float) -> Dict[str, Any]:
        """What it did and what it cost."""
        cpu, wall = time.process_time() - cpu_before_s, time.monotonic() - wall_before_s
        return {
            "samples": self.samples,
            "lost": self.lost,
            "late": self.late,
            "failed_reads": self.failed,
            "blocked_reads": self.blocked,
            "worst_late_s": self.worst_late_s,
            "cpu_s": cpu,
            "wall_s": wall,
            "core_fraction": cpu / wall if wall > 0 else 0.0,
            # getrusage may give its parent's.
            "peak_bytes": table_bytes("/proc/self/status").get("VmHWM"),
        }


def _stopped(stop: Any, until_s: float) -> bool:
    """Wait until a moment; True as soon as `stop` is readable."""
    while True:
        left_s = until_s - time.monotonic()
        if select.select([stop], [], [], max(0.0, left_s))[0]:
            return True
        if left_s <= 0:
            return False


def _short(value: Optional[float]) -> Optional[float]:
    """To 9 digits, so that a line of 50 rails still fits into one write to a pipe."""
    return None if value is None else float("%.9g" % value)


def _clock_offsets() -> List[float]:
    """[wall - monotonic, time since boot with sleep - monotonic], s."""
    monotonic = time.monotonic()
    boot = getattr(time, "CLOCK_BOOTTIME", 7)  # named since Python 3.7
    return [time.time() - monotonic, time.clock_gettime(boot) - monotonic]


def _be_punctual() -> Dict[str, Any]:
    """Pin this process to the last core that it may use, let its timers be exact, and raise its
    priority: round-robin scheduling at its lowest priority, or a lower niceness.

    Every step is optional.

    Returns:
        What was granted: {"core": int or None, "policy": "rr" or "other", "nice": int or None}.
    """
    granted: Dict[str, Any] = {"core": None, "policy": "other", "nice": None}
    try:
        core = max(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {core})
        granted["core"] = core
    except (OSError, ValueError, AttributeError):
        pass  # not granted: it floats
    with contextlib.suppress(OSError, AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)  # 1 us instead of 50
    try:
        least = os.sched_get_priority_min(os.SCHED_RR)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(least))
        granted["policy"] = "rr"
        return granted
    except (OSError, AttributeError):
        pass  # only root may
    with contextlib.suppress(OSError):  # only root may
        granted["nice"] = os.nice(-10)
    return granted


def main(argv: List[str]) -> int:
    """Run a sampler; `argv[0]` is its specification as JSON."""
    spec = json.loads(argv[0])
    try:
        granted = _be_punctual()
        with open_rails(
            spec["target"], spec["sysfs"], spec.get("driver"), spec.get("options")
        ) as rails:
            _sample(rails, spec, granted)
    except SplitwattError as error:
        _print({"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
        return 1
    return 0


def _sample(rails: RailSet, spec: Dict[str, Any], granted: Dict[str, Any]) -> None:
    probed = {} if spec.get("hz") else probe_periods(rails)
    hz = spec.get("hz") or sampling_rate(rails, probed)
    writer: Optional[TraceWriter] = None
    about = {
        "target": rails.target,
        "provenance": rails.provenance,
        "sysfs": spec["sysfs"],
        "rails": rail_records(rails.rails),
        "total": list(rails.total),
        "total_lines": [list(line) for line in rails.total_lines],
        "hz": hz,
        "probed_period_s": probed,
        "scheduling": granted,
        "tried": [dict(t._asdict()) for t in rails.tried],
        "wall_minus_monotonic_s": _clock_offsets()[0],
        "started_monotonic_s": time.monotonic(),
    }
    if spec.get("trace"):
        writer = TraceWriter(spec["trace"], [r.label for r in rails.rails], about)
    sampling = Sampling(rails, hz, writer, spec.get("every_s"))
    cpu, wall = time.process_time(), time.monotonic()
    sampling.first()
    _print({"ready": about})
    # Ctrl-C goes to the whole group of processes: end as `stop` does.
    with contextlib.suppress(KeyboardInterrupt):
        sampling.run(sys.stdin)
    stats = sampling.stats(cpu, wall)
    if writer is not None:
        writer.close(stats)
    _print({"stats": stats})


def _print(document: Dict[str, Any]) -> None:
    # If the parent is gone the trace is written all the same.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
