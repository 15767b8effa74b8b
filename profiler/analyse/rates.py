"""Latency and energy of a configuration at any link rate, server speed and board speed.

A sample's time is split into the stages of the board, those of the server, the rest, and bits. At a
rate r, on a board b times and with a server s times as fast as the run's, it would have taken

    board_s / b + server_s / s + rest_s + bits / r.

The rest is the network's time as measured, and the time outside of all stages. Over a measured link the network's own
time is the link's and is left out: it is computed from the bytes, framing counted.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.profiler.analyse.conditions import measured_links
from splitwatt.profiler.analyse.energy import RailJoules, energy_of
from splitwatt.profiler.analyse.times import charged_bytes, local_s, network_s, server_s
from splitwatt.profiler.links.link import PAYLOAD, WIRE
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.samples import Samples

RESAMPLES = 1000
# Of more samples than these, each resample draws only this number, and the spread is scaled to all
# of them
# (the "m out of n" bootstrap of Bickel, Götze and van Zwet, 1997).
MOST_RESAMPLED = 250
LEVEL = 0.95
_SEED = 2025


class Case(NamedTuple):
    """One configuration on one backend, one array entry per sample.

    Attributes:
        config, backend, split: as in the run.
        board_s: seconds of the stages on the board.
        rest_s: seconds that neither the speeds nor the link rate change.
        server_s: seconds of the server, 0 in local computing.
        bits: what the link is charged with.
        joules: the board's for one image as measured, or None.
        joules_width: half its 95 % interval, the largest of its blocks, or None.
        idle_watts: of the idle board, or None.
        waited_s: link time that `joules` already holds, the median.
    """

    config: str
    backend: str
    split: bool
    board_s: np.ndarray
    rest_s: np.ndarray
    server_s: np.ndarray
    bits: np.ndarray
    joules: Optional[float] = None
    joules_width: Optional[float] = None
    idle_watts: Optional[float] = None
    waited_s: float = 0.0

    def times_s(
        self, rate_kbit_s: float, server_speed: float = 1.0, board_speed: float = 1.0
    ) -> np.ndarray:
        """Seconds of each sample; speeds are multiples of the run's own server and board."""
        machines = self.board_s / board_speed + self.server_s / server_speed
        times: np.ndarray = machines + self.rest_s + self.bits / (1000.0 * rate_kbit_s)
        return times

    def median_s(self, *at: float) -> float:
        """The median of `times_s`."""
        return float(np.median(self.times_s(*at)))

    def interval_s(self, *at: float) -> Tuple[float, float]:
        """The 95 % bootstrap interval of the median of `times_s`."""
        times = self.times_s(*at)
        medians = np.median(times[resampled(len(times))], axis=1)
        ends = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        middle = np.median(times)
        low, high = middle + (ends - middle) * resample_scale(len(times))
        return float(low), float(high)

    def energy_j(
        self, rate_kbit_s: float, server_speed: float = 1.0, board_speed: float = 1.0
    ) -> Optional[float]:
        """The board's joules for one image: measured, and idle power while it waits longer.

        None for another board, whose power is not known.
        """
        if self.joules is None or board_speed != 1.0:
            return None
        if not self.split:
            return self.joules
        if self.idle_watts is None:
            return None
        link_s = float(np.median(self.bits)) / (1000.0 * rate_kbit_s)
        longer_s = (
            link_s - self.waited_s + float(np.median(self.server_s)) * (1.0 / server_speed - 1.0)
        )
        return self.joules + self.idle_watts * longer_s


def resampled(count: int) -> np.ndarray:
    """Indices (RESAMPLES, at most MOST_RESAMPLED) of `count` samples, the same at every call."""
    shape = RESAMPLES, min(count, MOST_RESAMPLED)
    draws: np.ndarray = np.random.RandomState(_SEED).randint(0, count, shape)
    return draws


def resample_scale(*counts: int) -> float:
    """What the distance of a resample's figure from that of all samples is multiplied by.

    Args:
        counts: the samples of each side that is resampled; the side with the fewest decides, so that
            the interval is rather too wide.
    """
    return float(np.sqrt(max(min(1.0, MOST_RESAMPLED / count) for count in counts)))


def cases(run: Run) -> List[Case]:
    """Every configuration and backend of a run that has samples, in the config's order."""
    measured = bool(measured_links(run.config))
    charged = charged_by(run)
    energies = _energies(run)
    gathered = []
    for backend in run.config.backends:
        for row in run.config.configurations:
            measured_here = run.measured(row.id, backend)
            samples = measured_here.where(lambda sample: sample.total_s is not None)
            if samples:
                case = case_of(row.id, backend, samples, charged, measured)
                gathered.append(case._replace(**energies.get((row.id, backend), {})))
    return gathered


def group_of(id: str) -> str:
    """What an id begins with, which names its method: LC1 -> LC, Ours10 -> Ours, FS-S -> FS."""
    letters = re.match("[A-Za-z]+", id)
    return letters.group() if letters else id


def charged_by(run: Run) -> str:
    """What the run's simulated links charge; without any, what measured ones carried."""
    simulated = [link.bytes for link in run.config.links if not link.measured]
    if simulated:
        return simulated[0]
    return WIRE if measured_links(run.config) else PAYLOAD


def case_of(
    config: str,
    backend: str,
    samples: Samples,
    charged: str,
    measured: bool = False,
) -> Case:
    """One configuration's samples, at least one, as they can be computed at any rate and speed.

    Args:
        config, backend: of the samples.
        samples: those that count, each with its total.
        charged: what a link is charged with, "payload" or "wire".
        measured: the samples were taken over a link, whose time is left out.
    """
    server = samples.each(server_s, 0.0)
    board = samples.each(local_s, 0.0)
    network = samples.each(lambda sample: network_s(sample) if measured else None, 0.0)
    total = samples.each(lambda sample: sample.total_s)
    bits = 8.0 * samples.each(lambda sample: charged_bytes(sample, charged), 0.0)
    split = bool(samples.where(lambda sample: sample.requests))
    waited_s = float(np.median(network))
    rest = total - board - server - network
    return Case(config, backend, split, board, rest, server, bits, waited_s=waited_s)


def _energies(run: Run) -> Dict[Tuple[str, str], Dict[str, Any]]:
    """`Case`'s joules, joules_width and idle_watts by configuration and backend: of their blocks."""
    gathered: Dict[Tuple[str, str], List[RailJoules]] = {}
    for block in energy_of(run):
        if block.total is not None and block.total.joules_per_image is not None:
            gathered.setdefault((block.config, block.backend), []).append(block.total)
    energies: Dict[Tuple[str, str], Dict[str, Any]] = {}
    for key, totals in gathered.items():
        joules = [total.joules_per_image for total in totals if total.joules_per_image is not None]
        idle = [total.idle_watts for total in totals if total.idle_watts is not None]
        ends = [total.interval for total in totals if total.interval is not None]
        energies[key] = {
            "joules": float(np.mean(joules)),
            "joules_width": max(((high - low) / 2 for low, high in ends), default=None),
            "idle_watts": float(np.mean(idle)) if idle else None,
        }
    return energies
