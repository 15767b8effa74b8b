"""The blocks of a profile and the order in which it runs them."""

import random
from typing import Any, Dict, Iterable, List

from splitwatt.profiler.analyse.energy import SERVER, TRANSMIT
from splitwatt.profiler.config.bundles import slot
from splitwatt.profiler.config.config import SPLIT, Config
from splitwatt.profiler.records.blocks import STAGES_SUFFIX, Block, again_id


def plan_blocks(config: Config) -> List[Block]:
    """Every configuration on every backend, once a repeat, shuffled within each repeat by the seed.

    Blocks of all configurations interleave, so that a drift of the machine favours none of them.
    """
    shuffler = random.Random(config.seed)
    blocks: List[Block] = []
    for repeat in range(config.repeats):
        some = [
            Block("%s.%s.%d" % (row.id, backend, repeat), row.id, backend, repeat)
            for row in config.configurations
            for backend in config.backends
        ]
        shuffler.shuffle(some)
        blocks += some
    return blocks


def plan_again(config: Config, blocks: List[Block], wanted: Iterable[str]) -> List[Block]:
    """The blocks to run after those of a run, in an order by the seed, so that the wanted ones (ids) run
    again; of a block that ran again its last one counts.
    """
    known, ids = {block.id for block in blocks}, set(wanted)
    ran = [block for block in blocks if block.id in ids]
    more = [b._replace(id=again_id(b.id, b.again + 1), again=b.again + 1) for b in ran]
    more = [block for block in more if block.id not in known]
    random.Random(config.seed + len(blocks)).shuffle(more)
    return more


def stage_blocks(config: Config) -> List[Block]:
    """The blocks that repeat single stages, one for each configuration and backend, in the config's
    order; none without `stage_energy_s`.
    """
    if config.stage_energy_s is None:
        return []
    return [
        Block("%s.%s%s" % (row.id, backend, STAGES_SUFFIX), row.id, backend, 0)
        for row in config.configurations
        for backend in config.backends
    ]


def stage_names(config: Config, block: Block, bundles: Dict[str, Any]) -> Dict[str, List[str]]:
    """Model -> its stages in their order, for each model of a block that repeats stages.

    A part on the board in run.json's bundles is a stage, and the two of one that was cut are one.
    """
    row = config.configuration(block.config)
    last = ["encode", TRANSMIT, SERVER] if row.kind == SPLIT else ["postprocess"]
    stages = {}
    for model in row.models:
        bundle = bundles[model]
        parts = [part["name"] for part in bundle["parts"] if part["placement"] == "board"]
        names = ["preprocess"] + [part.split(".")[0] for part in parts] + last
        stages[model] = ["%s.%s" % (slot(bundle["tasks"]), name) for name in dict.fromkeys(names)]
    return stages
