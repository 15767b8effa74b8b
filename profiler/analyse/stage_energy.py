"""Joules of single stages: what a run's stage blocks recorded, and what their traces tell of it.

A sensor is too slow for a stage of some milliseconds. So a stage block repeats one stage alone, for
ten seconds or more, and the joules of that window are divided by the repetitions. The stages are

    SLOT.preprocess, SLOT.encoder, SLOT.encode    on the board, as in a sample (local models: model,
                                                  postprocess)
    SLOT.transmit    the request goes to the server and an answer of the same size comes back,
                     without any work there
    SLOT.server      the server works and the board waits: for the board what waiting costs, for the
                     server's rails what the work costs
"""

from typing import Dict, List, NamedTuple, Optional, Sequence

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.per_image import LEAST_BLOCK_S
from splitwatt.profiler.analyse.run_energy import NO_TOTAL, idle_of
from splitwatt.profiler.analyse.traced import Joules, RailJoules, joules, traces_of
from splitwatt.profiler.records.sample import OK, Window

TRANSMIT = "transmit"
SERVER = "server"


class StageBlock(NamedTuple):
    """One stage of a stage block; the fields are described in `splitwatt.profiler.records.fields`."""

    config: str
    backend: str
    block: str
    stage: str
    start_s: Optional[float]
    end_s: Optional[float]
    repetitions: Optional[int]
    images: int
    status: str
    reason: Optional[str]
    session: Optional[int] = None


class StageEnergy(NamedTuple):
    """Joules of one stage for one image.

    Attributes:
        config, backend, block, stage, repetitions: as recorded.
        provenance: "measured", "generated" or "replayed"; None without a trace.
        total, rails: the board's, as of a block (see `splitwatt.profiler.analyse.run_energy.BlockEnergy`).
        server_provenance, server_total, server_rails: the server's own in the stage `server`; None
            and empty elsewhere and where it has no sensor.
        why_not: why there are none of the board's; None where there are.
    """

    config: str
    backend: str
    block: str
    stage: str
    repetitions: Optional[int]
    provenance: Optional[str]
    total: Optional[RailJoules]
    rails: List[RailJoules]
    server_provenance: Optional[str]
    server_total: Optional[RailJoules]
    server_rails: List[RailJoules]
    why_not: Optional[str]


def stage_energies(
    stages: Sequence[StageBlock],
    windows: Sequence[Window],
    power: Dict[str, str],
    why_none: str,
    least_s: float = LEAST_BLOCK_S,
) -> List[StageEnergy]:
    """The energy of each stage that was repeated alone.

    Args:
        stages, windows: of the run.
        power: name -> path of a trace.
        why_none: why a block without a trace has none.
        least_s: a stage that was repeated for less has no joules.
    """
    return [_of_stage(stage, windows, power, why_none, least_s) for stage in stages]


def _of_stage(
    stage: StageBlock,
    windows: Sequence[Window],
    power: Dict[str, str],
    why_none: str,
    least_s: float,
) -> StageEnergy:
    none = StageEnergy(
        stage.config, stage.backend, stage.block, stage.stage, stage.repetitions, None, None, [],
        None, None, [], None,
    )  # fmt: skip
    if stage.status != OK or not stage.repetitions or stage.start_s is None or stage.end_s is None:
        return none._replace(why_not=stage.reason or "it was not repeated")
    lasted = stage.end_s - stage.start_s
    if lasted < least_s:
        why = "%s was repeated for %.3g s, and %g s are needed" % (stage.stage, lasted, least_s)
        return none._replace(why_not=why)
    on_server = None
    if stage.stage.endswith("." + SERVER):
        try:
            on_server = _joules(stage, windows, traces_of(power, stage.block, server=True))
        except SensorError:
            on_server = None  # the block's own record says why
    if on_server is not None:
        none = none._replace(
            server_provenance=on_server.provenance, server_total=on_server.total,
            server_rails=on_server.rails,
        )  # fmt: skip
    traces = traces_of(power, stage.block)
    if not traces:
        return none._replace(why_not=why_none)
    try:
        found = _joules(stage, windows, traces)
    except SensorError as error:
        return none._replace(why_not=error.message)
    assert found is not None  # for the type checker
    return none._replace(
        provenance=found.provenance,
        total=found.total,
        rails=found.rails,
        why_not=found.total.why_not if found.total else NO_TOTAL,
    )


def _joules(
    stage: StageBlock, windows: Sequence[Window], traces: Sequence[str]
) -> Optional[Joules]:
    """None without a trace."""
    if not traces or stage.start_s is None or stage.end_s is None or not stage.repetitions:
        return None
    idle = idle_of(windows, stage.block, stage.session)
    return joules(traces, stage.start_s, stage.end_s, stage.repetitions, idle, stage.session)
