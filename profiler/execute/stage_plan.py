"""Which stage blocks a run has, one for each configuration and backend, and which stages they have."""

from typing import Any, Dict, List, NamedTuple

from splitwatt.profiler.analyse.stage_energy import SERVER, TRANSMIT
from splitwatt.profiler.config.bundles import slot
from splitwatt.profiler.config.config import SPLIT, Config

SUFFIX = ".stages"


class StageSpec(NamedTuple):
    """A stage block: its id is as LC1.cpu.stages."""

    id: str
    config: str
    backend: str


def stage_specs(config: Config) -> List[StageSpec]:
    """The stage blocks that a config asks for, in its own order; none without `stage_energy_s`."""
    if config.stage_energy_s is None:
        return []
    return [
        StageSpec("%s.%s%s" % (row.id, backend, SUFFIX), row.id, backend)
        for row in config.configurations
        for backend in config.backends
    ]


def stage_names(config: Config, spec: StageSpec, bundles: Dict[str, Any]) -> Dict[str, List[str]]:
    """Model -> its stages in their order, for each model of a stage block.

    Args:
        config: the run's.
        spec: the block.
        bundles: run.json's: a part on the board is a stage, and the two of one that was cut are one.
    """
    row = config.configuration(spec.config)
    last = ["encode", TRANSMIT, SERVER] if row.kind == SPLIT else ["postprocess"]
    found = {}
    for model in row.models:
        bundle = bundles[model]
        parts = [part["name"] for part in bundle["parts"] if part["placement"] == "board"]
        names = ["preprocess"] + [part.split(".")[0] for part in parts] + last
        found[model] = ["%s.%s" % (slot(bundle["tasks"]), name) for name in dict.fromkeys(names)]
    return found
