"""The joules of a recorded trace, whole or in windows, as JSON."""

from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import SensorError, UsageError
from splitwatt.device_configs.printable import table
from splitwatt.device_configs.targets import find_rail, load_target, target_name
from splitwatt.energy import sources
from splitwatt.energy.joules.windows import RailEnergy, total_joules, trace_energy
from splitwatt.energy.rails.rail import COUNTER, choose_total, total_lines
from splitwatt.energy.trace.files import Trace, counted_joules, read_trace

# Simpson and trapezoid further apart than this part of the energy: too few samples, warn.
_METHODS_APART = 0.02
# The uncertainty at the window's edges above this part of the energy: warn.
_EDGES_MATTER = 0.01


def integrate_file(
    path: str,
    target: Optional[str] = None,
    start_s: Optional[float] = None,
    end_s: Optional[float] = None,
) -> Dict[str, Any]:
    """The joules of every rail of the trace at `path`.

    Args:
        target: whose rails they are; an unknown rail is refused then, and its total is used.
        start_s, end_s: only this part, on the trace's clock.

    Returns:
        {"trace", "provenance", "target", "duration_s", "rails": {label: FIGURES}, "total":
        {"rails", "joules"} or None, "garbage_cells", "events", "warnings"}.
    """
    trace = read_trace(path)
    if not trace.times:
        raise SensorError("%s has no samples" % path, "record for longer")
    if target is not None:
        trace = _of_target(trace, target)
    for bound in (start_s, end_s):
        if bound is not None and not min(trace.times) <= bound <= max(trace.times):
            raise UsageError(
                "%g s is outside the trace" % bound,
                "it goes from %.6f s to %.6f s" % (min(trace.times), max(trace.times)),
            )
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise UsageError(
            "the part from %g s to %g s has no length" % (start_s, end_s), "--from before --to"
        )
    rails = trace_energy(trace, start_s, end_s)
    joules = total_joules(trace.total, rails)
    events = trace.metadata.get("events", [])
    warnings = [text for energy in rails.values() for text in _warnings_of(energy)]
    for event in events[:20]:
        noted = (event.get("what"), event.get("at_s", 0.0))
        warnings.append("the sampler noted: %s at %.3f s" % noted)
    any_rail = next(iter(rails.values()))
    return {
        "trace": path,
        "target": target_name(target) if target else trace.metadata.get("target"),
        "provenance": trace.metadata.get("provenance"),
        "duration_s": any_rail.duration_s,
        "rails": {label: figures(energy) for label, energy in rails.items()},
        "total": {"rails": list(trace.total), "joules": joules} if trace.total else None,
        "garbage_cells": trace.garbage,
        "events": events,
        "warnings": warnings,
    }


def figures(energy: RailEnergy) -> Dict[str, Any]:
    """A rail's energy as JSON."""
    shown = dict(energy._asdict())
    shown.pop("label")
    if energy.joules_simpson is not None:
        for rule in ("trapezoid", "rectangle"):
            other = shown["joules_" + rule]
            if other is not None:
                shown["simpson_minus_%s_joules" % rule] = energy.joules_simpson - other
    return shown


def _of_target(trace: Trace, name: str) -> Trace:
    """The trace with its rails as the target knows them; an unknown one is refused."""
    power = load_target(name).power
    own = [rail.driver for rail in trace.rails if rail.driver in sources.available()]
    if len(own) == len(trace.rails) and not any(sources.load(d).needs_target for d in own):
        return trace
    rails = []
    for rail in trace.rails:
        known = find_rail(power, rail.label)
        if known is None:
            raise SensorError(
                "the trace has a rail '%s' that the target '%s' does not know" % (rail.label, name),
                "it knows: %s" % ", ".join(r.label for r in power.rails),
            )
        rails.append(rail._replace(part_of=known.part_of, absurd_above_w=power.absurd_above_w))
    lines = total_lines(power, [r.label for r in rails])
    counted = counted_joules(trace.times, trace.columns, rails)
    return trace._replace(rails=rails, total=choose_total(lines, rails, counted))


def _warnings_of(energy: RailEnergy) -> List[str]:
    """Warnings about a rail's joules, one sentence each."""
    label = energy.label
    warnings = [energy.refused] if energy.refused else []
    left_out = sum(energy.excluded.values())
    if left_out:
        parts = ", ".join("%d %s" % (n, why) for why, n in energy.excluded.items() if n)
        warnings.append("%s: %d samples were left out (%s)" % (label, left_out, parts))
    if energy.joules is None:
        return warnings
    if energy.gaps:
        warnings.append(
            "%s: %.6g s in %d gap%s were not measured and are in no figure"
            % (label, energy.gap_s, energy.gaps, "" if energy.gaps == 1 else "s")
        )
    if energy.sampled_hz and energy.readings / energy.covered_s < 0.75 * energy.sampled_hz:
        warnings.append(
            "%s: sampled %.4g times a second, but only %.4g readings a second are distinct"
            % (label, energy.sampled_hz, energy.readings / energy.covered_s)
        )
    apart = abs((energy.joules_simpson or 0.0) - (energy.joules_trapezoid or 0.0))
    if energy.kind != COUNTER and apart > _METHODS_APART * abs(energy.joules):
        warnings.append(
            "%s: Simpson and trapezoid differ by %.3g J: sample faster" % (label, apart)
        )
    return warnings + edge_warnings(energy)


def edge_warnings(energy: RailEnergy) -> List[str]:
    """A warning about the uncertainty at the window's edges, where it matters."""
    if energy.joules is None or energy.edge_joules <= _EDGES_MATTER * abs(energy.joules):
        return []
    return [
        "%s: its readings are averages, so the first of them hold power from before the window:"
        " up to %.3g J more or less; measure for longer" % (energy.label, energy.edge_joules)
    ]


def not_measured(provenance: Optional[str]) -> List[str]:
    """A line that warns that no sensor measured the joules; [] where a sensor did."""
    if provenance in (None, "measured"):
        return []
    return ["%s: no sensor measured these joules" % provenance]


def as_lines(result: Dict[str, Any]) -> List[str]:
    """A result of `integrate_file` as text."""
    lines = not_measured(result["provenance"])
    lines.append("%s: %.3f s" % (result["trace"], result["duration_s"]))
    rows = [("rail", "joules", "trapezoid", "95 % interval", "readings/s", "largest gap")]
    for label, row in result["rails"].items():
        if row["refused"]:
            lines.append("%s refused: %s" % (label, row["refused"]))
            continue
        figures_of = (row["joules"], row["joules_trapezoid"])
        rows.append(
            (label,)
            + tuple("%.6g" % joules for joules in figures_of)
            + ("%.6g to %.6g" % row["interval_joules"], "%.1f" % row["effective_hz"])
            + ("%.1f ms" % (1e3 * (row["largest_gap_s"] or 0.0)),)
        )
    if len(rows) > 1:
        lines.append(table(rows))
    total = result["total"]
    if total and total["joules"] is not None:
        lines.append("total (%s): %.6g J" % (" + ".join(total["rails"]), total["joules"]))
    refused = [row["refused"] for row in result["rails"].values()]
    return lines + ["warning: " + text for text in result["warnings"] if text not in refused]
