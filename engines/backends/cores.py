"""How many processor cores this process may use."""

import os
from typing import Iterable, Optional

_TOPOLOGY = "/sys/devices/system/cpu"


def usable_cores(cpus: Optional[Iterable[int]] = None, root: str = _TOPOLOGY) -> int:
    """The number of physical cores; two threads of one core count once.

    Args:
        cpus: the processors to count; by default those that this process may run on.
        root: the kernel's processor folder. Without a topology there, every processor counts.
    """
    if cpus is None:
        cpus = os.sched_getaffinity(0)
    return len({_core(root, cpu) for cpu in cpus}) or 1


def _core(root: str, cpu: int) -> str:
    """The list of a core's threads, which is the same for each of them."""
    path = os.path.join(root, "cpu%d" % cpu, "topology", "thread_siblings_list")
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip() or str(cpu)
    except (OSError, UnicodeDecodeError):
        return str(cpu)
