"""A shaped link against what the records derive: the same images without a link and over it."""

import json
import statistics
from pathlib import Path
from typing import NamedTuple

from splitwatt.profiler.analyse.times import end_to_end_s, uplink_payload_s, uplink_wire_s
from splitwatt.profiler.analyse.times import network_s as network_s_of
from splitwatt.profiler.records.run import Run, read_run
from splitwatt.profiler.records.sample import Sample
from tests.conftest import splitwatt

CONFIG = """
format: 1
name: links
warmup: 1
inferences: {inferences}
configurations:
  Split: {{split: [{model}]}}
"""


class Compared(NamedTuple):
    """One image over a link, times in seconds.

    `alone_s` is what the same image took in a run without a link; `own_s` is what computing took
    in this run, each stage measured at its end, and what the network took without a link. On a
    machine whose load changes from run to run the second is the one to compare with.
    """

    image: str
    payload_bytes: int
    measured_s: float
    alone_s: float
    payload_s: float
    wire_s: float
    headers_s: float
    own_s: float

    @property
    def off_by(self) -> float:
        """Measured end-to-end against compute and `uplink_wire_s`."""
        return self.measured_s / (self.own_s + self.wire_s) - 1.0

    @property
    def off_by_alone(self) -> float:
        """The same against the computing of the run without a link."""
        return self.measured_s / (self.alone_s + self.wire_s) - 1.0

    @property
    def over_payload_bits(self) -> float:
        """Measured end-to-end against compute and the payload's bits."""
        return self.measured_s / (self.own_s + self.payload_s)

    @property
    def transfer_over_bits(self) -> float:
        """The link's own time against the payload's bits."""
        return (self.measured_s - self.own_s) / self.payload_s


def profile(folder: Path, bundles: Path, model: str, link: str, inferences: int, *more: str) -> Run:
    """A run of one split model over a link."""
    name = link.replace(":", "-").replace(",", "-")
    config = folder / f"{name}.yaml"
    config.write_text(CONFIG.format(model=model, inferences=inferences))
    arguments = ["profile", "--config", config, "--bundles", bundles, "--link", link, "--json"]
    told = splitwatt(*arguments, "--out", folder / name, *more).stdout
    return read_run(json.loads(told[told.index("{") :])["run"])


def compare(alone: Run, shaped: Run, least_bytes: int) -> list[Compared]:
    """Medians of each image whose payload is large enough."""
    link = shaped.config.links[0]
    by_image: dict[str, list[Sample]] = {}
    for sample in shaped.measured():
        by_image.setdefault(sample.image, []).append(sample)
    rows = []
    network_s = statistics.median(network_s_of(s) or 0.0 for s in alone.measured())
    for image, samples in by_image.items():
        size = samples[0].payload_bytes or 0
        if size <= least_bytes:
            continue
        one = samples[0]
        payload_s, wire_s = uplink_payload_s(one, link), uplink_wire_s(one, link)
        headers = (one.wire_up_bytes or 0) - size
        compute = [s.total_s for s in alone.measured() if s.image == image]
        rows.append(
            Compared(
                image,
                size,
                statistics.median(end_to_end_s(s, link) or 0.0 for s in samples),
                statistics.median(t for t in compute if t is not None),
                payload_s or 0.0,
                wire_s or 0.0,
                8e-3 * headers / link.rate_kbit_s,
                statistics.median((s.total_s or 0.0) - (network_s_of(s) or 0.0) for s in samples)
                + network_s,
            )
        )
    return rows


def achieved(run: Run) -> list[float]:
    """Uplink rates that the run itself measured, kbit/s."""
    return [rate.uplink_kbit_s for rate in run.rates if rate.uplink_kbit_s]
