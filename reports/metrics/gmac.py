"""Operations on the board, counted from the exported graphs."""

from splitwatt.reports.load.model import Entry
from splitwatt.reports.load.values import Value, exact, missing, unique
from splitwatt.reports.metrics.metric import Chart, Metric, one_per_board


def local_gmac(entry: Entry) -> Value:
    """Giga multiply-accumulates on the board per image, counted from the exported graphs.

    Entropic Student runs its encoder three times, at three sizes: all three count.
    """
    if entry.undescribed:
        return missing(entry.undescribed)
    stated = [part.get("gmac") for part in entry.board_parts]
    gmac = [float(value) for value in stated if value is not None]
    if not gmac or len(gmac) < len(stated):
        return missing("the bundle does not state its operations")
    return exact(sum(gmac), "estimated")


def gmac_sizes(entry: Entry) -> str:
    """The input sizes at which its operations were counted, height x width: `320x416`."""
    shapes = [shape for part in entry.board_parts for shape in (part.get("gmac_at") or {}).values()]
    return ", ".join(unique(f"{s[-2]}x{s[-1]}" for s in shapes if len(s) == 4))


_NOTE = "GMAC: counted from the exported graphs, at the input sizes that the bundles state."
_CHART = Chart(
    "gmac",
    "Local GMAC (Fig. S3)",
    "Giga multiply-accumulates on the board per image, counted from the exported graphs at the input "
    "sizes that the bundles state.",
    "Local GMAC",
    {"": local_gmac},
    panels=one_per_board,
)
METRICS = (
    Metric(
        "local_gmac", "Local GMAC", "", local_gmac, 20, ("summary", "costs", "compare"), note=_NOTE,
        word="Gmac", stated="gmac", charts=(_CHART,),
    ),
)  # fmt: skip
