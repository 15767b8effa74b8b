"""The rails live in a terminal: watts, joules so far and a sparkline each."""

import shutil
import sys
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from splitwatt.device_configs.cli import say
from splitwatt.device_configs.printable import printable
from splitwatt.energy.rails.total import add_up
from splitwatt.energy.sampler.sampler import Latest, Sampler

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-~=+*#"  # for terminals without a known encoding, as over a bare ssh
# Bars of a sparkline at most and at least, and the columns next to them.
_WIDTH = 40
_NARROWEST = 8
_BESIDE = 45


def sparkline(values: List[Optional[float]], bars: str = _BARS) -> str:
    """Bars of eight heights, from the least to the greatest value; a blank for None."""
    known = [v for v in values if v is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if v is None else bars[int(round((v - low) * scale))] for v in values)


def bars_of(encoding: Optional[str]) -> str:
    """The bars that a terminal of this encoding can show."""
    try:
        _BARS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _PLAIN_BARS
    return _BARS


def watch(
    sources: Dict[str, Any], interval_s: float, seconds: Optional[float], show: bool
) -> Dict[str, Any]:
    """Show the rails until Ctrl-C or for `seconds`; returns the last reading as JSON."""
    with Sampler(every_s=min(0.2, interval_s), **sources) as sampler:
        return _loop(sampler, interval_s, seconds, show)


def _loop(
    sampler: Sampler, interval_s: float, seconds: Optional[float], show: bool
) -> Dict[str, Any]:
    about = sampler.about
    history: List[Deque[Optional[float]]] = [deque(maxlen=_WIDTH) for _ in about["rails"]]
    end = None if seconds is None else time.monotonic() + seconds
    bars = bars_of(sys.stdout.encoding)  # before rich replaces it by something without one
    screen = _Screen() if show else None
    latest: Optional[Latest] = None
    try:
        while end is None or time.monotonic() < end:
            time.sleep(
                interval_s if end is None else max(0.0, min(interval_s, end - time.monotonic()))
            )
            latest = sampler.latest
            if latest is None:
                continue
            for line, watts in zip(history, latest.watts):
                line.append(watts)
            if screen is not None:
                screen.draw(_lines(about, latest, history, bars))
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        if screen is not None:
            screen.close()
    return _document(about, latest)


def _lines(about: Dict[str, Any], latest: Latest, history: List[Any], bars: str) -> List[str]:
    wide = max([len(rail["label"]) for rail in about["rails"]] + [5])
    room = shutil.get_terminal_size().columns - wide - _BESIDE
    room = max(_NARROWEST, min(_WIDTH, room))
    lines = []
    for rail, watts, joules, past in zip(about["rails"], latest.watts, latest.joules, history):
        lines.append(
            "%-*s %9s %12s  %-*s  %s"
            % (
                wide,
                rail["label"],
                "-" if watts is None else "%.3f W" % watts,
                "-" if joules is None else "%.2f J" % joules,
                room,
                sparkline(list(past)[-room:], bars),
                _range(past),
            )
        )
    total = add_up(latest.total(about), latest.of(about, "watts"))
    lines.append(
        "%-*s %9s   %d samples at %.4g Hz, %d lost, target %s, %s"
        % (
            wide,
            "total",
            "-" if total is None else "%.3f W" % total,
            latest.samples,
            about["hz"],
            latest.lost,
            about["target"] or "none",
            about["provenance"],
        )
    )
    return lines


def _range(past: Deque[Optional[float]]) -> str:
    """The power of the lowest and the highest bar."""
    known = [watts for watts in past if watts is not None]
    return "%.2f to %.2f W" % (min(known), max(known)) if known else ""


def _document(about: Dict[str, Any], latest: Optional[Latest]) -> Dict[str, Any]:
    rows = []
    total = latest.total(about) if latest else tuple(about["total"])
    for i, rail in enumerate(about["rails"]):
        rows.append(
            {
                "name": rail["label"],
                "watts": latest.watts[i] if latest else None,
                "joules": latest.joules[i] if latest else None,
                "total": total == (rail["label"],),
            }
        )
    return {
        "target": about["target"],
        "provenance": about["provenance"],
        "rails": rows,
        "samples": latest.samples if latest else 0,
        "lost": latest.lost if latest else 0,
    }


class _Screen(object):
    """Draws lines in place on a terminal that has rich, one below the other elsewhere."""

    def __init__(self) -> None:
        self._live: Any = None
        if sys.stdout.isatty():
            try:
                from rich.live import Live

                self._live = Live(refresh_per_second=10)
                self._live.start()
            except ImportError:
                pass  # plain lines then

    def draw(self, lines: List[str]) -> None:
        if self._live is None:
            say("\n".join(lines))
            return
        from rich.text import Text

        self._live.update(Text(printable("\n".join(lines))))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
