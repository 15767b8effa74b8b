"""The Pareto front as a figure: latency against quality, joules and bytes."""
# board: no

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from splitwatt.device_configs.files import write_atomic_with
from splitwatt.profiler.choose.front import MET, MISSED, OPEN, Bounds, Candidate

_LOOKS = {
    MET: ("o", "#0072b2", "meets the bounds"),
    OPEN: ("s", "#e69f00", "not certain"),
    MISSED: ("x", "#777777", "misses a bound"),
}
_LIMIT = "#d55e00"
# A configuration's height in a panel; None where it is not known.
Height = Callable[[Candidate], "float | None"]


def draw_front(path: str, rows: Sequence[Candidate], bounds: Bounds, quality: str) -> None:
    """Write the figure as a PDF: latency against quality, joules and bytes, a panel for each of these
    that is known of a configuration.

    Args:
        path: of the PDF.
        rows: the configurations.
        bounds: the deadline is a line in every panel, the others in their own.
        quality: what the candidates' quality is, "" without any.
    """
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    panels: list[tuple[str, Height, float | None]] = [
        (quality, lambda row: row.quality and row.quality.value, bounds.min_quality),
        ("joules per frame [J]", lambda row: row.joules and row.joules.value, bounds.max_joules),
        ("bytes per frame [kB]", lambda row: row.bytes / 1000, None),
    ]
    panels = [one for one in panels if any(one[1](row) is not None for row in rows)]
    figure = Figure(figsize=(5.0, 2.6 * len(panels) + 0.6), layout="constrained")
    plots = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (label, height, limit) in zip(plots, panels, strict=True):
        _draw_panel(axes, rows, height)
        axes.axvline(bounds.deadline_s, linestyle=":", color=_LIMIT, label="deadline")
        if limit is not None:
            axes.axhline(limit, linestyle="--", color=_LIMIT, label="bound")
        axes.set_ylabel(label, fontsize=8)
    plots[-1].set_xlabel("latency that %g %% of frames stay within [s]" % (100 * bounds.share))
    entries = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in plots]
    named = {label: handle for panel in entries for handle, label in panel}
    plots[-1].legend(list(named.values()), list(named), fontsize=7, frameon=False)
    FigureCanvasPdf(figure)
    write_atomic_with(path, lambda stream: figure.savefig(stream, format="pdf"))


def _draw_panel(axes: Any, rows: Sequence[Candidate], height: Height) -> None:
    known = [row for row in rows if height(row) is not None]
    for verdict, (marker, colour, label) in _LOOKS.items():
        own = [row for row in known if row.verdict == verdict]
        if own:
            axes.plot([row.latency.value for row in own], [height(row) for row in own], marker,
                      color=colour, label=label)  # fmt: skip
    front = sorted((row for row in known if row.front), key=lambda row: row.latency.value)
    axes.plot([row.latency.value for row in front], [height(row) for row in front], "-",
              color="#444444", linewidth=0.8, zorder=0, label="Pareto front")  # fmt: skip
    for row in front:
        axes.annotate(row.config, (row.latency.value, height(row)), fontsize=7,
                      xytext=(3, 3), textcoords="offset points")  # fmt: skip
