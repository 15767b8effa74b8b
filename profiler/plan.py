"""The order in which a profile runs its blocks."""

import random
from typing import List

from profiler.block import Spec
from profiler.config import Config


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
