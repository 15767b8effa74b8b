"""What is left to do of a block: decided from the records, so that a resume decides the same."""

from typing import Dict, List, NamedTuple, Optional, Set

from splitwatt.profiler.config.config import Config
from splitwatt.profiler.config.steady import Repetition


class Done(NamedTuple):
    """What is recorded of a block and need not run (again).

    Attributes:
        warmups: which.
        inferences: which -> total_s, None where it failed.
        throughput: whether it is recorded.
    """

    warmups: Set[int]
    inferences: Dict[int, Optional[float]]
    throughput: bool

    def repetition(self, config: Config, images: int) -> Repetition:
        """Says which inferences are still to be run."""
        return Repetition(config.inferences, config.until, images, self.inferences)


class Left(NamedTuple):
    """What a block still has to do; false when it is through."""

    warmups: List[int]
    inferences: List[int]
    expected: int
    throughput: bool

    def __bool__(self) -> bool:
        return bool(self.warmups or self.inferences or self.throughput)

    def samples(self, config: Config) -> int:
        """How many samples a process will run for it, as far as can be foreseen."""
        if not self:
            return 0
        flow = config.inferences if self.throughput else 0
        return config.warmup + self.expected + flow


def left(config: Config, done: Done, images: int) -> Left:
    """What a block still has to do.

    Args:
        config: the run's.
        done: what is recorded of it.
        images: how many images the run has.
    """
    repetition = done.repetition(config, images)
    due = repetition.due()
    expected = max(len(due), repetition.expected() - len(done.inferences)) if due else 0
    warmups = [k for k in range(config.warmup) if k not in done.warmups]
    return Left(warmups, due, expected, config.pipelined and not done.throughput)
