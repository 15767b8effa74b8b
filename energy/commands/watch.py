"""The rails live in a terminal: watts, joules so far and a sparkline each."""

import contextlib
import sys
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional

from splitwatt.device_configs.printable import printable, say, table
from splitwatt.energy.rails.rail import add_up
from splitwatt.energy.sampler.sampler import Latest, Sampler

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-~=+*#"  # for terminals without a known encoding, as over a bare ssh
_WIDTH = 20  # bars of a sparkline at most


def sparkline(values: List[Optional[float]], bars: str = _BARS) -> str:
    """Bars of eight heights, from the least to the greatest value; a blank for None."""
    known = [v for v in values if v is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if v is None else bars[int(round((v - low) * scale))] for v in values)


def can_show(text: str, encoding: Optional[str]) -> bool:
    """Whether a terminal of this encoding can show a text."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def watch(
    sources: Dict[str, Any], interval_s: float, seconds: Optional[float], show: bool
) -> Dict[str, Any]:
    """Show the rails until Ctrl-C or for `seconds`; returns the last reading as JSON."""
    bars = _BARS if can_show(_BARS, sys.stdout.encoding) else _PLAIN_BARS
    latest: Optional[Latest] = None
    with Sampler(every_s=min(0.2, interval_s), **sources) as sampler, _screen(show) as draw:
        about = sampler.about
        history: List[Deque[Optional[float]]] = [deque(maxlen=_WIDTH) for _ in about["rails"]]
        end = float("inf") if seconds is None else time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                time.sleep(max(0.0, min(interval_s, end - time.monotonic())))
                latest = sampler.latest
                if latest is not None:
                    for line, watts in zip(history, latest.watts):
                        line.append(watts)
                    draw(_text(about, latest, history, bars))
        except KeyboardInterrupt:
            pass  # the usual way to end it
    return _document(about, latest)


@contextlib.contextmanager
def _screen(show: bool) -> Iterator[Callable[[str], None]]:
    """Draws a text in place on a terminal, below the last one elsewhere, or nowhere."""
    if not show:
        yield lambda text: None
    elif not sys.stdout.isatty():
        yield say
    else:
        from rich.live import Live
        from rich.text import Text

        with Live(refresh_per_second=10) as live:
            yield lambda text: live.update(Text(printable(text)))


def watts_text(watts: Optional[float]) -> str:
    """A power for a table."""
    return "-" if watts is None else "%.3f W" % watts


def _text(about: Dict[str, Any], latest: Latest, history: List[Any], bars: str) -> str:
    rows = [("rail", "power", "energy", "last readings", "lowest to highest")]
    for rail, watts, joules, past in zip(about["rails"], latest.watts, latest.joules, history):
        known = [value for value in past if value is not None]
        rows.append(
            (
                rail["label"],
                watts_text(watts),
                "-" if joules is None else "%.2f J" % joules,
                sparkline(list(past), bars),
                "%.2f to %.2f W" % (min(known), max(known)) if known else "",
            )
        )
    total = add_up(latest.total(about), latest.of(about, "watts"))
    return "%s\ntotal %s, %d samples at %.4g Hz, %d lost, target %s, %s" % (
        table(rows, drop=["last readings"]),
        watts_text(total),
        latest.samples,
        about["hz"],
        latest.lost,
        about["target"] or "none",
        about["provenance"],
    )


def _document(about: Dict[str, Any], latest: Optional[Latest]) -> Dict[str, Any]:
    total = latest.total(about) if latest else tuple(about["total"])
    rows = [
        {
            "name": rail["label"],
            "watts": latest.watts[i] if latest else None,
            "joules": latest.joules[i] if latest else None,
            "total": total == (rail["label"],),
        }
        for i, rail in enumerate(about["rails"])
    ]
    return {
        "target": about["target"],
        "provenance": about["provenance"],
        "rails": rows,
        "samples": latest.samples if latest else 0,
        "lost": latest.lost if latest else 0,
    }
