"""Runs a run's stage blocks: after all others, where the power of board or server is sampled."""

from typing import Any, Callable, ContextManager, Dict, List, NamedTuple, Sequence, Set

from splitwatt.device_configs.cli import note
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.config.config import SPLIT, Config
from splitwatt.profiler.execute.block_process import run_block
from splitwatt.profiler.execute.prepare import Options
from splitwatt.profiler.execute.stage_plan import StageSpec, stage_names, stage_specs
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import read_stages
from splitwatt.profiler.records.sample import OK

LOG = "stages.log"
_MODULE = "profiler.execute.block.stages"
# Opening the models and measuring idle power take about so long, s; for the time left.
_AROUND_S = 8.0


class Around(NamedTuple):
    """What a stage block needs of the session that runs it.

    Attributes:
        endpoint: tells where the server is, once it was met.
        power: called with a block; samples power for as long as it is entered, and gives what
            samples (None: nothing does, and stages are not repeated for nothing).
        prefix: what goes before the command of a split block, as on a shaped link.
    """

    endpoint: Callable[[], Endpoint]
    power: Callable[[Any], ContextManager[Any]]
    prefix: Callable[[bool], Sequence[str]]


class StagesLeft(NamedTuple):
    """A stage block with stages that are not done: which of its stages are, and how many are not."""

    spec: StageSpec
    done: Set[str]
    missing: int


def stages_left(config: Config, folder: RunFolder, bundles: Dict[str, Any]) -> List[StagesLeft]:
    """The stage blocks that are not done.

    Args:
        config: the run's.
        folder: the run's.
        bundles: run.json's.
    """
    done: Dict[str, Set[str]] = {}
    for row in read_stages(folder.path):
        if row.status == OK:
            done.setdefault(row.block, set()).add(row.stage)
    found = []
    for spec in stage_specs(config):
        known = done.get(spec.id, set())
        names = sum(stage_names(config, spec, bundles).values(), [])
        found.append(StagesLeft(spec, known, len(set(names) - known)))
    return [one for one in found if one.missing]


def run_stage_blocks(
    left: List[StagesLeft], config: Config, folder: RunFolder, options: Options, around: Around
) -> None:
    """Run them one after the other; one that dies is left as it is, for a resume."""
    each_s = [_AROUND_S + one.missing * (config.stage_energy_s or 0.0) for one in left]
    for i, (spec, done, _) in enumerate(left):
        note("stages of %s on %s, %s" % (spec.config, spec.backend, _about(sum(each_s[i:]))))
        split = config.configuration(spec.config).kind == SPLIT
        with around.power(spec) as sampled:
            if sampled is None:
                note("no stage is repeated: nothing samples the power")
                return
            arguments = _arguments(folder, spec, options, done)
            ended = run_block(
                arguments,
                around.endpoint() if split else None,
                options.token_file,
                folder.lock_number(),
                folder.file(LOG),
                lambda told: None,
                lambda process: None,
                prefix=around.prefix(split),
                module=_MODULE,
            )
        if ended.died is not None:
            folder.mend()
            note("%s: %s" % (spec.id, ended.died))


def _arguments(folder: RunFolder, spec: StageSpec, options: Options, done: Set[str]) -> List[str]:
    arguments = [
        "--run", folder.path, "--block", spec.id, "--bundles", options.bundles,
        "--target", options.target, "--timeout", str(options.timeout_s),
        "--done", ",".join(sorted(done)),
    ]  # fmt: skip
    return arguments + (["--threads", str(options.threads)] if options.threads else [])


def _about(seconds: float) -> str:
    minutes = seconds / 60
    return "about %d s left" % seconds if minutes < 1.5 else "about %d min left" % round(minutes)
