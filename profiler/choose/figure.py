"""The Pareto front as a figure: latency against quality, or against bytes where that is not known."""
# board: no

from __future__ import annotations

from collections.abc import Sequence

from splitwatt.device_configs.files import write_atomic_with
from splitwatt.profiler.choose.front import MET, MISSED, OPEN, Bounds, Candidate

_LOOKS = {MET: ("o", "#0072b2"), OPEN: ("s", "#e69f00"), MISSED: ("x", "#777777")}


def draw_front(path: str, rows: Sequence[Candidate], bounds: Bounds, quality: str) -> None:
    """Write the figure as a PDF; `quality` says what the candidates' quality is, "" without any."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.quality is not None] if quality else list(rows)
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()

    def height(row: Candidate) -> float:
        return row.quality.value if quality and row.quality else row.bytes / 1000

    for verdict, (marker, colour) in _LOOKS.items():
        own = [row for row in shown if row.verdict == verdict]
        if own:
            label = {MET: "meets the bounds", OPEN: "not certain", MISSED: "misses a bound"}[
                verdict
            ]
            axes.plot([row.latency.value for row in own], [height(row) for row in own], marker,
                      color=colour, label=label)  # fmt: skip
    front = sorted((row for row in shown if row.front), key=lambda row: row.latency.value)
    axes.plot([row.latency.value for row in front], [height(row) for row in front], "-",
              color="#444444", linewidth=0.8, zorder=0, label="Pareto front")  # fmt: skip
    for row in front:
        axes.annotate(row.config, (row.latency.value, height(row)), fontsize=7,
                      xytext=(3, 3), textcoords="offset points")  # fmt: skip
    axes.axvline(bounds.deadline_s, linestyle=":", color="#d55e00", label="deadline")
    axes.set_xlabel("latency that %g %% of frames stay within [s]" % (100 * bounds.share))
    axes.set_ylabel(quality or "bytes per frame [kB]")
    axes.legend(fontsize=7, frameon=False)
    FigureCanvasPdf(figure)
    write_atomic_with(path, lambda stream: figure.savefig(stream, format="pdf"))
