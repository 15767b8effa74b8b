"""Joules of any command: `splitwatt energy record -- COMMAND`."""

import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

from device_configs.errors import SensorError
from energy.confidence import bootstrap_mean
from energy.integration import figures
from energy.monitor import IDLE, EnergyMonitor, WindowEnergy

_RUN = "run"


def record(
    command: List[str],
    sources: Dict[str, Any],
    runs: int = 1,
    warmup: int = 0,
    idle_s: float = 0.0,
    hz: Optional[float] = None,
    trace_path: Optional[str] = None,
    quiet: bool = False,
    sampler_cost_s: float = 0.0,
) -> Dict[str, Any]:
    """Run a command and measure it.

    Args:
        command: program and arguments, run as they are (no shell).
        sources: `target`, `sysfs`, `driver`, `options` (see `energy.opening.open_rails`).
        runs, warmup: how often it runs, measured and before.
        idle_s: how long nothing runs before and after, to know the idle power.
        hz: samples a second; None: twice the sensor's own rate.
        trace_path: keep the trace there.
        quiet: send the command's output to standard error.
        sampler_cost_s: compare power with and without sampling for so long each; 0: do not.

    Returns:
        {"command", "runs": [...], "joules": {label: MEAN}, "idle": {...}, "sampler": {...}, ...}.

    Raises:
        SensorError: no sensor, or the command cannot be started.
    """
    cost = None
    if sampler_cost_s > 0:
        from energy.cost import sampler_power

        cost = sampler_power(sources, sampler_cost_s, hz)
    codes: List[int] = []
    monitor = EnergyMonitor(trace_path=trace_path, hz=hz, **sources)
    try:
        with monitor:
            for _ in range(warmup):
                _run(command, quiet)
            if idle_s > 0:
                monitor.idle(idle_s)
            for _ in range(runs):
                monitor.begin(_RUN)
                codes.append(_run(command, quiet))
                monitor.end(_RUN)
            if idle_s > 0:
                monitor.idle(idle_s)
        results = monitor.results()
        return _document(command, monitor, results, codes, trace_path, cost)
    finally:
        monitor.close()


def _run(command: List[str], quiet: bool) -> int:
    try:
        return subprocess.call(command, stdout=sys.stderr if quiet else None)
    except OSError as error:
        raise SensorError("'%s' cannot be run: %s" % (command[0], error.strerror or error))


def _document(
    command: List[str],
    monitor: EnergyMonitor,
    results: List[WindowEnergy],
    codes: List[int],
    trace_path: Optional[str],
    cost: Optional[Dict[str, Any]],
) -> Dict[str, Any]:
    measured = [r for r in results if r.window.name == _RUN]
    idle = [r for r in results if r.window.name == IDLE]
    labels = [rail["label"] for rail in monitor.about["rails"]]
    runs: List[Dict[str, Any]] = [
        {
            "seconds": r.window.end_s - r.window.start_s,
            "exit_code": code,
            "total_joules": r.total_joules,
            "total_net_joules": r.total_net_joules,
            "net_joules": r.net_joules,
            "rails": {label: figures(energy) for label, energy in r.rails.items()},
        }
        for r, code in zip(measured, codes)
    ]
    return {
        "command": command,
        "target": monitor.about["target"],
        "provenance": monitor.about["provenance"],
        "total_of": monitor.about["total"],
        "recorded_wall_s": time.time(),
        "runs": runs,
        "seconds": _mean([r["seconds"] for r in runs]),
        "total_joules": _mean([r["total_joules"] for r in runs]),
        "total_net_joules": _mean([r["total_net_joules"] for r in runs]),
        "joules": {k: _mean([r["rails"][k]["joules"] for r in runs]) for k in labels},
        "net_joules": {k: _mean([r["net_joules"][k] for r in runs]) for k in labels},
        "idle_watts": {k: [r.rails[k].mean_watts for r in idle] for k in labels} if idle else None,
        "sampler": monitor.stats,
        "sampler_power": cost,
        "hz": monitor.about["hz"],
        "events": monitor.trace().metadata.get("events", []),
        "trace": trace_path,
        "refused": sorted({e.refused for r in measured for e in r.rails.values() if e.refused}),
    }


def _mean(values: List[Any]) -> Optional[Dict[str, Any]]:
    """Mean, deviation and interval over the runs; None if one of them has no value."""
    if None in values:
        return None
    mean = bootstrap_mean(values)
    return None if mean is None else dict(mean._asdict())


def as_lines(result: Dict[str, Any]) -> List[str]:
    """A result of `record` for people."""
    lines = ["%s" % " ".join(result["command"])]
    lines.append("  time   %s" % _text(result["seconds"], "s"))
    if result["total_of"]:
        lines.append(
            "  energy %s   (%s)"
            % (_text(result["total_joules"], "J"), "+".join(result["total_of"]))
        )
        if result["total_net_joules"]:
            lines.append("  net    %s   (less idle power)" % _text(result["total_net_joules"], "J"))
    for label, mean in result["joules"].items():
        net = result["net_joules"][label]
        lines.append(
            "    %-18s %s%s"
            % (label, _text(mean, "J"), "   net %s" % _text(net, "J") if net else "")
        )
    first = result["runs"][0]["rails"]
    for label, row in first.items():
        if not row["refused"]:
            lines.append(
                "    %-18s %.4g readings/s, largest gap %.3g ms"
                % (label, row["effective_hz"], 1e3 * (row["largest_gap_s"] or 0.0))
            )
    lines += ["  refused: " + text for text in result["refused"]]
    sampler = result["sampler"]
    if sampler:
        lines.append(
            "  sampler: %d samples, %d lost, %.2f %% of a core"
            % (sampler["samples"], sampler["lost"], 100 * sampler["core_fraction"])
        )
    if result["sampler_power"]:
        for label, change in result["sampler_power"]["change_watts"].items():
            text = "-" if change is None else "%+.4f W" % change
            lines.append("  sampling changes the power of %s by %s" % (label, text))
    codes = sorted({run["exit_code"] for run in result["runs"]} - {0})
    if codes:
        lines.append("  the command failed: exit code %s" % ", ".join(map(str, codes)))
    return lines


def _text(mean: Optional[Dict[str, Any]], unit: str) -> str:
    if mean is None:
        return "-"
    text = "%.5g %s" % (mean["mean"], unit)
    if mean["deviation"] is not None:
        text += " +- %.2g" % mean["deviation"]
    if mean["interval"] is not None:
        text += " (95 %%: %.5g to %.5g)" % tuple(mean["interval"])
    return text
