"""One number for each configuration as bars from zero: GMAC (Fig. S3), peak memory, energy."""
# board: no

from collections.abc import Sequence

from matplotlib.figure import Figure

from splitwatt.reports.figures.categories import Categories, Panel, Place
from splitwatt.reports.figures.style import new_figure, panel_title, system_look, width_in


def bars(places: Sequence[Place], panels: Sequence[Panel], ylabel: str) -> Figure:
    """Bars coloured by group, the value of each above it; only a panel's first set is drawn."""
    categories = Categories(places)
    figure, axes = new_figure(len(panels), width_in(len(places)), names_in=categories.names_in)
    looks = [system_look(place.group) for place in places]
    for panel, axis in zip(panels, axes, strict=True):
        values = next(iter(panel.sets.values()))
        axis.bar(
            categories.x,
            [value.value or 0.0 for value in values],
            categories.bar_width,
            color=[colour for colour, _ in looks],
            hatch=[hatch for _, hatch in looks],
            edgecolor="black",
            linewidth=0.4,
        )
        categories.error_bars(axis, categories.x, values)
        categories.leave_room(axis, values)
        categories.label_values(axis, values)
        panel_title(axis, panel.title)
        axis.set_ylabel(ylabel)
        categories.name_places(axis, last=axis is axes[-1])
    return figure
