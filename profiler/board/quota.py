"""A slower board on this machine: the board's process under the kernel's CPU quota.

A control group of our own (cgroup v1 or v2) limits the processor time of the processes that join it.
The group is deleted when it is closed; only the runner makes one.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SplitwattError, UsageError

REMEDY = "run as root on a Linux with cgroups and CONFIG_CFS_BANDWIDTH, or leave --board-quota out"
# The kernel takes periods from 1 ms to 1 s and quotas from 1 ms. The shortest period slows short stages as
# much as long ones: a stage that fits into one quota would not be slowed at all. But the kernel gives
# less than was asked for where a pause is shorter than 1 ms too.
_LEAST_US, _LONGEST_PERIOD_US = 1000.0, 1e6
_PREFIX = "splitwatt-"
_MODULE = "profiler.board.quota"
_MEASURE_S = 1.0


class _Place(NamedTuple):
    """A group of the kernel's that a group of our own may be made in, and its cgroup version."""

    folder: str
    version: int


class QuotaGroup(contextlib.ExitStack):
    """A control group whose processes get a share of the processors; a context manager that deletes
    the group, whose processes must have ended then.

    Attributes:
        record: what run.json keeps of it: `splitwatt.profiler.records.document.QuotaFacts`.
        folder: the group's, which a process joins by `join`.
    """

    def __init__(self, share: float, threads: Optional[int] = None, proc: str = "/proc") -> None:
        """Make the group and measure the share that its processes get.

        Args:
            share: processor time per wall time and processor, above 0 and at most 1.
            threads: processors that an inference uses; None: all that this process may use.
            proc: directory to use instead of /proc.

        Raises:
            UsageError: the kernel gives this user no quota: why.
        """
        super().__init__()
        allowed = len(os.sched_getaffinity(0))
        cpus = min(threads or allowed, allowed)
        period_us = min(
            _LONGEST_PERIOD_US,
            max(_LEAST_US / (share * cpus), _LEAST_US / max(1.0 - share, 1e-9)),
        )
        quota_us = max(_LEAST_US, round(share * cpus * period_us))
        reasons: List[str] = []
        for place in _places(proc):
            try:
                self.folder = _make(place, int(quota_us), int(period_us))
            except OSError as error:
                reasons.append("%s: %s" % (place.folder, error.strerror))
                continue
            self.callback(_delete, self.folder)
            self.record: Dict[str, Any] = {
                "share": share, "cpus": cpus, "quota_us": int(quota_us),
                "period_us": int(period_us), "cgroup": place.version, "measured_share": None,
                "throttled_s": None,
            }  # fmt: skip
            try:
                self.record["measured_share"] = _measured_share(self.folder, cpus)
                return
            except SplitwattError as error:
                reasons.append(error.message)
                self.close()
        why = "; ".join(reasons) or "no cgroup file system with the cpu controller is mounted"
        raise UsageError("no CPU quota can be set here (%s)" % why, REMEDY)

    @property
    def deviates(self) -> Optional[str]:
        """A sentence where the processes get another share than requested; None otherwise."""
        asked, got = self.record["share"], self.record["measured_share"]
        if abs(got / asked - 1.0) <= 0.05:
            return None
        return (
            "the board's process gets %.3g of the processors, not %g: the machine is busy or "
            "limited otherwise" % (got, asked)
        )

    def update(self) -> None:
        """Record how long its processes have been held back until now."""
        self.record["throttled_s"] = _throttled_s(self.folder)


def join(folder: str) -> None:
    """Move this process into a group; the processes that it starts belong to it too.

    Raises:
        SplitwattError: the kernel refuses it.
    """
    try:
        _write(os.path.join(folder, "cgroup.procs"), str(os.getpid()))
    except OSError as error:
        raise SplitwattError("%s: %s" % (folder, error.strerror), REMEDY)


def _places(proc: str) -> Iterator[_Place]:
    """This process's own group and those above it, by each hierarchy with the cpu controller."""
    own = {}
    for line in _lines(os.path.join(proc, "self", "cgroup")):
        _, controllers, path = line.split(":", 2)
        own[2 if not controllers else 1 if "cpu" in controllers.split(",") else 0] = path
    for version, folder, root in _mounts(proc):
        path = own.get(version, "/")
        if root != "/" and (path + "/").startswith(root + "/"):
            path = path[len(root) :]
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for count in range(len(parts), -1, -1):
            place = os.path.join(folder, *parts[:count])
            if os.path.isdir(place):
                yield _Place(place, version)


def _mounts(proc: str) -> Iterator[Tuple[int, str, str]]:
    """Version, folder and root of each mounted hierarchy with the cpu controller."""
    for line in _lines(os.path.join(proc, "self", "mountinfo")):
        before, _, after = line.partition(" - ")
        root, folder = before.split()[3:5]
        kind, options = after.split()[0], after.split()[-1].split(",")
        if kind == "cgroup" and "cpu" in options:
            yield 1, folder, root
        elif kind == "cgroup2":
            controllers = " ".join(_lines(folder + "/cgroup.controllers")).split()
            if "cpu" in controllers:
                yield 2, folder, root


def _make(place: _Place, quota_us: int, period_us: int) -> str:
    """A group of our own with that limit; its folder. OSError where the kernel refuses it."""
    _delete_left_over(place.folder)
    folder = os.path.join(place.folder, "%s%d" % (_PREFIX, os.getpid()))
    os.mkdir(folder)
    try:
        if place.version == 1:
            _write(folder + "/cpu.cfs_period_us", str(period_us))
            _write(folder + "/cpu.cfs_quota_us", str(quota_us))
            burst = folder + "/cpu.cfs_burst_us"
        else:
            if not os.path.exists(folder + "/cpu.max"):
                _write(place.folder + "/cgroup.subtree_control", "+cpu")
            _write(folder + "/cpu.max", "%d %d" % (quota_us, period_us))
            burst = folder + "/cpu.max.burst"
        # Since Linux 5.14: what a busy machine did not give comes a period later.
        if os.path.exists(burst):
            _write(burst, str(quota_us))
    except OSError:
        _delete(folder)
        raise
    return folder


def _delete_left_over(parent: str) -> None:
    """Groups whose runner was killed: the kernel deletes none that has a process."""
    for name in os.listdir(parent):
        pid = name[len(_PREFIX) :]
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists("/proc/" + pid):
            _delete(os.path.join(parent, name))


def _delete(folder: str) -> None:
    until = time.monotonic() + 2.0
    while True:
        try:
            return os.rmdir(folder)
        except OSError:  # its last process has not been cleared away yet
            if time.monotonic() > until:
                return
            time.sleep(0.02)


def _throttled_s(folder: str) -> Optional[float]:
    for line in _lines(folder + "/cpu.stat"):
        name, _, number = line.partition(" ")
        if name in ("throttled_time", "throttled_usec"):  # v1: ns, v2: us
            return int(number) / (1e9 if name == "throttled_time" else 1e6)
    return None


def _measured_share(folder: str, cpus: int) -> float:
    """Processor time per wall time and processor of busy processes in the group.

    A small process joins it and starts them: to start them from here would take time of the quota.
    """
    command = module_command(_MODULE, folder, str(cpus))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    said = json.loads(done.stdout.decode("utf-8") or "null")
    if done.returncode != 0:
        raise SplitwattError(said or "%s: no process of it ran" % folder, REMEDY)
    return float(said)


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20).splitlines()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def main(argv: List[str]) -> int:
    """Join the group at `argv[0]`, keep `argv[1]` processors busy, print the share that they got."""
    try:
        join(argv[0])
    except SplitwattError as error:
        print(json.dumps(error.message))
        return 1
    start = time.monotonic()
    children = [_busy_child(start + _MEASURE_S) for _ in range(int(argv[1]))]
    used = [os.wait4(child, 0)[2] for child in children]
    used_s = sum(own.ru_utime + own.ru_stime for own in used)
    print(json.dumps(used_s / (time.monotonic() - start) / len(children)))
    return 0


def _busy_child(until: float) -> int:
    """The id of a process that is busy until then."""
    child = os.fork()
    if child == 0:
        while time.monotonic() < until:
            pass
        os._exit(0)
    return child


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
