"""The configurations of runs as candidates, against bounds and against each other.

A bound is met where the end of the figure's interval meets it, missed where the figure itself does
not, and open in between or where the interval is not known.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from splitwatt.profiler.analyse.rates import Case, cases
from splitwatt.profiler.analyse.statistics import bound
from splitwatt.profiler.choose.quality import Figure, Quality
from splitwatt.profiler.records.run import Run

MET, MISSED, OPEN = "met", "missed", "open"
CONFIDENCE = 0.95
# A better value of these is a larger one.
_LARGER = ("quality",)


class Bounds(NamedTuple):
    """The bounds to meet; None: no bound.

    Attributes:
        deadline_s: for a `share` of the frames.
        min_quality: in percent.
        max_joules: of the board, a frame.
    """

    deadline_s: float
    share: float
    min_quality: Optional[float] = None
    max_joules: Optional[float] = None


class Candidate(NamedTuple):
    """A configuration of a run at a link rate.

    Attributes:
        run: the run's index among those that were given.
        config, backend, models: as in the run.
        samples: number of measured times.
        latency: seconds that the share of its frames stays within; `high`: with 95 % confidence.
        quality, joules: None where they were not measured.
        bytes: that the link carries for a frame, the median.
        board_s, server_s: medians; what the server did not take is of the board.
        verdicts: bound -> met, missed or open.
        front: whether no other candidate is at least as good in everything and better in something.
    """

    run: int
    config: str
    backend: str
    models: Tuple[str, ...]
    samples: int
    latency: Figure
    quality: Optional[Figure]
    joules: Optional[Figure]
    bytes: float
    board_s: float
    server_s: float
    verdicts: Dict[str, str]
    front: bool = False

    @property
    def verdict(self) -> str:
        """Of all bounds together."""
        values = set(self.verdicts.values())
        return MISSED if MISSED in values else OPEN if OPEN in values else MET


def candidates(
    runs: Sequence[Run],
    qualities: Sequence[Optional[Quality]],
    rates_kbit_s: Sequence[float],
    bounds: Bounds,
) -> List[Candidate]:
    """Every configuration and backend of the runs, best first: those that meet all bounds, by quality,
    joules and latency; then those that may, then those that do not.

    Args:
        runs: at least one.
        qualities: of each run's models.
        rates_kbit_s: of each run, the uplink's rate.
        bounds: to be met.
    """
    gathered = []
    for number, run in enumerate(runs):
        for case in cases(run):
            gathered.append(
                _candidate(number, run, case, qualities[number], rates_kbit_s[number], bounds)
            )  # fmt: skip
    names = compared_in(gathered)
    table = np.array([[_axes(one)[name] for name in names] for one in gathered], dtype=float)
    table *= [-1.0 if name in _LARGER else 1.0 for name in names]
    chosen = []
    for one, own in zip(gathered, table):
        better = (table <= own).all(axis=1) & (table != own).any(axis=1)
        chosen.append(one._replace(front=not better.any()))
    return sorted(chosen, key=_order)


def _candidate(
    number: int,
    run: Run,
    case: Case,
    quality: Optional[Quality],
    rate_kbit_s: float,
    bounds: Bounds,
) -> Candidate:
    models = run.config.configuration(case.config).models
    times = sorted(case.times_s(rate_kbit_s).tolist())
    most = bound(times, bounds.share, CONFIDENCE)
    latency = Figure(float(np.quantile(times, bounds.share)), None, most)
    own = [quality.models.get(run.bundles[model]["model"]) for model in models] if quality else []
    known = [figure for figure in own if figure is not None]
    value = case.energy_j(rate_kbit_s)
    width, joules = case.joules_width, None
    if value is not None:
        ends = (None, None) if width is None else (value - width, value + width)
        joules = Figure(value, *ends)
    result = Candidate(
        number, case.config, case.backend, models, len(times), latency,
        known[0] if len(known) == 1 else None, joules,
        float(np.median(case.bits)) / 8, float(np.median(case.board_s + case.rest_s)),
        float(np.median(case.server_s)), {},
    )  # fmt: skip
    return result._replace(verdicts=_verdicts(result, bounds))


def _verdicts(one: Candidate, bounds: Bounds) -> Dict[str, str]:
    verdicts = {"deadline": _at_most(one.latency, bounds.deadline_s)}
    if bounds.min_quality is not None:
        figure = one.quality
        turned = figure and Figure(-figure.value, None, None if figure.low is None else -figure.low)
        verdicts["quality"] = _at_most(turned, -bounds.min_quality)
    if bounds.max_joules is not None:
        verdicts["joules"] = _at_most(one.joules, bounds.max_joules)
    return verdicts


def _at_most(figure: Optional[Figure], limit: float) -> str:
    if figure is None:
        return OPEN
    if figure.value > limit:
        return MISSED
    return MET if figure.high is not None and figure.high <= limit else OPEN


def _axes(one: Candidate) -> Dict[str, Optional[float]]:
    """What candidates are compared in."""
    return {
        "latency": one.latency.value,
        "bytes": one.bytes,
        "quality": one.quality and one.quality.value,
        "joules": one.joules and one.joules.value,
    }


def compared_in(gathered: Sequence[Candidate]) -> List[str]:
    """The figures that every candidate has."""
    rows = [_axes(one) for one in gathered]
    return [name for name in rows[0] if all(row[name] is not None for row in rows)] if rows else []


def _order(one: Candidate) -> Tuple[int, float, float, float]:
    rank = (MET, OPEN, MISSED).index(one.verdict)
    quality = -one.quality.value if one.quality else 0.0
    joules = one.joules.value if one.joules else 0.0
    late = one.latency.value if one.verdict == MISSED else 0.0
    return rank, late or quality, joules, one.latency.value
