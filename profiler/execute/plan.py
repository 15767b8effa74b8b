"""The order in which a profile runs its blocks."""

import random
from typing import Iterable, List

from splitwatt.profiler.config.config import Config
from splitwatt.profiler.execute.block.recording import Spec
from splitwatt.profiler.records.blocks import again_id


def plan_blocks(config: Config) -> List[Spec]:
    """Every configuration on every backend, once a repeat, shuffled within each repeat by the seed.

    Blocks of all configurations interleave, so that a drift of the machine favours none of them.
    """
    shuffler = random.Random(config.seed)
    blocks: List[Spec] = []
    for repeat in range(config.repeats):
        some = [
            Spec("%s.%s.%d" % (row.id, backend, repeat), row.id, backend, repeat)
            for row in config.configurations
            for backend in config.backends
        ]
        shuffler.shuffle(some)
        blocks += some
    return blocks


def plan_again(config: Config, blocks: List[Spec], throttled: Iterable[str]) -> List[Spec]:
    """Blocks to run again, in an order by the seed: those that the board throttled in.

    A block runs again `throttled_again` times at most, whatever becomes of it.

    Args:
        config: the run's.
        blocks: those that the run has.
        throttled: ids of blocks.
    """
    known = {spec.id for spec in blocks}
    wanted = set(throttled)
    more = [
        spec._replace(id=again_id(spec.id, spec.again + 1), again=spec.again + 1)
        for spec in blocks
        if spec.id in wanted and spec.again < config.throttled_again
    ]
    more = [spec for spec in more if spec.id not in known]
    random.Random(config.seed + len(blocks)).shuffle(more)
    return more
