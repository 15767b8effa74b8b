"""`splitwatt whatif RUN`: a run at other rates and server speeds."""

import argparse
from typing import Any, Dict, List, Optional, Sequence, Tuple

from splitwatt.device_configs.cli import number, parser, print_json, say
from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.device_configs.names import check_known, suggestion
from splitwatt.profiler.analyse.breakeven import BreakEven, break_even, pairs
from splitwatt.profiler.analyse.rates import Case, cases, charged_by, over_measured
from splitwatt.profiler.analyse.summary import columns
from splitwatt.profiler.links.link import PAYLOAD, SIMULATED, WIRE
from splitwatt.profiler.links.parse import parse_rate
from splitwatt.profiler.links.presets import PRESETS
from splitwatt.profiler.records.run import Run, read_run
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED

EXAMPLE = "splitwatt whatif runs/table3-20261121-101500 --rate 250kbit --server-speed 4"


def whatif(argv: List[str]) -> int:
    """The command; its exit code."""
    options = _parser().parse_args(argv)
    run = read_run(options.run)
    charged = options.bytes or charged_by(run)
    if options.backend is not None:
        check_known("backend", options.backend, run.config.backends)
    shown = [c for c in cases(run, charged) if options.backend in (None, c.backend)]
    if not shown:
        raise RunError("%s has no samples to work with" % options.run, "profile first")
    rates = [_named(text) for text in options.rate] or _rates(run)
    speeds = options.server_speed or [1.0]
    events = [
        event for speed in speeds for event in _break_evens(shown, speed, options.pair)
    ]  # fmt: skip
    notes = _notes(run, charged, shown)
    if options.json:
        print_json(_document(run, charged, shown, rates, speeds, events, notes))
        return 0
    for speed in speeds:
        if len(speeds) > 1 or speed != 1.0:
            say("server %g times as fast as the run's" % speed)
        say(_table(shown, rates, speed))
    say()
    for event in events:
        say(_told(event, len(speeds) > 1))
    for sentence in notes:
        say("note: " + sentence)
    return 0


def _break_evens(shown: Sequence[Case], speed: float, asked: Sequence[str]) -> List[BreakEven]:
    events = []
    for backend in sorted({case.backend for case in shown}):
        own = [case for case in shown if case.backend == backend]
        chosen = [_pair(own, text) for text in asked] if asked else pairs(own, speed)
        events += [break_even(one, two, speed) for one, two in chosen]
    return events


def _pair(shown: Sequence[Case], text: str) -> Tuple[Case, Case]:
    known = {case.config.lower(): case for case in shown}
    names = [name.strip().lower().replace(" ", "") for name in text.split(",")]
    if len(names) != 2 or names[0] == names[1]:
        raise UsageError("'--pair %s' must name two configurations" % text, "as --pair LC1,Ours1")
    for name in names:
        if name not in known:
            ids = [case.config for case in shown]
            raise UsageError("the run has no samples of '%s'" % name, suggestion(name, ids))
    return known[names[0]], known[names[1]]


def _named(text: str) -> Tuple[str, float]:
    preset = PRESETS.get(text.strip().lower())
    return (preset.name, preset.rate_kbit_s) if preset else (text, parse_rate(text))


def _rates(run: Run) -> List[Tuple[str, float]]:
    """The run's own, then the presets that it has not."""
    shown = [(link.name, link.rate_kbit_s) for link in run.config.links if link.rate_kbit_s]
    known = [rate for _, rate in shown]
    return shown + [(p.name, p.rate_kbit_s) for p in PRESETS.values() if p.rate_kbit_s not in known]


def _table(shown: Sequence[Case], rates: Sequence[Tuple[str, float]], speed: float) -> str:
    energy = any(case.joules is not None for case in shown)
    header = ["config", "backend", "n"] + ["%s, s" % name for name, _ in rates]
    header += ["%s, J" % name for name, _ in rates] if energy else []
    rows = [header]
    for case in shown:
        cells = [case.config, case.backend, str(len(case.rest_s))]
        cells += ["%.3f" % case.median_s(rate, speed) for _, rate in rates]
        if energy:
            joules = [case.energy_j(rate, speed) for _, rate in rates]
            cells += ["-" if value is None else "%.3f" % value for value in joules]
        rows.append(cells)
    return columns(rows)


def _told(event: BreakEven, with_speed: bool) -> str:
    text = "%s (%s)" % (event.sentence, event.backend)
    if event.kbit_s is not None:
        low = "0" if event.low_kbit_s is None else "%.4g" % event.low_kbit_s
        high = "no limit" if event.high_kbit_s is None else "%.4g" % event.high_kbit_s
        text += ", 95 %% interval %s to %s kbit/s" % (low, high)
    return text + (", server x %g" % event.speed if with_speed else "")


def _notes(run: Run, charged: str, shown: Sequence[Case]) -> List[str]:
    notes = ["links are charged with the %s" % _CHARGED[charged]]
    taken = over_measured(run)
    if taken:
        notes.append(
            "samples were taken over the link '%s': its time is left out of them" % taken[0]
        )
    if any(link.latency_ms or link.loss or link.downlink_kbit_s for link in run.config.links):
        notes.append("latency, loss and downlinks of the run's links are left out")
    notes += _published(run, shown)
    if any(not bundle["trained"] for bundle in run.bundles.values()):
        notes.append("some weights are untrained: their bytes mean nothing")
    if any(case.joules is not None for case in shown):
        notes.append("joules are measured; those of waiting longer are idle power x time")
    few = [case.config for case in shown if len(case.rest_s) < 5]
    if few:
        notes.append("fewer than 5 samples of %s: intervals say little" % ", ".join(sorted(few)))
    return notes


def _published(run: Run, shown: Sequence[Case]) -> List[str]:
    """Whose sizes links carry, where the config says `payload: published`."""
    if run.config.payload != PUBLISHED:
        return []
    whose: Dict[Optional[str], List[str]] = {}
    for case in shown:
        sources = {s.published_payload_source for s in run.measured(case.config, case.backend)}
        if case.split:
            # As reports have it: of both kinds, the lesser one.
            source = next((s for s in (None, ESTIMATED) if s in sources), PUBLISHED)
            whose.setdefault(source, []).append(case.config)
    notes = []
    for source, what in _SIZES.items():
        if source in whose:
            configs = sorted(set(whose[source]), key=whose[source].index)
            notes.append("payloads of %s are %s" % (", ".join(configs), what))
    return notes


_SIZES = {
    PUBLISHED: "the published means",
    ESTIMATED: "estimated, for nobody has published them",
    None: "the measured ones, for nobody has published them and nothing estimates them",
}

_CHARGED = {PAYLOAD: "payload alone", WIRE: "payload, headers and framing"}


def _document(
    run: Run,
    charged: str,
    shown: Sequence[Case],
    rates: Sequence[Tuple[str, float]],
    speeds: Sequence[float],
    events: Sequence[BreakEven],
    notes: Sequence[str],
) -> Dict[str, Any]:
    return {
        "run": run.path,
        "charged": charged,
        "source": SIMULATED,
        "configurations": [
            {
                "config": case.config,
                "backend": case.backend,
                "samples": len(case.rest_s),
                "at": [_entry(case, n, r, s) for s in speeds for n, r in rates],
            }
            for case in shown
        ],
        "break_even": [dict(event._asdict()) for event in events],
        "notes": list(notes),
    }


def _entry(case: Case, name: str, rate: float, speed: float) -> Dict[str, Any]:
    low, high = case.interval_s(rate, speed)
    return {
        "link": name,
        "rate_kbit_s": rate,
        "server_speed": speed,
        "median_s": case.median_s(rate, speed),
        "low_s": low,
        "high_s": high,
        "board_joules": case.energy_j(rate, speed),
    }


def _parser() -> argparse.ArgumentParser:
    result = parser("whatif", "A run at other link rates and server speeds.", EXAMPLE)
    add = result.add_argument
    add("run", metavar="RUN", help="a run folder")
    add("--rate", metavar="RATE", action="append", default=[],
        help="as 250kbit, or a preset's name; may be repeated (default: the run's and presets)")  # fmt: skip
    add("--server-speed", metavar="X", action="append", type=number(0.001, 1e6),
        help="a server X times as fast as the run's; may be repeated (default: 1)")  # fmt: skip
    add("--bytes", choices=(PAYLOAD, WIRE), help="what links are charged with (default: the run's)")
    add("--backend", help="of this backend alone")
    add("--pair", metavar="A,B", action="append", default=[],
        help="the break-even of these two instead of the default ones; may be repeated")  # fmt: skip
    return result
