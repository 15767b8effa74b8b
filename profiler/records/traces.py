"""A run's power traces: their files, and what the JSON next to each says."""

import os
import stat
from typing import Any, Dict, List, NamedTuple, Optional

from splitwatt.device_configs.errors import RunError
from splitwatt.energy.rails.rail import SHORTEST_PERIOD_S
from splitwatt.profiler.records.fields import MAX_CLOCK_S, check_text, clock, field, parse, record
from splitwatt.profiler.records.reading import (
    DamagedLineError,
    open_file,
    read_bytes,
    read_line,
)
from splitwatt.profiler.records.sample import SESSION

POWER_FOLDER = "power"
# What follows a block's name in the name of its server's trace.
SERVER_SUFFIX = ".server"
# What follows a block's name in the trace of a later session, before a number.
AGAIN_SUFFIX = "~"
_LIMIT_BYTES = 16 << 20


@record("an entry of `clock`")
class ClockRow(NamedTuple):
    """The server's clock against the board's, before or after a block."""

    offset_s: float = field(
        "the server's monotonic clock less the board's", least=-MAX_CLOCK_S, most=MAX_CLOCK_S
    )
    at_s: Optional[float] = clock("when, on the board's monotonic clock", None)
    round_trip_s: Optional[float] = field("how long the exchange took", None)


@record("an entry of `rails`")
class RailFacts(NamedTuple):
    """A power rail."""

    label: str = field("its name, which is its column's")
    driver: str = field("what read it")
    kind: str = field("what a reading is: an instant, an average, a counter")
    path: Optional[str] = field("where it was read", None)
    period_s: Optional[float] = field(
        "how often it changes; null: not known", None, least=SHORTEST_PERIOD_S
    )
    part_of: Optional[str] = field("the rail that already contains it", None)
    energon: Optional[str] = field("its name in Energon's dashboards", None)
    measures: Optional[str] = field("what it supplies", None)
    absurd_above_w: Optional[float] = field("larger readings are left out", None, unit="W")


@record("power/<block>.json")
class TraceFacts(NamedTuple):
    """How a trace was sampled; docs/energy.md describes the keys that the sampler writes."""

    format: int = field("version of the format: 1")
    rails: List[RailFacts] = field("the columns")
    provenance: Optional[str] = field("measured, generated (an artificial load) or replayed", None)
    total: Optional[List[str]] = field("the rails that make the machine's total", None)
    probed_period_s: Optional[Dict[str, Optional[float]]] = field(
        "rail -> how often it was seen to change", None, least=SHORTEST_PERIOD_S
    )
    events: Optional[List[Dict[str, Any]]] = field("what the sampler noted", None)
    stats: Optional[Dict[str, Any]] = field("counts of the sampler", None)
    clock: List[ClockRow] = field("of a server's trace: its clock before and after the block", [])
    session: Optional[int] = SESSION


def trace_paths(path: str, damaged: List[str]) -> Dict[str, str]:
    """The power traces of a run by name: BLOCK, BLOCK~2, BLOCK.server, ...

    A trace whose JSON is damaged is left out, with a sentence in `damaged`.

    Raises:
        RunError: one of them, or the JSON next to it, is not a file that a run can hold.
    """
    folder = os.path.join(path, POWER_FOLDER)
    if not os.path.lexists(folder):
        return {}
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise RunError("%s is not a folder" % folder)
    paths, lost = {}, []
    for name in sorted(os.listdir(folder)):
        file = os.path.join(folder, name)
        if name.endswith(".csv"):
            check_text(name, folder, name)
            with open_file(file):
                pass
            paths[name[: -len(".csv")]] = file
        elif name.endswith(".json") and not name.startswith("."):
            try:
                trace_facts(file)
            except DamagedLineError:
                damaged.append("%s is damaged; its trace is left out" % file)
                lost.append(name[: -len(".json")])
    return {name: file for name, file in paths.items() if name not in lost}


def trace_facts(file: str) -> TraceFacts:
    """What the JSON next to a trace says.

    Raises:
        DamagedLineError: it is not JSON.
        RunError: it cannot be read, or has a value that no trace can have.
    """
    document = read_line(read_bytes(file, _LIMIT_BYTES), file)
    check_text(document, file, "")
    return parse(TraceFacts, document, file)


def traces_of(power: Dict[str, str], block: str, server: bool = False) -> List[str]:
    """The paths of a block's traces, one a session that ran a part of it.

    Args:
        power: the run's traces by name.
        server: those of its server instead of the board's.
    """
    paths = []
    for name, path in power.items():
        of_server = name.endswith(SERVER_SUFFIX)
        own = name[: -len(SERVER_SUFFIX)] if of_server else name
        if of_server == server and own.split(AGAIN_SUFFIX)[0] == block:
            paths.append(path)
    return paths
