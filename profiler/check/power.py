"""Are the power traces whole, and do joules follow from them?"""

import math
from typing import Callable, List, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.energy.trace.files import read_trace
from splitwatt.profiler.analyse.energy import (
    BlockEnergy,
    RailJoules,
    energy_of,
    server_energy_of,
    stage_energy_of,
)
from splitwatt.profiler.check.raw import Check, nothing, verdict
from splitwatt.profiler.records.run import Run

_SUM = 1e-9
# No board draws more, and a sensor's noise is no lower.
_LEAST_W, _MOST_W = -50, 5000


def checks(run: Run) -> List[Check]:
    """The checks of this module."""
    return [_whole(run), _joules(run)]


def _whole(run: Run) -> Check:
    name = "power traces are whole"
    if not run.power:
        return nothing(name, _why_no_power(run))
    wrong, count = [], 0
    for block, path in sorted(run.power.items()):
        file = "power/%s.csv" % block
        try:
            trace = read_trace(path)
        except SplitwattError as error:
            wrong.append(error.message)
            continue
        count += len(trace.times)
        if trace.garbage:
            wrong.append("%s: %d lines or cells are damaged" % (file, trace.garbage))
        if any(b <= a for a, b in zip(trace.times, trace.times[1:])):
            wrong.append("%s: its times do not go forward" % file)
        watts = [value for column in trace.columns for value in column if value is not None]
        if watts and not (min(watts) > _LEAST_W and max(watts) < _MOST_W):
            wrong.append("%s holds watts that no board draws" % file)
    return verdict(name, wrong, "%d readings in %d traces" % (count, len(run.power)))


def _joules(run: Run) -> Check:
    """Each block, stage and server has joules, and its total is that of its rails."""
    name = "joules follow from the power traces"
    rows = energy_of(run) + server_energy_of(run) + stage_energy_of(run)
    rails = [rail for row in rows for rail in row.rails]
    wrong = [text for row in rows for text in _total(row)]
    count = sum(1 for rail in rails if rail.joules_per_image is not None)
    if not count and not wrong:
        refused = [rail.why_not for rail in rails if rail.why_not]
        return nothing(name, refused[0] if refused else _why_no_power(run))
    return verdict(name, wrong, "%d rails of blocks, stages and servers" % count)


def _total(energy: BlockEnergy) -> List[str]:
    """The total is the sum of its rails."""
    total = energy.total
    if total is None:
        return []
    place = ", ".join(
        text for text in (energy.block, energy.stage, "the server" * energy.server) if text
    )
    known = {rail.rail: rail for rail in energy.rails}
    labels = total.rail.split("+")
    if not set(labels) <= set(known):
        return ["%s: the total has the rails %s" % (place, total.rail)]
    figures: Sequence[Tuple[str, Callable[[RailJoules], Optional[float]]]] = (
        ("joules", lambda rail: rail.joules_per_image),
        ("net joules", lambda rail: rail.net_joules_per_image),
        ("idle watts", lambda rail: rail.idle_watts),
    )
    wrong = []
    for name, figure in figures:
        values = [figure(known[label]) for label in labels]
        own = figure(total)
        due = None if None in values else math.fsum(v for v in values if v is not None)
        same = own is due if own is None or due is None else abs(own - due) <= _SUM * abs(due)
        if not same:
            wrong.append("%s: the total's %s are not the sum of its rails'" % (place, name))
    return wrong


def _why_no_power(run: Run) -> str:
    return "; ".join((run.document.get("power") or {}).get("why_not") or ["no power was recorded"])
