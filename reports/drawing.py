"""A figure before it is drawn."""
# board: no

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: its file name, its words, its sources (empty: no number to show)."""

    name: str
    title: str
    caption: str
    sources: str
    draw: Callable[[], Figure]
