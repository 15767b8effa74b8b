"""A run, read: typed samples, and what is derived from them. Reports read runs through this alone.

What was not measured is None, never 0.
"""

import json
import os
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    FrozenSet,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from splitwatt.device_configs.errors import RunError
from splitwatt.energy.joules.per_image import LEAST_BLOCK_S
from splitwatt.profiler.analyse.run_energy import BlockEnergy, block_energies, waiting_joules
from splitwatt.profiler.analyse.stage_energy import StageBlock, StageEnergy, stage_energies
from splitwatt.profiler.analyse.statistics import Spread, outside, spread
from splitwatt.profiler.analyse.traced import RailJoules, pooled_interval
from splitwatt.profiler.analyse.waterfall import Bar, waterfall
from splitwatt.profiler.board.memory import larger
from splitwatt.profiler.config.config import SPLIT, Config, from_document, group_of
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.blocks import Start, Throughput, replaced_blocks, throttled_blocks
from splitwatt.profiler.records.fields import (
    FIELDS,
    MEMORY_FIELDS,
    REQUEST_FIELDS,
    SAMPLE_FIELDS,
    STAGE_FIELDS,
    START_FIELDS,
    THROUGHPUT_FIELDS,
    WINDOW_FIELDS,
    Field,
    check_record,
)
from splitwatt.profiler.records.network import (
    CLOCK_FIELDS,
    CLOCK_FILE,
    LINK_FIELDS,
    LINKS_FILE,
    ClockEstimate,
    LinkRate,
)
from splitwatt.profiler.records.sample import (
    ESTIMATED,
    FAILED,
    IDLE,
    INFERENCES,
    OK,
    PUBLISHED,
    Memory,
    Request,
    Sample,
    Window,
    downlink_s,
    end_to_end_s,
    local_s,
    network_s,
    server_s,
    uplink_delay,
    uplink_payload_s,
    uplink_s,
    uplink_wire_s,
)

if TYPE_CHECKING:
    from splitwatt.profiler.analyse.breakeven import BreakEven

__all__ = [
    "Bar", "BlockEnergy", "ClockEstimate", "ESTIMATED", "FAILED", "FIELDS", "FORMAT", "Field",
    "IDLE", "INFERENCES", "Link", "LinkRate",
    "Memory", "OK", "PUBLISHED", "RailJoules", "Request", "Run", "Sample", "Spread",
    "StageBlock", "StageEnergy", "Start", "Throughput", "Window",
    "break_even", "downlink_s", "end_to_end_s", "energy_of", "group_of", "local_s", "network_s",
    "read_clock", "read_rates", "read_run", "read_stages", "pooled_interval",
    "server_energy_of", "server_s", "stage_energy_of",
    "outside", "remarks", "spread", "throttled_blocks",
    "uplink_delay", "uplink_payload_s", "uplink_s", "uplink_wire_s", "waiting_joules",
    "waterfall",
]  # fmt: skip

FORMAT = 1
RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl"
WINDOWS_FILE = "windows.jsonl"
MEMORY_FILE = "memory.jsonl"
STARTS_FILE = "starts.jsonl"
THROUGHPUT_FILE = "throughput.jsonl"
STAGES_FILE = "stages.jsonl"
ACCURACY_FILE = "accuracy.json"
POWER_FOLDER = "power"
# What every row of run.json's `blocks` has.
_BLOCK = {"id": str, "config": str, "backend": str, "repeat": int}
_FILES = {
    SAMPLES_FILE: SAMPLE_FIELDS,
    WINDOWS_FILE: WINDOW_FIELDS,
    MEMORY_FILE: MEMORY_FIELDS,
    STARTS_FILE: START_FIELDS,
    THROUGHPUT_FILE: THROUGHPUT_FIELDS,
    STAGES_FILE: STAGE_FIELDS,
    CLOCK_FILE: CLOCK_FIELDS,
    LINKS_FILE: LINK_FIELDS,
}


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
        starts: how the blocks' processes started, one entry a process.
        throughput: images per second of each block, where they were asked for.
        replaced: blocks that the board throttled in and that a later one stands for: their samples
            are here, and do not count.
        damaged: a sentence on each whole line that is no such record and was left out.
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
    starts: List[Start] = []
    throughput: List[Throughput] = []
    replaced: FrozenSet[str] = frozenset()
    damaged: Tuple[str, ...] = ()

    @property
    def bundles(self) -> Dict[str, Any]:
        """Model -> what run.json keeps of its bundle."""
        return self.document["bundles"]  # type: ignore[no-any-return]

    @property
    def finished(self) -> bool:
        """Whether every block has been run to its end."""
        return self.document["finished_wall"] is not None

    def measured(self, config: Optional[str] = None, backend: Optional[str] = None) -> List[Sample]:
        """The samples that count: ok, after warm-up, of no block that another one stands for; of
        one configuration or of all.
        """
        return [
            sample
            for sample in self.samples
            if sample.ok
            and not sample.warmup
            and sample.block not in self.replaced
            and config in (None, sample.config)
            and backend in (None, sample.backend)
        ]


def read_run(path: str) -> Run:
    """Read a run folder; the folder may still be written to, or have been cut off anywhere.

    Raises:
        RunError: there is no run, or its run.json is damaged. A damaged line of another file is left
            out and told in `damaged`, and so is a damaged accuracy.json.
    """
    path = str(path)
    document = read_document(path)
    _check_blocks(document["blocks"], os.path.join(path, RUN_FILE))
    records = {}
    for row in read_samples(path):
        records[row.key] = row  # a later one replaces one that failed before a resume
    config = from_document(document["config"], os.path.join(path, RUN_FILE))
    samples = list(records.values())
    accuracy, told = _accuracy(path)
    return Run(
        path=path,
        id=document["id"],
        name=document["name"],
        config=config,
        document=document,
        samples=samples,
        windows=[Window(**row) for row in _rows(path, WINDOWS_FILE, WINDOW_FIELDS)],
        memory=_merged([Memory(**row) for row in _rows(path, MEMORY_FILE, MEMORY_FIELDS)]),
        same_machine=document["same_machine"],
        power=_power(path),
        accuracy=accuracy,
        starts=[Start(**row) for row in _rows(path, STARTS_FILE, START_FIELDS)],
        throughput=list({row.block: row for row in read_throughput(path)}.values()),
        replaced=frozenset(replaced_blocks(document, samples, config.inferences)),
        damaged=_damaged(path) + told,
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
    if not isinstance(document.get("finished_wall", 0), (str, type(None))):
        raise RunError("%s: the key 'finished_wall' is missing or of another type" % file)
    return document


def _check_blocks(blocks: List[Any], file: str) -> None:
    for row in blocks:
        known = row if isinstance(row, dict) else {}
        if not all(isinstance(known.get(name), kind) for name, kind in _BLOCK.items()):
            raise RunError("%s: the key 'blocks' holds what is no block: %.80r" % (file, row))


def read_samples(path: str) -> Iterator[Sample]:
    """Every line of samples.jsonl in order, a sample's second attempt as another one."""
    for row in _rows(path, SAMPLES_FILE, SAMPLE_FIELDS):
        row["requests"] = [Request(**_known(entry, REQUEST_FIELDS)) for entry in row["requests"]]
        yield Sample(**row)


def read_clock(path: str) -> List[ClockEstimate]:
    """Every comparison of both ends' clocks in order; none where a run has no such file."""
    return [ClockEstimate(**row) for row in _rows(path, CLOCK_FILE, CLOCK_FIELDS)]


def read_rates(path: str) -> List[LinkRate]:
    """Every measurement of the link in order; none where a run has no such file."""
    return [LinkRate(**row) for row in _rows(path, LINKS_FILE, LINK_FIELDS)]


def remarks(path: str) -> List[str]:
    """What a reader of a run's figures must know, a sentence each without its full stop."""
    from splitwatt.profiler.analyse.summary import (
        remarks as told,  # it reads runs through this file
    )

    return told(path)


def break_even(split: Sequence[Tuple[float, float]], local_s: Sequence[float]) -> "BreakEven":
    """The link rate from which on a split configuration is faster than a local one, and how sure.

    Args:
        split: of each sample, the seconds as measured and the bits that the link is charged with.
        local_s: the seconds of each sample of the local one.
    """
    import numpy as np

    from splitwatt.profiler.analyse.breakeven import (
        break_even as found,  # it reads runs through this file
    )
    from splitwatt.profiler.analyse.rates import Case

    def case(name: str, pairs: Sequence[Tuple[float, float]]) -> Case:
        seconds, bits = np.array(pairs, dtype=float).T
        return Case(name, "", bits.any(), seconds, 0.0 * seconds, bits, None, None, 0.0, 0.0)

    return found(case("it", split), case("the local one", [(s, 0.0) for s in local_s]), 1.0)


def read_throughput(path: str) -> List[Throughput]:
    """Every line of throughput.jsonl in order, a block's second attempt as another one."""
    return [Throughput(**row) for row in _rows(path, THROUGHPUT_FILE, THROUGHPUT_FIELDS)]


def energy_of(run: Run) -> List[BlockEnergy]:
    """The energy of each block of a run, or why it has none; integrates the traces anew."""
    return _energy(run, False)


def server_energy_of(run: Run) -> List[BlockEnergy]:
    """The same of the server's own rails, for the images of split configurations."""
    split = {row.id for row in run.config.configurations if row.kind == SPLIT}
    return [energy for energy in _energy(run, True) if energy.config in split]


def stage_energy_of(run: Run, least_s: float = LEAST_BLOCK_S) -> List[StageEnergy]:
    """The energy of each stage that was repeated alone, or why it has none.

    Args:
        run: with stage blocks, or without.
        least_s: a stage that was repeated for less has no joules.
    """
    power = {} if run.same_machine else run.power
    stages = read_stages(run.path)
    return stage_energies(stages, run.windows, power, _why_none(run, False), least_s)


def read_stages(path: str) -> List[StageBlock]:
    """What stage blocks recorded, each stage once: a second attempt replaces the first."""
    rows = [StageBlock(**row) for row in _rows(path, STAGES_FILE, STAGE_FIELDS)]
    return list({(row.block, row.stage): row for row in rows}.values())


def _energy(run: Run, server: bool) -> List[BlockEnergy]:
    # Every line counts here, those of failed samples that were run again as well.
    samples = [sample for sample in read_samples(run.path) if not sample.warmup]
    power = {} if run.same_machine else run.power
    found = block_energies(samples, run.windows, power, _why_none(run, server), server)
    return [energy for energy in found if energy.block not in run.replaced]


def _why_none(run: Run, server: bool) -> str:
    if run.same_machine:
        return "the server ran on the same machine: what is the board's cannot be told apart"
    why_not = (run.document.get("power") or {}).get("server_why_not" if server else "why_not")
    return "; ".join(why_not or []) or "no power sensor was recorded"


def _merged(rows: List[Memory]) -> List[Memory]:
    """One entry a block: a block that was resumed has the larger of its peaks."""
    blocks: Dict[str, Memory] = {}
    for row in rows:
        known = blocks.get(row.block, row)
        blocks[row.block] = row._replace(
            process_peak_bytes=larger(known.process_peak_bytes, row.process_peak_bytes),
            board_peak_bytes=larger(known.board_peak_bytes, row.board_peak_bytes),
            gpu_process_peak_bytes=larger(known.gpu_process_peak_bytes, row.gpu_process_peak_bytes),
            gpu_peak_bytes=larger(known.gpu_peak_bytes, row.gpu_peak_bytes),
        )
    return list(blocks.values())


def _power(path: str) -> Dict[str, str]:
    folder = os.path.join(path, POWER_FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {name[:-4]: os.path.join(folder, name) for name in names if name.endswith(".csv")}


def _accuracy(path: str) -> Tuple[Optional[Any], Tuple[str, ...]]:
    """accuracy.json where there is a sound one, and a sentence where there is a damaged one."""
    file = os.path.join(path, ACCURACY_FILE)
    if not os.path.exists(file):
        return None, ()
    try:
        return _json(file), ()
    except RunError:
        return None, ("%s is damaged and left out" % file,)


def _rows(path: str, name: str, fields: Dict[str, Field]) -> Iterator[Dict[str, Any]]:
    """The records of a file; a damaged line is left out, and `Run.damaged` tells it."""
    for _, row in _lines(os.path.join(path, name), fields):
        if row is not None:
            yield _known(row, fields)


def _damaged(path: str) -> Tuple[str, ...]:
    """A sentence on each line that `_rows` leaves out."""
    return tuple(
        "%s, line %d is damaged and left out" % (os.path.join(path, name), number)
        for name, fields in _FILES.items()
        for number, row in _lines(os.path.join(path, name), fields)
        if row is None
    )


def _lines(file: str, fields: Dict[str, Field]) -> Iterator[Tuple[int, Optional[Dict[str, Any]]]]:
    """Line number and record of every whole line; None where it is damaged."""
    for number, line in _whole_lines(file):
        try:
            row = check_record(json.loads(line.decode("utf-8")), fields, file)
            if fields is SAMPLE_FIELDS:
                for entry in row["requests"]:
                    check_record(entry, REQUEST_FIELDS, file)
        except (ValueError, RunError):
            yield number, None
        else:
            yield number, row


def _known(row: Dict[str, Any], fields: Dict[str, Field]) -> Dict[str, Any]:
    return {field: row[field] for field in fields}


def read_lines(file: str) -> Iterator[Tuple[int, Any]]:
    """Line number and JSON of every whole line; a last line without its end was being written.

    Raises:
        RunError: a whole line is no JSON.
    """
    for number, line in _whole_lines(file):
        try:
            yield number, json.loads(line.decode("utf-8"))
        except ValueError:
            raise RunError("%s, line %d is damaged" % (file, number), "it cannot be used")


def _whole_lines(file: str) -> Iterator[Tuple[int, bytes]]:
    if not os.path.exists(file):
        return
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            yield number, line


def _json(file: str) -> Any:
    if not os.path.isfile(file):
        raise RunError("there is no run in %s: it has no %s" % (os.path.dirname(file), RUN_FILE))
    try:
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        raise RunError("%s cannot be read: %s" % (file, error))
