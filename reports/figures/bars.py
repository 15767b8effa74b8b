"""One number for each configuration as bars: GMAC (Fig. S3), peak memory, energy, data size."""
# board: no

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from reports.figures.categories import Categories, Place
from reports.figures.style import BLUE, GREEN, GREY, ORANGE, SKY, new_figure, width_in
from reports.values import Value

# Group -> colour and hatch; further groups, of a user's own configurations, take the last one.
_GROUPS = {"LC": (GREY, ""), "SC": (ORANGE, "////"), "Ours": (BLUE, "")}
_OTHER = (SKY, "....")
_SETS = ((BLUE, ""), (SKY, "////"), (GREEN, "...."))


@dataclass(frozen=True)
class BarPanel:
    """A panel: its title and, for each set of bars, the set's name and a value for each place."""

    title: str
    sets: dict[str, Sequence[Value]]


def bar_figure(
    places: Sequence[Place],
    panels: Sequence[BarPanel],
    ylabel: str,
    notes: list[str],
    log: bool = False,
) -> Figure:
    """Bars from zero, a panel above the other; one set is coloured by group, several by set.

    `log`: a logarithmic scale, for sizes that differ by orders of magnitude.
    """
    categories = Categories(places)
    figure, axes = new_figure(len(panels), width_in(len(places)), notes)
    for panel, axis in zip(panels, axes, strict=True):
        if log:
            axis.set_yscale("log")
        _panel(axis, categories, panel)
        low, high = axis.get_ylim()
        room = 1.2 if categories.crowded else 1.1
        axis.set_ylim(low, high * room ** (4 if log else 1))
        axis.set_title(panel.title, loc="left")
        axis.set_ylabel(ylabel)
        categories.prepare(axis, last=axis is axes[-1])
    if len(panels[0].sets) > 1:
        axes[0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 0.98), borderaxespad=0.2)
    return figure


def _panel(axis: object, categories: Categories, panel: BarPanel) -> None:
    slots = len(panel.sets)
    width = categories.width(slots)
    for i, (name, values) in enumerate(panel.sets.items()):
        offset = (i - (slots - 1) / 2) * width
        colours, hatches = _look(categories.places, i, slots)
        axis.bar(  # type: ignore[attr-defined]
            categories.x + offset,
            [v.value or 0.0 for v in values],
            width,
            label=name,
            color=colours,
            hatch=hatches,
            edgecolor="black",
            linewidth=0.4,
        )
        categories.error_bars(axis, categories.x + offset, values)
        tops = [value.high or value.value for value in values]
        categories.label_values(axis, tops, [v.value for v in values], offset)


def _look(places: Sequence[Place], index: int, slots: int) -> tuple[list[str], list[str]]:
    if slots > 1:
        looks = [_SETS[index % len(_SETS)]] * len(places)
    else:
        looks = [_GROUPS.get(place.group, _OTHER) for place in places]
    return [colour for colour, _ in looks], [hatch for _, hatch in looks]
