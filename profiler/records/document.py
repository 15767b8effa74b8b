"""run.json: what a run measured, and under what conditions."""

import os
from typing import Any, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.device_configs.names import first_repeated
from splitwatt.profiler.records.blocks import STAGES_SUFFIX, Block, Deployment
from splitwatt.profiler.records.fields import check_text, clock, field, fill, parse, record
from splitwatt.profiler.records.reading import MAX_FILE_BYTES, open_file, read_bytes
from splitwatt.profiler.records.traces import POWER_FOLDER

FORMAT = 1
RUN_FILE = "run.json"
_LIMIT_BYTES = 64 << 20
# Which files of a run have their hashes in run.json.
_RECORDS = (".jsonl", ".csv", ".json")
_NOT_RECORDS = (RUN_FILE, "accuracy.json", "agreement.json")


@record("an entry of `parts`")
class PartFacts(NamedTuple):
    """A part of a bundle."""

    name: str = field("its name")
    placement: str = field("where it runs", choices=("board", "server", "both"))
    target: Optional[str] = field("the machine that it was exported for", None)
    gmac: Optional[float] = field("billions of multiply-accumulates", None, least=0)
    gmac_at: Optional[Dict[str, Any]] = field("input -> the shape at which they were counted", None)
    params: Optional[int] = field("its parameters", None, most=2**53)
    bytes: Optional[int] = field("size of its file", None)
    sha256: Optional[str] = field("hash of its file", None)


@record("`encoder_size_bytes`")
class EncoderSize(NamedTuple):
    """The size of a split model's encoder and entropy model."""

    fp32_params: int = field("parameters in fp32, as the papers count", unit="B")
    deployed: int = field("files on the board", unit="B")


@record("a value of `bundles`")
class BundleFacts(NamedTuple):
    """What a run records of a bundle."""

    model: str = field("the model's full name")
    trained: bool = field(
        "whether its weights are trained: else its bytes and answers mean nothing"
    )
    family: Optional[str] = field("the model's family", None)
    rate: Optional[str] = field("its rate point", None)
    manifest_sha256: Optional[str] = field("hash of the manifest", None)
    tasks: List[str] = field("what it does: classification, detection, segmentation", [])
    target: Optional[str] = field("where board parts run", None)
    server_target: Optional[str] = field("where server parts run", None)
    precision: Optional[str] = field("arithmetic of the board's parts", None)
    weights_source: Optional[str] = field("where the weights come from", None)
    assumed: bool = field("the paper leaves this rate point undefined", False)
    tables_id: Optional[str] = field("the id of the entropy tables", None)
    encoder_size_bytes: Optional[EncoderSize] = field(
        "size of the encoder; null for a local model", None
    )
    parts: List[PartFacts] = field("its parts", [])


@record("an entry of `images`")
class ImageFacts(NamedTuple):
    """An image of a run."""

    file: str = field("its file name")
    sha256: Optional[str] = field("hash of the file", None)
    width: Optional[int] = field("pixels; null of a damaged file", None)
    height: Optional[int] = field("pixels; null of a damaged file", None)


@record("`targets`")
class Targets(NamedTuple):
    """The machines that a run's bundles were exported for."""

    board: Optional[str] = field("the board's", None)
    server: Optional[str] = field("the server's; null in local computing", None)


@record("`board_state`")
class BoardState(NamedTuple):
    """The board when a session began."""

    cpu_model: Optional[str] = field("name of the processor", None)
    cpus: Optional[int] = field("processors", None)
    gpu: Optional[str] = field("name of the GPU", None)
    memory_total_bytes: Optional[int] = field("memory of the board", None)
    machine: Optional[str] = field("instruction set, such as aarch64", None)
    nvpmodel: Any = field("power mode of a Jetson", None)
    governors: Optional[List[str]] = field("frequency governors of the processors", None)
    cpu_khz: Any = field("clocks of the processors", None)
    cpu_max_khz: Any = field("highest clocks of the processors", None)
    gpu_hz: Any = field("clock of the GPU", None)
    temperatures_c: Any = field("thermal zone -> degrees Celsius", None)
    loadavg: Any = field("load of the last 1, 5 and 15 minutes", None)


@record("`server`")
class ServerFacts(NamedTuple):
    """The server of a session."""

    url: Optional[str] = field("where it listened", None)
    started_by_profile: bool = field("whether profile started it", True)
    name: Optional[str] = field("the server's software", None)
    version: Optional[str] = field("its version", None)
    backend: Optional[str] = field("what ran the server's parts", None)
    machine: Optional[str] = field("id of its machine, new after each boot", None)
    same_machine: bool = field("whether it ran on the board's machine", False)
    cpu_model: Optional[str] = field("name of its processor", None)
    cpus: Optional[int] = field("its processors", None)
    gpu: Optional[str] = field("name of its GPU", None)
    memory_total_bytes: Optional[int] = field("its memory", None)
    workers: Optional[int] = field(
        "inferences that it runs at once, on all its machines; null: not reported", None, least=1
    )


@record("`sensors`")
class Sensors(NamedTuple):
    """Where a session read power."""

    sysfs: Optional[str] = field("the folder in which sensors were searched, as /sys", None)
    driver: Optional[str] = field("the one driver to use; null: those of the target", None)


@record("`quota`")
class QuotaFacts(NamedTuple):
    """The kernel's CPU quota that the board's process ran under."""

    share: float = field("the requested share: processor time per wall time and processor", least=0)
    cpus: int = field("processors that the share refers to", least=1)
    quota_us: int = field("processor time per period, all processors together")
    period_us: int = field("the kernel's period")
    cgroup: int = field("version of the control group: 1 or 2")
    measured_share: Optional[float] = field(
        "the measured share of busy processes when the session began", None, least=0
    )
    throttled_s: Optional[float] = field("time for which the kernel held its processes back", None)


@record("an entry of `resumed`")
class Resume(NamedTuple):
    """A resume of a run."""

    wall: str = field("when, UTC")
    monotonic_s: float = clock("when, on the board's monotonic clock")
    machine: Optional[str] = field("id of the board, new after each boot", None)
    versions: Dict[str, Optional[str]] = field("package -> version", {})
    board_state: BoardState = field("the board then", {})
    sensors: Optional[Sensors] = field("where power was read", None)
    server: Optional[ServerFacts] = field("the server; null where none was used", None)
    repeated: Dict[str, str] = field("block -> why it was measured again", {})
    quota: Optional[QuotaFacts] = field("the board's CPU quota; null: no quota", None)


@record("`power`")
class PowerReasons(NamedTuple):
    """Why there are no power traces."""

    why_not: List[str] = field("the board's reasons", [])
    server_why_not: List[str] = field("the server's reasons", [])


@record("a value of `files`")
class FileFacts(NamedTuple):
    """A file of a finished run."""

    bytes: int = field("its size")
    sha256: str = field("its hash")


@record("run.json")
class RunDocument(NamedTuple):
    """What a run measured, and under what conditions."""

    format: int = field("version of the format: 1")
    id: str = field("names the run")
    name: str = field("the config's name")
    config: Dict[str, Any] = field("the whole config, defaults filled in")
    started_wall: str = field("when the run began, UTC")
    started_monotonic_s: float = clock("the same on the board's monotonic clock")
    finished_wall: Optional[str] = field("when every block was done; null before", None)
    same_machine: bool = field("whether board and server were one machine")
    targets: Targets = field("the machines that its bundles were exported for")
    bundles: Dict[str, BundleFacts] = field("model, as the config names it -> its bundle")
    images: List[ImageFacts] = field("its images, in the order in which they run")
    blocks: List[Block] = field("its blocks, in the order in which they run")
    versions: Dict[str, Optional[str]] = field("package -> version")
    board_state: BoardState = field("the board when the run began")
    resumed: List[Resume] = field("each resume with its own conditions", [])
    machine: Optional[str] = field("id of the board, new after each boot", None)
    threads: Optional[int] = field("threads per inference; null: the backend's choice", None)
    bundles_folder: Optional[str] = field("where the bundles were", None)
    images_folder: Optional[str] = field("where the images were", None)
    server: Optional[ServerFacts] = field("the server; null in local computing", None)
    sensors: Optional[Sensors] = field("where power was read", None)
    power: Optional[PowerReasons] = field("why there are no power traces", None)
    quota: Optional[QuotaFacts] = field("the board's CPU quota; null: no quota", None)
    link: Optional[Dict[str, Any]] = field("a shaped link as it was made", None)
    deployed: Optional[Deployment] = field(
        "how frames came, of a run that `splitwatt run` wrote; null of a profile", None
    )
    network_notes: List[str] = field("problems with clocks and links", [])
    files: Optional[Dict[str, FileFacts]] = field("every other file of the run when it ended", None)


def read_document(path: str) -> Dict[str, Any]:
    """run.json of a run folder, checked, with every key that `RunDocument` declares.

    Raises:
        RunError: it is missing, damaged, has another format, or a value that no run can have.
    """
    file = os.path.join(path, RUN_FILE)
    if not os.path.lexists(file):
        raise RunError(
            "there is no run in %s: it has no %s" % (path, RUN_FILE),
            "name a folder that 'splitwatt profile' wrote",
        )
    document = parse_json(read_bytes(file, _LIMIT_BYTES), file, RunError)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunError(
            "%s is not a run of format %d" % (file, FORMAT),
            "read it with the version that wrote it",
        )
    check_document(document, file)
    fill(RunDocument, document)
    return document


def check_document(document: Dict[str, Any], file: str) -> None:
    """Raise RunError where run.json has a value that no run can have; `file` names it in errors."""
    parsed = parse(RunDocument, document, file)
    check_text(document, file, "")
    twice = first_repeated(block.id for block in parsed.blocks)
    if twice is not None:
        raise RunError("%s: 'blocks' holds the id '%s' twice" % (file, twice))
    if not parsed.images:
        raise RunError("%s: 'images' is empty" % file)
    for image in parsed.images:
        if os.path.basename(image.file) != image.file:
            raise RunError("%s: 'images' must hold file names, not %.60r" % (file, image.file))


def blocks_of(document: Dict[str, Any]) -> Dict[str, Block]:
    """Every block that a record may be of: those of run.json, and those that repeat stages."""
    listed = [parse(Block, row, RUN_FILE) for row in document["blocks"]]
    known = {block.id: block for block in listed}
    for block in listed:
        id = "%s.%s%s" % (block.config, block.backend, STAGES_SUFFIX)
        known[id] = Block(id, block.config, block.backend, 0)
    return known


def session_of(document: Dict[str, Any]) -> int:
    """Which session of a run writes to it now: 0 for its start, n for its n-th resume.

    Args:
        document: run.json, in which a resume has listed itself.
    """
    return len(document.get("resumed") or [])


def last_server(document: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """The server that the last session used, as run.json keeps it; None without one."""
    later = [row["server"] for row in document.get("resumed") or [] if row.get("server")]
    return later[-1] if later else document.get("server")


def digests(path: str) -> Dict[str, Dict[str, Any]]:
    """Every record file of a run but run.json: its name in the folder -> bytes, sha256.

    Raises:
        RunError: one of them is not a regular file, or too large.
    """
    names = []
    for inside in ("", POWER_FOLDER):
        folder = os.path.join(path, inside)
        if not os.path.islink(folder) and os.path.isdir(folder):
            names += [os.path.join(inside, name) for name in os.listdir(folder)]
    rows = {}
    for name in sorted(names):
        file, base = os.path.join(path, name), os.path.basename(name)
        if name.endswith(_RECORDS) and name not in _NOT_RECORDS and not base.startswith("."):
            with open_file(file) as stream:
                size = stream.seek(0, os.SEEK_END)
            rows[name] = {"bytes": size, "sha256": sha256_file(file, MAX_FILE_BYTES, RunError)}
    return rows
