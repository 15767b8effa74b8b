"""A figure before it is drawn."""
# board: no

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from splitwatt.reports.figures.style import FORMATS


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: its file name, texts and sources (empty: no number to show).

    No sentence is in the picture itself: `under` is its caption.
    """

    name: str
    title: str
    caption: str
    sources: str
    draw: Callable[[], Figure]

    @property
    def under(self) -> str:
        """The caption with the sources, as one paragraph without the title."""
        return f"{self.caption} Sources: {self.sources}."

    @property
    def files(self) -> list[str]:
        """The names of its files, in every format."""
        return [f"{self.name}.{suffix}" for suffix in FORMATS]
