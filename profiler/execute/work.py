"""What is left to do of a block: decided from the records, so that a resume decides the same."""

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from splitwatt.energy.trace.files import metadata_path
from splitwatt.profiler.analyse.conditions import measured_links
from splitwatt.profiler.config.config import SPLIT, Config
from splitwatt.profiler.execute.plan import stage_blocks, stage_names
from splitwatt.profiler.execute.steady import Repetition
from splitwatt.profiler.records.blocks import AFTER, IDLE, INFERENCES, Block, StageBlock, Throughput
from splitwatt.profiler.records.reading import DamagedLineError, whole_lines
from splitwatt.profiler.records.run import (
    CLOCK_FILE,
    FILES,
    LINKS_FILE,
    SAMPLES_FILE,
    STARTS_FILE,
    THROUGHPUT_FILE,
    Run,
    parse_row,
    read_records,
)
from splitwatt.profiler.records.sample import OK, Sample, same_session
from splitwatt.profiler.records.samples import Samples
from splitwatt.profiler.records.traces import traces_of


class Done(NamedTuple):
    """What is recorded of a block and need not run (again).

    Attributes:
        warmups: which.
        inferences: which -> total_s, None where it failed.
        throughput: whether it is recorded.
    """

    warmups: Set[int]
    inferences: Dict[int, Optional[float]]
    throughput: bool


class Left(NamedTuple):
    """What a block still has to do; false when the block is complete."""

    warmups: List[int]
    inferences: List[int]
    expected: int
    throughput: bool

    def __bool__(self) -> bool:
        return bool(self.warmups or self.inferences or self.throughput)

    def samples(self, config: Config) -> int:
        """How many samples a process will run for it, as far as can be foreseen."""
        if not self:
            return 0
        flow = config.inferences if self.throughput else 0
        return config.warmup + self.expected + flow


class Recorded:
    """What is recorded of every block of a run: read once, and then only what was appended.

    Samples that were there at the start and failed through no fault of their image are to run again.

    Args:
        path: the run folder, which this process holds.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._done: Dict[str, Done] = {}
        self._size = self._lines = 0
        for sample in self._appended():
            if sample.settled:
                self._add(sample)
        self._add_throughput()

    def update(self) -> None:
        """Take in what was appended since the last time."""
        for sample in self._appended():
            self._add(sample)
        self._add_throughput()

    def done(self, block: str) -> Done:
        """What of a block need not run (again)."""
        return self._done.setdefault(block, Done(set(), {}, False))

    def _add_throughput(self) -> None:
        for row in read_records(self._path, THROUGHPUT_FILE, Throughput):
            if row.images_per_s is not None:
                self._done[row.block] = self.done(row.block)._replace(throughput=True)

    def _appended(self) -> Iterator[Sample]:
        file = os.path.join(self._path, SAMPLES_FILE)
        for _, line in whole_lines(file, self._size):
            self._size += len(line)
            self._lines += 1
            try:
                sample = parse_row(line, Sample, "%s, line %d" % (file, self._lines))
            except DamagedLineError:
                continue
            yield sample

    def _add(self, sample: Sample) -> None:
        done = self.done(sample.block)
        if sample.warmup:
            done.warmups.add(sample.inference)
        else:
            done.inferences[sample.inference] = sample.total_s if sample.ok else None


def left(config: Config, done: Done, images: int) -> Left:
    """What a block still has to do: `done` is what is recorded of it, `images` how many images the
    run has."""
    repetition = Repetition(config.inferences, config.until, images, done.inferences)
    due = repetition.due()
    expected = max(len(due), repetition.expected() - len(done.inferences)) if due else 0
    warmups = [k for k in range(config.warmup) if k not in done.warmups]
    return Left(warmups, due, expected, config.pipelined and not done.throughput)


def lacking(run: Run) -> Dict[str, str]:
    """Blocks that have all their samples but lack another record -> which record.

    A process that was killed after its last sample leaves such a block: it is to be measured again.
    Blocks that were replaced, or with failures that a resume runs again, are left out.
    """
    samples = run.samples.by(lambda sample: sample.block)
    there = {name for name in FILES if os.path.exists(os.path.join(run.path, name))}
    split = {row.id for row in run.config.configurations if row.kind == SPLIT}
    wanted = {}
    for row in run.document["blocks"]:
        own = samples.get(row["id"], run.samples[:0])
        inferences = own.where(lambda sample: not sample.warmup)
        if row["id"] in run.replaced or not inferences.where(lambda sample: sample.ok):
            continue
        if own.where(lambda sample: not sample.settled):
            continue
        missing = _missing(run, row["id"], inferences, row["config"] in split, there)
        if missing:
            wanted[row["id"]] = missing
    return wanted


def stages_left(
    config: Config, bundles: Dict[str, Any], rows: Sequence[StageBlock]
) -> List[Tuple[Block, Set[str], int]]:
    """Every block that repeats stages, its stages that are recorded in `rows`, and how many are not."""
    work = []
    for block in stage_blocks(config):
        names = set(sum(stage_names(config, block, bundles).values(), []))
        done = {row.stage for row in rows if row.block == block.id and row.status == OK}
        work.append((block, done, len(names - done)))
    return work


def lacking_stages(run: Run, block: str) -> Optional[str]:
    """What is missing of a block whose stages are all there: the idle time after them, or its trace."""
    rows = [row for row in run.stages if row.block == block and row.end_s is not None]
    return _power_missing(run, block, max((row.end_s or 0.0 for row in rows), default=0.0))


def _missing(
    run: Run, block: str, inferences: Samples, split: bool, there: Set[str]
) -> Optional[str]:
    """Which record of a block is missing. Files that the run's version did not write are not."""
    if not any(row.block == block for row in run.memory):
        return "its memory peak is missing"
    if STARTS_FILE in there and not any(row.block == block for row in run.starts):
        return "how its process started is missing"
    last = max(inferences, key=lambda s: (s.session or 0, s.started_monotonic_s))
    windows = [w for w in run.windows if (w.block, w.name) == (block, INFERENCES)]
    if not any(
        w.start_s <= last.started_monotonic_s <= w.end_s and same_session(w.session, last.session)
        for w in windows
    ):
        return "the window of its last inferences is missing"
    if CLOCK_FILE in there and not any((e.block, e.when) == (block, AFTER) for e in run.clock):
        return "the comparison of clocks after it is missing"
    rates = LINKS_FILE in there and split and bool(measured_links(run.config))
    gone = any(e.block == block and e.why_not for e in run.clock)  # the server was
    if rates and not gone and not any((e.block, e.when) == (block, AFTER) for e in run.rates):
        return "the rate of the link after it is missing"
    return _power_missing(run, block, windows[-1].end_s)


def _power_missing(run: Run, block: str, end_s: float) -> Optional[str]:
    """What is missing of a block's power traces, where there are any."""
    traces = traces_of(run.power, block) + traces_of(run.power, block, server=True)
    idle = [w for w in run.windows if (w.block, w.name) == (block, IDLE)]
    if not traces and not idle:
        return None
    if not any(w.start_s >= end_s for w in idle):
        return "the idle time after it is missing"
    reasons = run.document.get("power") or {}
    failed = bool(reasons.get("why_not") or reasons.get("server_why_not"))
    if not failed and not any(os.path.exists(metadata_path(path)) for path in traces):
        return "the description of its power trace is missing"
    return None
