"""A run, read: its run.json and every record, checked. What is derived from them is in `analyse`."""

import os
from typing import Any, Dict, Iterator, List, Optional, Type, TypeVar

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.records.blocks import (
    Block,
    Carried,
    Chosen,
    ClockEstimate,
    LinkRate,
    Memory,
    StageBlock,
    Start,
    Throughput,
    Window,
    replaced_blocks,
)
from splitwatt.profiler.records.document import RUN_FILE, blocks_of, read_document
from splitwatt.profiler.records.fields import check_text, parse
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


class Run:
    """A run folder, read; the folder may still be written to, or have been cut off anywhere.

    A line, accuracy.json or agreement.json that is not JSON is left out, with a sentence in `damaged`.

    Args:
        path: the folder.
        strict: refuse a line with a value that no run can have; else it is left out like the others.

    Attributes:
        id, name, config, document: run.json, with every key that `RunDocument` declares.
        attempts: every line of samples.jsonl: those that failed and ran again are there too.
        samples: every sample once, in the order they were made, warm-up and failed ones included.
        memory: peak memory, one entry a process; `throughput` and `stages` have the last of each.
        power: block -> path of its power trace, where there was a sensor.
        accuracy, agreement: accuracy.json and agreement.json, where there is one.
        replaced: blocks that the board throttled in and that a later one replaces: their samples
            are here, and do not count.
        damaged: a sentence on each whole line that was left out.

    Raises:
        RunError, ConfigError: there is no run, or a file has a value that no run can have: which file,
            line and field.
    """

    def __init__(self, path: str, strict: bool = True) -> None:
        self.path = path
        document = self.document = read_document(path)
        file = os.path.join(path, RUN_FILE)
        self.id: str = document["id"]
        self.name: str = document["name"]
        self.same_machine: bool = document["same_machine"]
        self.config = from_document(document["config"], file)
        for model in self.config.models():
            if model not in document["bundles"]:
                raise RunError("%s: 'bundles' has no %s, which 'config' runs" % (file, model))
        blocks = blocks_of(document)
        ids = {row.id for row in self.config.configurations}
        for block in blocks.values():
            if block.config not in ids:
                raise RunError(
                    "%s: 'blocks' runs %.60r, which 'config' has not" % (file, block.config)
                )
        self.damaged: List[str] = []

        def rows(name: str) -> Iterator[Any]:
            return _rows(path, name, FILES[name], blocks, self.damaged, strict)

        self.attempts = Samples.of(rows(SAMPLES_FILE))
        self.samples = (
            self.attempts.latest()
        )  # a later line replaces one that failed before a resume
        self.windows: List[Window] = list(rows(WINDOWS_FILE))
        self.memory: List[Memory] = list(rows(MEMORY_FILE))
        self.starts: List[Start] = list(rows(STARTS_FILE))
        flows: Dict[str, Throughput] = {row.block: row for row in rows(THROUGHPUT_FILE)}
        self.throughput = list(flows.values())
        stages: Dict[Any, StageBlock] = {(r.block, r.stage): r for r in rows(STAGES_FILE)}
        self.stages = list(stages.values())
        self.clock: List[ClockEstimate] = list(rows(CLOCK_FILE))
        self.rates: List[LinkRate] = list(rows(LINKS_FILE))
        self.timeline: List[Chosen] = list(rows(TIMELINE_FILE))
        self.carried: List[Carried] = list(rows(BOARDS_FILE))
        self.power = trace_paths(path, self.damaged)
        self.accuracy = read_evaluated(path, ACCURACY_FILE, self.damaged)
        self.agreement = read_evaluated(path, AGREEMENT_FILE, self.damaged)
        least = self.config.inferences
        self.replaced = frozenset(replaced_blocks(document, self.samples, least))

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

    def good(self) -> Samples:
        """Attempts that gave an answer, warm-up included."""
        return self.attempts.where(lambda sample: sample.ok)

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


def read_run(path: str, strict: bool = True) -> Run:
    """A run folder, read; see `Run`."""
    return Run(str(path), strict)


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
    strict: bool = True,
) -> Iterator[_Row]:
    """The records of a file; of lines that are left out there is a sentence in `damaged`."""
    file = os.path.join(path, name)
    for number, line in whole_lines(file):
        where = "%s, line %d" % (file, number)
        try:
            row = parse_row(line, cls, where)
            if blocks is not None:
                _check_block(row, blocks, where)
        except DamagedLineError:
            damaged.append("%s is damaged and left out" % where)
        except RunError as error:
            if strict:
                raise
            damaged.append(error.message)
        else:
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


def read_evaluated(path: str, name: str, damaged: List[str]) -> Optional[Any]:
    """A file that `evaluate` wrote; None without one, or where it is damaged, with a sentence."""
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
