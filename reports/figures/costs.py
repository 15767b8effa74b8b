"""The figures of one cost for each configuration: what each shows, of which series."""
# board: no

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value
from splitwatt.reports.metrics import costs, stats

INTERVAL = f"Error bars: {stats.METHOD}."


def every(series: list[Series]) -> list[Series]:
    """A panel for each board and backend."""
    return series


def one_per_board(series: list[Series]) -> list[Series]:
    """A panel for each board: its graphs are the same on all of its backends."""
    return list({s.board: s for s in reversed(series)}.values())[::-1]


def one_per_run(series: list[Series]) -> list[Series]:
    """A panel for each run: its backends send the same bytes."""
    return list({s.run.id: s for s in reversed(series)}.values())[::-1]


@dataclass(frozen=True)
class CostFigure:
    """A figure: its file name, its words, and the value that each set of bars shows.

    `sets`: the values of each set; one set is drawn as bars, several as dots on a logarithmic
    scale. `error_bars`: what they are, for caption and figure. `shows_bytes`: untrained weights
    are told in it; `shows_energy`: a made-up sensor is; `shows_time` and that: throttling is.
    """

    name: str
    title: str
    caption: str
    ylabel: str
    sets: Mapping[str, Callable[[Entry], Value]]
    error_bars: str = ""
    series: Callable[[list[Series]], list[Series]] = every
    only_split: bool = False
    shows_bytes: bool = False
    shows_energy: bool = False
    shows_time: bool = False


COST_FIGURES = (
    CostFigure(
        name="gmac",
        title="Local GMAC (Fig. S3)",
        caption="Giga multiply-accumulates on the board for one image, counted from the exported "
        "graphs at the bundles' stated input sizes.",
        ylabel="Local GMAC",
        sets={"": costs.local_gmac},
        series=one_per_board,
    ),
    CostFigure(
        name="energy",
        title="Energy (Figs. 7, 8)",
        caption="Energy of the board for one image, gross: its total rail over the block's "
        "inferences, waiting for a simulated link not included.",
        error_bars="Error bars: 95 % bootstrap interval over equal pieces of the block.",
        ylabel="Energy [J]",
        sets={"": costs.energy_j},
        shows_energy=True,
    ),
    CostFigure(
        name="energy_net",
        title="Energy, net of idle power",
        caption="Energy of the board for one image, less what the idle board would have used "
        "in that time.",
        ylabel="Net energy [J]",
        sets={"": costs.net_energy_j},
        shows_energy=True,
    ),
    CostFigure(
        name="data_size",
        title="Data size",
        caption="Median bytes for one image, all its requests together, logarithmic scale: the "
        "bitstreams, what went up the wire with headers, the pickled object that sc2bench "
        "measures, and the published mean, or the estimate of it, where the run charges it to the "
        "link.",
        error_bars=INTERVAL,
        ylabel="Data size [KiB]",
        sets={
            "Payload": costs.payload_kib,
            "Wire up": costs.wire_up_kib,
            "Pickled (sc2bench)": costs.legacy_pickled_kib,
            "Published or estimated": costs.published_payload_kib,
        },
        series=one_per_run,
        only_split=True,
        shows_bytes=True,
    ),
    CostFigure(
        name="memory",
        title="Peak memory (Table S1)",
        caption="Peak memory of the board's process, the highest of its blocks; 1 GB = 10^9 bytes.",
        ylabel="Peak memory [GB]",
        sets={"": costs.peak_memory_gb},
    ),
)
