"""The interface of every driver: its rails, one reading of all of them, and why it has no rails.

The rails whose sum is the board's total are data in the target's YAML, never a guess.

A driver looks for its rails when it is made and raises `UnavailableError` without any. It keeps
its files open, because a sampler reads them up to a thousand times a second.
"""

import fnmatch
import os
from typing import (
    AbstractSet,
    Any,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from splitwatt.device_configs.errors import SensorError
from splitwatt.device_configs.targets import Power, SensorConfig, find_rail

# How a rail's readings are made.
INSTANT = "instant"  # the power at the moment of the read
AVERAGE = "average"  # the mean power over a while before the read
COUNTER = "counter"  # joules so far; the sampler turns them into the mean power since the last read

# A sensor's noise around zero may be negative, down to this part of `absurd_above_w`. It is kept:
# without it the mean of the noise would no longer be zero.
_NOISE = 0.01

# No sensor changes more often, s; a period of 0 would be an endless number of readings.
SHORTEST_PERIOD_S = 1e-6

Line = Tuple[str, ...]

# Two counters that may be one meter are one where their joules differ by less than this.
_SAME_PART, _SAME_JOULES = 0.01, 0.2


class Rail(NamedTuple):
    """One power rail: label, driver, kind of reading (instant, average, counter), where it is
    read, how often the sensor changes (s, None: not known), the rail that feeds it, which of
    Energon's figures it is, what it measures, above which watts a reading is absurd, over how
    long a reading is averaged (s, None: over the period), and the counter that it may repeat.
    """

    label: str
    driver: str
    kind: str
    path: str
    period_s: Optional[float]
    part_of: Optional[str]
    energon: Optional[str]
    measures: str
    absurd_above_w: float
    averages_s: Optional[float] = None
    same_as: Optional[str] = None

    @property
    def averaged_over_s(self) -> float:
        """How much of the time before a reading is in it, s; 0 for a reading of the moment."""
        if self.kind != AVERAGE:
            return 0.0
        return self.averages_s or self.period_s or 0.0

    def unusable(self, watts: Optional[float]) -> Optional[str]:
        """Why a reading does not count: failed, negative, absurd; None where it does."""
        if watts is None:
            return "failed"
        if watts < (0 if self.kind == COUNTER else -_NOISE * self.absurd_above_w):
            return "negative"
        return "absurd" if watts > self.absurd_above_w else None


class UnavailableError(Exception):
    """Why a driver has no rails on this machine: one sentence, and a command that helps, if any."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Driver(object):
    """A way to read power. Subclasses set `name` and `rails`, and write `read` and `close`."""

    name = ""
    rails: List[Rail] = []
    # How records mark its readings: measured, generated or replayed.
    provenance = "measured"
    # Whether its rails need a target; a driver without is used only where it is named.
    needs_target = True
    # The labels that form the total, where the driver knows them; None: the target's data lists them.
    total: Optional[Tuple[str, ...]] = None

    def __init__(self, context: "Context") -> None:
        raise NotImplementedError

    def read(self) -> List[Optional[float]]:
        """One reading per rail: watts, or joules so far for a counter; None where it failed."""
        raise NotImplementedError

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail, None where the sensor has none."""
        return [None] * len(self.rails)

    def close(self) -> None:
        """Close files and libraries."""


class Context(NamedTuple):
    """What a driver is opened with: the target's sensors and rails, the folder to use instead of
    /sys, and values for a single driver (the trace to replay, the library to load).
    """

    power: Power
    sysfs: str = "/sys"
    options: Mapping[str, Any] = {}

    @property
    def is_this_machine(self) -> bool:
        """Whether `sysfs` is the machine's own tree: only then may a library be asked."""
        return os.path.realpath(self.sysfs) == os.path.realpath("/sys")

    def rail(self, label: str, driver: str, path: str, kind: Optional[str] = None) -> Rail:
        """The rail that a sensor's label means on this target.

        Raises:
            SensorError: the target's YAML does not know the label: it does not say whether the
                rail is the total, a part, or power at all.
        """
        known = find_rail(self.power, label)
        if known is None:
            names = ", ".join(r.label for r in self.power.rails) or "none"
            raise SensorError(
                "%s has a rail '%s' that the target does not know (it knows: %s)"
                % (path, label, names),
                "name the right target with --target, or add the rail to the target's YAML",
            )
        sensor = self.power.sensors.get(driver, SensorConfig(None, False, "", False, ""))
        kind = kind or (AVERAGE if sensor.averages else INSTANT)
        return Rail(
            label=label,
            driver=driver,
            kind=kind,
            path=path,
            period_s=sensor.period_s,
            part_of=known.part_of,
            energon=known.energon,
            measures=known.measures,
            absurd_above_w=self.power.absurd_above_w,
            averages_s=sensor.averages_s if kind == AVERAGE else None,
        )


def total_lines(power: Power, labels: Sequence[str]) -> Tuple[Line, ...]:
    """The lines of the target's `total` whose rails are all among `labels`, patterns resolved.

    A label in a line may be a pattern (`package-*`). One that ends in `?` may be missing; it keeps
    its `?`, because it may also turn out to measure nothing.
    """
    lines = []
    for line in power.total:
        chosen: List[str] = []
        for wanted in line:
            suffix = "?" if wanted.endswith("?") else ""
            fits = [label for label in labels if fnmatch.fnmatchcase(label, wanted.rstrip("?"))]
            if not fits and not suffix:
                break
            chosen.extend(label + suffix for label in fits)
        else:
            lines.append(tuple(chosen))
    return tuple(lines)


def choose_total(
    lines: Sequence[Line], rails: Sequence[Rail], joules: Mapping[str, Optional[float]]
) -> Line:
    """The labels whose sum is the board's total: () where the target's data names none.

    It is the first line whose counters all count: a counter that does not move while others of its
    driver move measures nothing (many machines have a `psys` that is not wired). Of two counters that are
    one meter (see `Rail.same_as`) only the first is added.

    Args:
        joules: of each counter so far; all 0 or None where nothing is known yet.
    """
    still = standing_still(rails, {label for label, value in joules.items() if value})
    if len(still) == sum(rail.kind == COUNTER for rail in rails):
        still = set()  # nothing has moved yet
    first: Line = ()
    for line in lines:
        labels = tuple(entry.rstrip("?") for entry in line)
        first = first or labels
        if any(entry in still for entry in line):
            continue
        kept = [label for label in labels if label not in still]
        if kept:
            return tuple(label for label in kept if not _repeats(label, kept, rails, joules))
    return first


def standing_still(rails: Sequence[Rail], moved: AbstractSet[str]) -> AbstractSet[str]:
    """The counters that measure nothing: they did not move, and neither did the rail that feeds them.

    A part that does not move while its whole does (graphics that nobody uses) has used 0 J.
    """
    return {
        rail.label
        for rail in rails
        if rail.kind == COUNTER
        and rail.label not in moved
        and not any(fnmatch.fnmatchcase(label, rail.part_of or "") for label in moved)
    }


def _repeats(
    label: str, kept: Sequence[str], rails: Sequence[Rail], joules: Mapping[str, Optional[float]]
) -> bool:
    other = next(rail.same_as for rail in rails if rail.label == label)
    own, others = joules.get(label), joules.get(other or "")
    if other not in kept or not own or not others:
        return False
    return abs(own - others) <= _SAME_JOULES + _SAME_PART * max(own, others)


def add_up(total: Sequence[str], values: Dict[str, Optional[float]]) -> Optional[float]:
    """The sum of `values` over the labels of a total; None if one of them is missing."""
    parts = [values.get(label) for label in total]
    if not parts or any(part is None for part in parts):
        return None
    return sum(part for part in parts if part is not None)
