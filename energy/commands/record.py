"""Joules of any command: `splitwatt energy record -- COMMAND`."""

import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.cli import note, time_left
from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.commands.integrate import edge_warnings, figures, not_measured
from splitwatt.energy.commands.watch import can_show
from splitwatt.energy.joules.confidence import bootstrap_mean
from splitwatt.energy.joules.windows import IDLE
from splitwatt.energy.monitor import EnergyMonitor

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
) -> Dict[str, Any]:
    """Run a command and measure it.

    Args:
        command: program and arguments, run as they are (no shell).
        sources: `target`, `sysfs`, `driver`, `options` (see `splitwatt.energy.rail_set.open_rails`).
        runs, warmup: how often it runs, measured and before.
        idle_s: how long nothing runs before and after, to measure the idle power, s.
        hz: samples a second; None: twice the sensor's own rate.
        trace_path: keep the trace there.
        quiet: send the command's output to standard error.

    Returns:
        {"command", "runs": [...], "joules": {label: MEAN}, "idle": {...}, "sampler": {...}, ...}.

    Raises:
        SensorError: no sensor, or the command cannot be started.
    """
    codes: List[int] = []
    monitor = EnergyMonitor(trace_path=trace_path, hz=hz, **sources)
    try:
        with monitor:
            start_s, every = time.monotonic(), warmup + runs
            for done in range(every):
                if done == warmup and idle_s > 0:
                    monitor.idle(idle_s)
                if done < warmup:
                    _run(command, quiet)
                else:
                    monitor.begin(_RUN)
                    codes.append(_run(command, quiet))
                    monitor.end(_RUN)
                left = time_left(done + 1, every, time.monotonic() - start_s)
                if left:
                    note("run %d of %d is done, %s" % (done + 1, every, left))
            if idle_s > 0:
                monitor.idle(idle_s)
        return _document(command, monitor, codes, trace_path)
    finally:
        monitor.close()


def _run(command: List[str], quiet: bool) -> int:
    try:
        return subprocess.call(command, stdout=sys.stderr if quiet else None)
    except OSError as error:
        raise SensorError(
            "'%s' cannot be run: %s" % (command[0], error.strerror or error),
            "name a program of $PATH, or its path",
        )


def _document(
    command: List[str],
    monitor: EnergyMonitor,
    codes: List[int],
    trace_path: Optional[str],
) -> Dict[str, Any]:
    results = monitor.results()
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
        "total_of": list(monitor.trace().total),
        "recorded_wall_s": time.time(),
        "runs": runs,
        "seconds": _mean([r["seconds"] for r in runs]),
        "total_joules": _mean([r["total_joules"] for r in runs]),
        "total_net_joules": _mean([r["total_net_joules"] for r in runs]),
        "joules": {k: _mean([r["rails"][k]["joules"] for r in runs]) for k in labels},
        "net_joules": {k: _mean([r["net_joules"][k] for r in runs]) for k in labels},
        "idle_watts": {k: [r.rails[k].mean_watts for r in idle] for k in labels} if idle else None,
        "sampler": monitor.stats,
        "hz": monitor.about["hz"],
        "events": monitor.trace().metadata.get("events", []),
        "trace": trace_path,
        "warnings": sorted(
            {text for r in measured for e in r.rails.values() for text in edge_warnings(e)}
        ),
        "refused": sorted({e.refused for r in measured for e in r.rails.values() if e.refused}),
    }


def _mean(values: List[Any]) -> Optional[Dict[str, Any]]:
    """Mean, deviation and interval over the runs; None if one of them has no value."""
    if None in values:
        return None
    mean = bootstrap_mean(values)
    return None if mean is None else dict(mean._asdict())


def as_lines(result: Dict[str, Any], encoding: Optional[str] = None) -> List[str]:
    """A result of `record` as text, like the output of hyperfine."""
    signs = ("\u00b1", "\u03c3", "\u2026")
    plus, sigma, dots = signs if can_show("".join(signs), encoding) else ("+-", "sigma", "...")
    runs = result["runs"]
    lines = not_measured(result["provenance"])
    lines.append("Benchmark: %s" % " ".join(result["command"]))

    def add(name: str, values: List[Any], unit: str, more: str = "") -> None:
        """Mean, deviation and range; "-" where one of the runs has no value."""
        mean = _mean(values)
        if mean is None:
            lines.append(_line(name + ":", "         -", more))
            return
        if mean["deviation"] is None:
            lines.append(_line(name + ":", "%10.4f %s" % (mean["mean"], unit), more))
            return
        spread = (mean["mean"], unit, plus, mean["deviation"], unit)
        lines.append(
            _line("%s (mean %s %s):" % (name, plus, sigma), "%10.4f %s %s %9.4f %s" % spread, more)
        )
        ends = (min(values), unit, dots.ljust(len(plus)), max(values), unit)
        lines.append(_line("Range (min %s max):" % dots, "%10.4f %s %s %9.4f %s" % ends))

    add("Time", [run["seconds"] for run in runs], "s")
    lines[-1] += "    %d run%s" % (len(runs), "" if len(runs) == 1 else "s")
    if result["total_of"]:
        of = "(%s)" % "+".join(result["total_of"])
        add("Energy", [run["total_joules"] for run in runs], "J", of)
        interval = (result["total_joules"] or {}).get("interval")
        if interval is not None:
            lines.append(_line("95 % interval:", "%10.4f J to %.4f J" % interval))
        if result["total_net_joules"]:
            add("Net", [run["total_net_joules"] for run in runs], "J", "(less idle power)")
    for label in result["joules"]:
        first = runs[0]["rails"][label]
        more = "[%.4g readings/s, largest gap %.3g ms]" % (
            first["effective_hz"],
            1e3 * (first["largest_gap_s"] or 0.0),
        )
        joules = [run["rails"][label]["joules"] for run in runs]
        add(label, joules, "J", "" if first["refused"] else more)
        if result["net_joules"][label]:
            add("  net", [run["net_joules"][label] for run in runs], "J")
    lines += ["  refused: " + text for text in result["refused"]]
    sampler = result["sampler"]
    if sampler:
        lines.append(
            "  Sampler: %d samples, %d lost, %.2f %% of a core"
            % (sampler["samples"], sampler["lost"], 100 * sampler["core_fraction"])
        )
    else:
        lines.append("  Sampler: blocked by a sensor and killed")
    lines += ["  warning: " + text for text in result["warnings"]]
    codes = sorted({run["exit_code"] for run in runs} - {0})
    if codes:
        lines.append("  the command failed: exit code %s" % ", ".join(map(str, codes)))
    return lines


def _line(name: str, figures: str, more: str = "") -> str:
    return ("  %-29s %s    %s" % (name, figures, more)).rstrip()
