"""Which stage blocks a run has: one for each configuration and backend, after all other blocks."""

from typing import List, NamedTuple

from profiler.config import Config

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
