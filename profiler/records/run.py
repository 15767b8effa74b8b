"""A run, read: its run.json and every record, checked. What is derived from them is in `analyse`."""

import os
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple, Type, TypeVar

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.profiler.config.config import Config, from_document
from splitwatt.profiler.records.blocks import (
    Block,
    Carried,
    Memory,
    StageBlock,
    Start,
    Throughput,
    Window,
    replaced_blocks,
)
from splitwatt.profiler.records.deployed import Chosen
from splitwatt.profiler.records.document import RUN_FILE, blocks_of, read_document
from splitwatt.profiler.records.fields import check_text, parse
from splitwatt.profiler.records.network import ClockEstimate, LinkRate
from splitwatt.profiler.records.reading import (
    DamagedLineError,
    read_bytes,
    read_line,
    whole_lines,
)
from splitwatt.profiler.records.sample import Sample, check_sample
from splitwatt.profiler.records.samples import Samples
from splitwatt.profiler.records.traces import trace_paths

SAMPLES_FILE = "samples.jsonl"
WINDOWS_FILE = "windows.jsonl"
MEMORY_FILE = "memory.jsonl"
STARTS_FILE = "starts.jsonl"
THROUGHPUT_FILE = "throughput.jsonl"
STAGES_FILE = "stages.jsonl"
CLOCK_FILE = "clock.jsonl"
LINKS_FILE = "links.jsonl"
TIMELINE_FILE = "timeline.jsonl"
BOARDS_FILE = "boards.jsonl"
ACCURACY_FILE, AGREEMENT_FILE = "accuracy.json", "agreement.json"
# Each file of lines and what a line is.
FILES: Dict[str, Any] = {
    SAMPLES_FILE: Sample,
    WINDOWS_FILE: Window,
    MEMORY_FILE: Memory,
    STARTS_FILE: Start,
    THROUGHPUT_FILE: Throughput,
    STAGES_FILE: StageBlock,
    CLOCK_FILE: ClockEstimate,
    LINKS_FILE: LinkRate,
    TIMELINE_FILE: Chosen,
    BOARDS_FILE: Carried,
}
EVALUATED_BYTES = 64 << 20
_Row = TypeVar("_Row")


class Run(NamedTuple):
    """A run folder, read.

    Attributes:
        path: the folder.
        id: names the run.
        name: the config's name.
        config: the whole config, defaults filled in.
        document: run.json as it is; `splitwatt.profiler.records.document` declares its keys.
        samples: every sample once, in the order they were made, warm-up and failed ones included.
        attempts: every line of samples.jsonl: those that failed and ran again are there too.
        windows: intervals on the machine's monotonic clock.
        memory: peak memory, one entry a block.
        same_machine: the server ran on the board's machine.
        power: block -> path of its power trace, where there was a sensor.
        accuracy: accuracy.json, where there is one.
        agreement: agreement.json, where there is one.
        starts: how the blocks' processes started, one entry a process.
        throughput: images per second of each block, where they were asked for.
        stages: stages that were repeated alone, each once.
        clock: comparisons of both ends' clocks, in order.
        rates: measurements of the link, in order.
        timeline: what was chosen for each frame, of a run that `splitwatt run` wrote.
        carried: numbers of boards whose frames were replayed against the server, in order.
        replaced: blocks that the board throttled in and that a later one replaces: their samples
            are here, and do not count.
        damaged: a sentence on each whole line that is not JSON and was left out.
    """

    path: str
    id: str
    name: str
    config: Config
    document: Dict[str, Any]
    samples: Samples
    attempts: Samples
    windows: List[Window]
    memory: List[Memory]
    same_machine: bool
    power: Dict[str, str]
    accuracy: Optional[Any]
    agreement: Optional[Any]
    starts: List[Start]
    throughput: List[Throughput]
    stages: List[StageBlock]
    clock: List[ClockEstimate]
    rates: List[LinkRate]
    timeline: List[Chosen]
    carried: List[Carried]
    replaced: FrozenSet[str]
    damaged: Tuple[str, ...]

    @property
    def bundles(self) -> Dict[str, Any]:
        """Model -> what run.json keeps of its bundle."""
        return self.document["bundles"]  # type: ignore[no-any-return]

    @property
    def sends_untrained_bytes(self) -> bool:
        """Whether links carry bytes that random weights made, and no published size in their place."""
        random = {model for model, bundle in self.bundles.items() if not bundle["trained"]}
        rows = {row.id for row in self.config.configurations if random & set(row.models)}
        sent = self.measured().where(
            lambda s: s.config in rows and s.published_payload_bytes is None
        )
        return bool((sent.each(lambda sample: sample.payload_bytes) > 0).any())

    @property
    def finished(self) -> bool:
        """Whether every block has been run to its end."""
        return self.document["finished_wall"] is not None

    def measured(self, config: Optional[str] = None, backend: Optional[str] = None) -> Samples:
        """The samples that count: ok, after warm-up, of no block that was replaced; of one
        configuration or of all.
        """
        return self.samples.where(
            lambda sample: (
                sample.ok
                and not sample.warmup
                and sample.block not in self.replaced
                and config in (None, sample.config)
                and backend in (None, sample.backend)
            )
        )


def read_run(path: str, attempts: Optional[Samples] = None) -> Run:
    """Read a run folder; the folder may still be written to, or have been cut off anywhere.

    Args:
        path: the folder.
        attempts: every line of samples.jsonl, where they have been read and checked.

    Raises:
        RunError, ConfigError: there is no run, or a file has a value that no run can have: which file,
            line and field. A line, accuracy.json or agreement.json that is not JSON is left out,
            with a sentence in `damaged`.
    """
    path = str(path)
    document = read_document(path)
    file = os.path.join(path, RUN_FILE)
    config = from_document(document["config"], file)
    for model in config.models():
        if model not in document["bundles"]:
            raise RunError("%s: 'bundles' has no %s, which 'config' runs" % (file, model))
    blocks = blocks_of(document)
    ids = {row.id for row in config.configurations}
    for block in blocks.values():
        if block.config not in ids:
            raise RunError("%s: 'blocks' runs %.60r, which 'config' has not" % (file, block.config))
    damaged: List[str] = []
    if attempts is None:
        attempts = Samples.of(_rows(path, SAMPLES_FILE, Sample, blocks, damaged))
    samples = attempts.latest()  # a later line replaces one that failed before a resume
    rows: Dict[str, List[Any]] = {
        name: list(_rows(path, name, cls, blocks, damaged))
        for name, cls in FILES.items()
        if cls is not Sample
    }
    return Run(
        path=path,
        id=document["id"],
        name=document["name"],
        config=config,
        document=document,
        samples=samples,
        attempts=attempts,
        windows=rows[WINDOWS_FILE],
        memory=_merged(rows[MEMORY_FILE]),
        same_machine=document["same_machine"],
        power=trace_paths(path, damaged),
        accuracy=_evaluated(path, ACCURACY_FILE, damaged),
        agreement=_evaluated(path, AGREEMENT_FILE, damaged),
        starts=rows[STARTS_FILE],
        throughput=list({row.block: row for row in rows[THROUGHPUT_FILE]}.values()),
        stages=list({(row.block, row.stage): row for row in rows[STAGES_FILE]}.values()),
        clock=rows[CLOCK_FILE],
        rates=rows[LINKS_FILE],
        timeline=rows[TIMELINE_FILE],
        carried=rows[BOARDS_FILE],
        replaced=frozenset(replaced_blocks(document, samples, config.inferences)),
        damaged=tuple(damaged),
    )


def read_records(path: str, name: str, cls: Type[_Row]) -> List[_Row]:
    """The records of one file of a run whose run.json is read elsewhere; damaged lines left out.

    Raises:
        RunError: a line has a value that no record can have.
    """
    return list(_rows(path, name, cls, None, []))


def parse_row(line: bytes, cls: Type[_Row], where: str) -> _Row:
    """A line as its record.

    Raises:
        DamagedLineError: it is not JSON.
        RunError: it has a value that no record can have.
    """
    row = parse(cls, read_line(line, where), where)
    if isinstance(row, Sample):
        check_sample(row, where)
    return row


def _rows(
    path: str,
    name: str,
    cls: Type[_Row],
    blocks: Optional[Dict[str, Block]],
    damaged: List[str],
) -> Iterator[_Row]:
    """The records of a file; a line that is not JSON is left out, with a sentence in `damaged`."""
    file = os.path.join(path, name)
    for number, line in whole_lines(file):
        where = "%s, line %d" % (file, number)
        try:
            row = parse_row(line, cls, where)
        except DamagedLineError:
            damaged.append("%s is damaged and left out" % where)
            continue
        if blocks is not None:
            _check_block(row, blocks, where)
        yield row


def _check_block(row: Any, blocks: Dict[str, Block], where: str) -> None:
    block = blocks.get(row.block)
    if block is None:
        raise RunError("%s: 'block' is %.60r, which run.json does not list" % (where, row.block))
    for name in ("config", "backend"):
        own = getattr(row, name, None)
        if own not in (None, getattr(block, name)):
            raise RunError("%s: '%s' is %.60r, and the block's is %s"
                           % (where, name, own, getattr(block, name)))  # fmt: skip


def _merged(rows: List[Memory]) -> List[Memory]:
    """One entry a block: a block with several processes has the largest of their peaks."""
    blocks: Dict[str, Memory] = {}
    for row in rows:
        known = blocks.get(row.block, row)
        blocks[row.block] = row._replace(
            process_peak_bytes=_largest(known.process_peak_bytes, row.process_peak_bytes),
            board_peak_bytes=_largest(known.board_peak_bytes, row.board_peak_bytes),
            gpu_process_peak_bytes=_largest(
                known.gpu_process_peak_bytes, row.gpu_process_peak_bytes
            ),
            gpu_peak_bytes=_largest(known.gpu_peak_bytes, row.gpu_peak_bytes),
        )
    return list(blocks.values())


def _largest(*values: Optional[int]) -> Optional[int]:
    return max((value for value in values if value is not None), default=None)


def _evaluated(path: str, name: str, damaged: List[str]) -> Optional[Any]:
    """A file that `evaluate` wrote; where it is damaged None, with a sentence."""
    file = os.path.join(path, name)
    if not os.path.lexists(file):
        return None
    try:
        document = parse_json(read_bytes(file, EVALUATED_BYTES), file, RunError)
        check_text(document, file, "")
        return document
    except RunError:
        damaged.append("%s is damaged and left out" % file)
        return None
