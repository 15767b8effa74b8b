"""`splitwatt whatif RUN`: a run at other link rates, board speeds and server speeds."""

import argparse
from itertools import product
from typing import Any, Dict, List, Optional, Sequence, Tuple

from splitwatt.device_configs.cli import number, parser, print_json, say
from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.device_configs.printable import table
from splitwatt.profiler.analyse.breakeven import (
    AXES,
    BOARD,
    RATE,
    SERVER,
    BreakEven,
    Setting,
    break_even,
    pairs,
)
from splitwatt.profiler.analyse.conditions import measured_links, quota_note
from splitwatt.profiler.analyse.rates import Case, cases, charged_by
from splitwatt.profiler.links.link import PAYLOAD, SIMULATED, WIRE
from splitwatt.profiler.links.parse import PRESETS, parse_rate
from splitwatt.profiler.records.run import Run, read_run
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED

EXAMPLE = "splitwatt whatif runs/table3-20261121-101500 --rate 250kbit --board-speed 0.12"


def whatif(argv: List[str]) -> int:
    """The command; its exit code."""
    options = _parser().parse_args(argv)
    run = read_run(options.run)
    charged = charged_by(run)
    shown = cases(run)
    if not shown:
        raise RunError("%s has no samples to work with" % options.run, "profile first")
    rates = [_named(text) for text in options.rate] or _rates(run)
    speeds = list(product(options.board_speed or [1.0], options.server_speed or [1.0]))
    events = _break_evens(run, shown, rates, speeds, options.pair)
    notes = _notes(run, charged, shown, speeds)
    if options.json:
        at = [(name, Setting(r, s, b)) for b, s in speeds for name, r in rates]
        rows = [
            {
                "config": case.config,
                "backend": case.backend,
                "samples": len(case.rest_s),
                "at": [_entry(case, name, setting) for name, setting in at],
            }
            for case in shown
        ]
        print_json({
            "run": run.path, "charged": charged, "source": SIMULATED, "configurations": rows,
            "break_even": [event.to_json() for event in events], "notes": notes,
        })  # fmt: skip
        return 0
    for board, server in speeds:
        if len(speeds) > 1 or (board, server) != (1.0, 1.0):
            say("board %g and server %g times as fast as the run's (estimated)" % (board, server))
        say(_table(shown, rates, board, server))
    say()
    for event in events:
        say(_text(event, len(speeds) > 1))
    for sentence in notes:
        say("note: " + sentence)
    return 0


def _break_evens(
    run: Run,
    shown: Sequence[Case],
    rates: Sequence[Tuple[str, float]],
    speeds: Sequence[Tuple[float, float]],
    asked: Sequence[str],
) -> List[BreakEven]:
    """Each pair over the rate at all speeds, and over the speeds at the first rate."""
    events = []
    for axis, backend in product(AXES, sorted({case.backend for case in shown})):
        own = [case for case in shown if case.backend == backend]
        # The value of its own axis does not matter: each other value once.
        settings = {
            RATE: [Setting(1.0, server, board) for board, server in speeds],
            BOARD: [Setting(rates[0][1], s) for s in dict.fromkeys(s for _, s in speeds)],
            SERVER: [Setting(rates[0][1], 1.0, b) for b in dict.fromkeys(b for b, _ in speeds)],
        }[axis]
        for setting in settings:
            chosen = [_pair(run, own, text) for text in asked] or pairs(own, setting.server_speed)
            events += [
                break_even(one, two, setting, axis)
                for one, two in chosen
                if axis != SERVER or one.split or two.split
            ]
    return events


def _pair(run: Run, shown: Sequence[Case], text: str) -> Tuple[Case, Case]:
    ids = [row.id for row in run.config.only(text.split(",")).configurations]
    own = [case for case in shown if case.config in ids]
    if len(own) != 2:
        raise UsageError("'--pair %s' must name two configurations" % text, "as --pair LC1,Ours1")
    return own[0], own[1]


def _named(text: str) -> Tuple[str, float]:
    preset = PRESETS.get(text.strip().lower())
    return (preset.name, preset.rate_kbit_s) if preset else (text, parse_rate(text))


def _rates(run: Run) -> List[Tuple[str, float]]:
    """The run's own, then the presets that it has not."""
    shown = [(link.name, link.rate_kbit_s) for link in run.config.links if link.rate_kbit_s]
    known = [rate for _, rate in shown]
    return shown + [(p.name, p.rate_kbit_s) for p in PRESETS.values() if p.rate_kbit_s not in known]


def _table(
    shown: Sequence[Case], rates: Sequence[Tuple[str, float]], board: float, server: float
) -> str:
    energy = any(
        case.energy_j(rate, server, board) is not None for case in shown for _, rate in rates
    )
    header = ["config", "backend", "n"] + ["%s, s" % name for name, _ in rates]
    header += ["%s, J" % name for name, _ in rates] if energy else []
    rows = [header]
    for case in shown:
        cells = [case.config, case.backend, str(len(case.rest_s))]
        cells += ["%.3f" % case.median_s(rate, server, board) for _, rate in rates]
        if energy:
            own = [case.energy_j(rate, server, board) for _, rate in rates]
            cells += ["-" if value is None else "%.3f" % value for value in own]
        rows.append(cells)
    # Rates from the right, their joules first: those of the run, or named first, stay.
    return table(rows, rows[0][:3:-1] + ["n", "backend"])


def _text(event: BreakEven, with_speeds: bool) -> str:
    text = "%s (%s)" % (event.sentence, event.backend)
    if event.value is not None:
        low = "0" if event.low is None else "%.4g" % event.low
        high = "no limit" if event.high is None else "%.4g" % event.high
        unit = " kbit/s" if event.axis == RATE else ""
        text += ", 95 %% interval %s to %s%s" % (low, high, unit)
    if with_speeds:
        text += ", board x %g" % event.setting.board_speed if event.axis != BOARD else ""
        text += ", server x %g" % event.setting.server_speed if event.axis != SERVER else ""
    return text


def _notes(
    run: Run, charged: str, shown: Sequence[Case], speeds: Sequence[Tuple[float, float]]
) -> List[str]:
    quota = quota_note(run.document)
    notes = [] if quota is None else [quota]
    notes += ["links are charged with the %s" % _CHARGED[charged]]
    taken = measured_links(run.config)
    if taken:
        notes.append(
            "samples were taken over the link '%s': its time is left out of them" % taken[0].name
        )
    if any(link.latency_ms or link.loss or link.downlink_kbit_s for link in run.config.links):
        notes.append("latency, loss and downlinks of the run's links are left out")
    notes += _published(run, shown)
    if run.sends_untrained_bytes:
        notes.append("some weights are untrained: their bytes mean nothing")
    notes.append(
        "board and server speeds are multiples of the run's; figures at other speeds are estimated: "
        "measured stages are scaled, each part by its own machine"
    )
    if any(case.joules is not None for case in shown) and any(board != 1 for board, _ in speeds):
        notes.append("the power of another board is not known: it has no joules here")
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
        measured = run.measured(case.config, case.backend)
        sources = set(measured.by(lambda sample: sample.published_payload_source))
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


def _entry(case: Case, link: str, at: Setting) -> Dict[str, Any]:
    low, high = case.interval_s(*at)
    return {
        "link": link,
        **at._asdict(),
        "source": SIMULATED if at.server_speed == at.board_speed == 1.0 else ESTIMATED,
        "median_s": case.median_s(*at),
        "low_s": low,
        "high_s": high,
        "board_joules": case.energy_j(*at),
    }


def _parser() -> argparse.ArgumentParser:
    result = parser("whatif", "A run at other link rates, board speeds and server speeds.", EXAMPLE)
    add = result.add_argument
    add("run", metavar="RUN", help="a run folder")
    add("--rate", metavar="RATE", action="append", default=[],
        help="link rate, such as 250kbit, or a preset's name; may be repeated (default: the run's rates and the presets)")  # fmt: skip
    add("--board-speed", metavar="X", action="append", type=number(0.001, 1e6),
        help="a board X times as fast as the run's; may be repeated (default: 1)")  # fmt: skip
    add("--server-speed", metavar="X", action="append", type=number(0.001, 1e6),
        help="a server X times as fast as the run's; may be repeated (default: 1)")  # fmt: skip
    add("--pair", metavar="A,B", action="append", default=[],
        help="the break-even of these two instead of the default ones; may be repeated")  # fmt: skip
    return result
