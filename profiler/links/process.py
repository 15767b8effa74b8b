"""Processes that end when the one that started them does, however that ends."""

import ctypes
import os
import signal
import subprocess
from typing import IO, List, Sequence

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SplitwattError

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have this process receive the signal `number` as soon as its parent, a process id, has ended.

    Raises:
        SplitwattError: the parent has ended already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        raise SplitwattError("the process %d that started this one has ended" % parent)


def start_module(
    module: str, arguments: List[str], errors: IO[bytes], keep: int, prefix: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """Start a module of ours in another process and session, its standard output a pipe.

    It inherits the file descriptor `keep`; `prefix` goes before the command, as what brings it into
    a network namespace.
    """
    return subprocess.Popen(
        list(prefix) + module_command(module, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        pass_fds=(keep,),
        start_new_session=True,
    )
