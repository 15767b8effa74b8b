"""A run, read: typed samples, and what is derived from them. Reports read runs through this alone.

What was not measured is None, never 0. A simulated link's time is derived here, for any rate, from
the bytes that a sample stores.
"""

import json
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from device_configs.errors import RunError
from profiler.config import Config, from_document
from profiler.fields import (
    FIELDS,
    MEMORY_FIELDS,
    REQUEST_FIELDS,
    SAMPLE_FIELDS,
    WINDOW_FIELDS,
    Field,
    check_record,
)
from profiler.link import PAYLOAD, Link, framed_bytes, seconds

__all__ = [
    "ESTIMATED", "FIELDS", "FORMAT", "Field", "Link", "Memory", "PUBLISHED", "Request", "Run", "Sample",
    "Window",
    "end_to_end_s", "local_s", "network_s", "read_run", "server_s", "uplink_payload_s",
    "uplink_s", "uplink_wire_s",
]  # fmt: skip

FORMAT = 1
OK = "ok"
FAILED = "failed"
PUBLISHED = "published"
ESTIMATED = "estimated"
RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl"
WINDOWS_FILE = "windows.jsonl"
MEMORY_FILE = "memory.jsonl"
ACCURACY_FILE = "accuracy.json"
POWER_FOLDER = "power"


class Request(NamedTuple):
    """One request of a sample; the fields are described in `FIELDS`."""

    model: str
    payload_bytes: int
    wire_up_bytes: int
    wire_down_bytes: int
    legacy_pickled_bytes: Optional[int]
    attempts: int


class Sample(NamedTuple):
    """One image through one configuration; the fields are described in `FIELDS`."""

    config: str
    image: str
    repeat: int
    inference: int
    backend: str
    block: str
    warmup: bool
    status: str
    reason: Optional[str]
    failed_by: Optional[str]
    total_s: Optional[float]
    stages: Dict[str, float]
    payload_bytes: Optional[int]
    wire_up_bytes: Optional[int]
    wire_down_bytes: Optional[int]
    requests: List[Request]
    published_payload_bytes: Optional[int]
    published_payload_source: Optional[str]
    started_monotonic_s: float

    @property
    def ok(self) -> bool:
        """Whether it gave an answer."""
        return self.status == OK

    @property
    def key(self) -> Tuple[str, bool, int]:
        """What no two samples of a run share: block, warm-up or not, place."""
        return self.block, self.warmup, self.inference


class Window(NamedTuple):
    """A named interval of a block; the fields are described in `FIELDS`."""

    name: str
    config: str
    backend: str
    block: str
    start_s: float
    end_s: float


class Memory(NamedTuple):
    """Peak memory of a block; the fields are described in `FIELDS`."""

    config: str
    backend: str
    block: str
    process_peak_bytes: Optional[int]
    board_peak_bytes: Optional[int]
    source: str


class Run(NamedTuple):
    """A run folder, read.

    Attributes:
        path: the folder.
        id: names the run.
        name: the config's name.
        config: the whole config, defaults filled in.
        document: run.json as it is: started_wall, finished_wall, targets, bundles, versions,
            board_state, server, images, blocks.
        samples: every sample once, in the order they were made, warm-up and failed ones included.
        windows: intervals on the machine's monotonic clock.
        memory: peak memory, one entry a block.
        same_machine: the server ran on the board's machine.
        power: block -> path of its power trace, where a sensor was.
        accuracy: accuracy.json, where there is one.
    """

    path: str
    id: str
    name: str
    config: Config
    document: Dict[str, Any]
    samples: List[Sample]
    windows: List[Window]
    memory: List[Memory]
    same_machine: bool
    power: Dict[str, str]
    accuracy: Optional[Any]

    @property
    def bundles(self) -> Dict[str, Any]:
        """Model -> what run.json keeps of its bundle."""
        return self.document["bundles"]  # type: ignore[no-any-return]

    @property
    def finished(self) -> bool:
        """Whether every block has been run to its end."""
        return self.document["finished_wall"] is not None

    def measured(self, config: Optional[str] = None, backend: Optional[str] = None) -> List[Sample]:
        """The samples that count: ok and after warm-up, of one configuration or of all."""
        return [
            sample
            for sample in self.samples
            if sample.ok
            and not sample.warmup
            and config in (None, sample.config)
            and backend in (None, sample.backend)
        ]


def read_run(path: str) -> Run:
    """Read a run folder; the folder may still be written to, or have been cut off anywhere.

    Raises:
        RunError: there is no run, or a file of it is damaged otherwise than by a cut-off last line.
    """
    path = str(path)
    document = read_document(path)
    records = {}
    for row in read_samples(path):
        records[row.key] = row  # a later one replaces one that failed before a resume
    return Run(
        path=path,
        id=document["id"],
        name=document["name"],
        config=from_document(document["config"], os.path.join(path, RUN_FILE)),
        document=document,
        samples=list(records.values()),
        windows=[Window(**row) for row in _rows(path, WINDOWS_FILE, WINDOW_FIELDS)],
        memory=_merged([Memory(**row) for row in _rows(path, MEMORY_FILE, MEMORY_FIELDS)]),
        same_machine=document["same_machine"],
        power=_power(path),
        accuracy=_accuracy(path),
    )


def read_document(path: str) -> Dict[str, Any]:
    """run.json of a run folder.

    Raises:
        RunError: it is missing, damaged or of another format.
    """
    file = os.path.join(path, RUN_FILE)
    document = _json(file)
    wanted: Dict[str, Any] = {
        "id": str, "name": str, "config": dict, "same_machine": bool, "bundles": dict,
        "targets": dict,
        "images": list, "blocks": list, "started_wall": str, "started_monotonic_s": (int, float),
        "versions": dict, "board_state": dict,
    }  # fmt: skip
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunError(
            "%s is no run of format %d" % (file, FORMAT), "read it with the version that wrote it"
        )
    for name, kind in wanted.items():
        if not isinstance(document.get(name), kind):
            raise RunError("%s: the key '%s' is missing or of another type" % (file, name))
    return document


def read_samples(path: str) -> Iterator[Sample]:
    """Every line of samples.jsonl in order, a sample's second attempt as another one."""
    for row in _rows(path, SAMPLES_FILE, SAMPLE_FIELDS):
        where = "%s, block %s, inference %s" % (SAMPLES_FILE, row["block"], row["inference"])
        requests = [check_record(entry, REQUEST_FIELDS, where) for entry in row["requests"]]
        row["requests"] = [Request(**_known(entry, REQUEST_FIELDS)) for entry in requests]
        yield Sample(**row)


def uplink_payload_s(sample: Sample, link: Link) -> Optional[float]:
    """8 * payload / rate, the paper's; None where nothing is sent or it is not known."""
    payload = _charged_bytes(sample)
    return None if payload is None else seconds(payload, link.rate_kbit_s)


def uplink_wire_s(sample: Sample, link: Link) -> Optional[float]:
    """The uplink's time with HTTP headers, JSON and Ethernet, IPv4 and TCP framing.

    Each request is framed by itself. Where a published payload is charged, it takes the place of
    the measured one, and the rest stays as it was.
    """
    payload = _charged_bytes(sample)
    if payload is None or sample.payload_bytes is None:
        return None
    more = payload - sample.payload_bytes
    wire = [request.wire_up_bytes for request in sample.requests]
    wire[0] += more
    return seconds(sum(framed_bytes(content) for content in wire), link.rate_kbit_s)


def uplink_s(sample: Sample, link: Link) -> Optional[float]:
    """The uplink's time by what the link is charged with: its payload, or all of the wire."""
    return (uplink_payload_s if link.bytes == PAYLOAD else uplink_wire_s)(sample, link)


def end_to_end_s(sample: Sample, link: Link) -> Optional[float]:
    """From the image file to the answer: `total_s`, and the link's time where something is sent."""
    if not sample.ok or sample.total_s is None:
        return None
    if not sample.requests:
        return sample.total_s
    uplink = uplink_s(sample, link)
    return None if uplink is None else sample.total_s + uplink


def local_s(sample: Sample) -> Optional[float]:
    """Seconds of the board's own stages."""
    return _sum(sample, lambda stage: not _on_server(stage) and not _on_network(stage))


def server_s(sample: Sample) -> Optional[float]:
    """Seconds of the server's stages; None in local computing."""
    return _sum(sample, _on_server)


def network_s(sample: Sample) -> Optional[float]:
    """Seconds of HTTP round trips less the server's time; None in local computing."""
    return _sum(sample, _on_network)


def _charged_bytes(sample: Sample) -> Optional[int]:
    if not sample.ok or not sample.requests:
        return None
    if sample.published_payload_bytes is not None:
        return sample.published_payload_bytes
    return sample.payload_bytes


def _on_server(stage: str) -> bool:
    return ".server." in stage


def _on_network(stage: str) -> bool:
    return stage.endswith(".network")


def _sum(sample: Sample, chosen: Any) -> Optional[float]:
    times = [value for stage, value in sample.stages.items() if chosen(stage)]
    return sum(times) if sample.ok and times else None


def _merged(rows: List[Memory]) -> List[Memory]:
    """One entry a block: a block that was resumed has the larger of its peaks."""
    blocks: Dict[str, Memory] = {}
    for row in rows:
        known = blocks.get(row.block, row)
        blocks[row.block] = row._replace(
            process_peak_bytes=_larger(known.process_peak_bytes, row.process_peak_bytes),
            board_peak_bytes=_larger(known.board_peak_bytes, row.board_peak_bytes),
        )
    return list(blocks.values())


def _larger(a: Optional[int], b: Optional[int]) -> Optional[int]:
    known = [value for value in (a, b) if value is not None]
    return max(known) if known else None


def _power(path: str) -> Dict[str, str]:
    folder = os.path.join(path, POWER_FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {name[:-4]: os.path.join(folder, name) for name in names if name.endswith(".csv")}


def _accuracy(path: str) -> Optional[Any]:
    file = os.path.join(path, ACCURACY_FILE)
    return _json(file) if os.path.exists(file) else None


def _rows(path: str, name: str, fields: Dict[str, Field]) -> Iterator[Dict[str, Any]]:
    for number, record in read_lines(os.path.join(path, name)):
        row = check_record(record, fields, "%s, line %d" % (os.path.join(path, name), number))
        yield _known(row, fields)


def _known(row: Dict[str, Any], fields: Dict[str, Field]) -> Dict[str, Any]:
    return {field: row[field] for field in fields}


def read_lines(file: str) -> Iterator[Tuple[int, Any]]:
    """Line number and JSON of every whole line; a last line without its end was being written.

    Raises:
        RunError: a whole line is no JSON.
    """
    if not os.path.exists(file):
        return
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield number, json.loads(line.decode("utf-8"))
            except ValueError:
                raise RunError("%s, line %d is damaged" % (file, number), "it cannot be used")


def _json(file: str) -> Any:
    if not os.path.isfile(file):
        raise RunError("there is no run in %s: it has no %s" % (os.path.dirname(file), RUN_FILE))
    try:
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        raise RunError("%s cannot be read: %s" % (file, error))
