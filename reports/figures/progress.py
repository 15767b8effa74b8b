"""Progress with time left, on standard error."""
# board: no

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def each(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items one by one, with a bar that goes when it is done; silent without a terminal."""
    console = Console(stderr=True)
    yield from track(items, what, console=console, transient=True, disable=not console.is_terminal)
