"""The gate: a kernel-shaped link between a network namespace for the board and this machine.

Two namespaces without a name are made, one for the board's process and one with a listening socket,
and a pair of Ethernet interfaces between them whose ends the kernel shapes (tbf). The socket is
handed out of its namespace to this process, which passes every connection on to the server; no
interface or address of the machine itself is touched. Namespaces without a name last as long as a
process is in them, and every process here ends with the one that started it, killed or not: nothing
remains.

Needs root, or a kernel that lets every user make namespaces.
"""

import argparse
import array
import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.links.link import BURST_BYTES
from splitwatt.profiler.links.process import die_with_parent

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_BOARD, _SERVER = "10.37.0.1", "10.37.0.2"
_BOARD_MAC, _SERVER_MAC = "02:00:00:00:37:01", "02:00:00:00:37:02"
# Room for the bytes that wait for the bucket: nothing is dropped.
_QUEUE_BYTES = 64 << 20
_TOOL_TIMEOUT_S = 20


RIGHTS = (
    "run as root (sudo), or where users may make namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1)"
)
# What iproute2 needs of the kernel, by the words of its answers: the subcommand, the answer, and the
# module without which it answers so. Its versions word the same lack in different ways.
_MODULES = (
    ("tc", ("no such file or directory", "qdisc kind is unknown", "unknown qdisc"), "sch_tbf"),
    ("link", ("not supported", "unknown device type", "no such device"), "veth"),
)
_DENIED = ("not permitted", "permission denied")


class GateError(Exception):
    """The gate cannot be made here; a sentence says why, another what to do ("": nothing)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def main(argv: Optional[List[str]] = None) -> int:
    """Make the gate, print where it is as a line of JSON, pass connections on until stdin ends."""
    parser = argparse.ArgumentParser(
        prog="splitwatt.profiler.links.gate", description="A shaped link."
    )
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--up", type=float, required=True, help="kbit/s")
    parser.add_argument("--down", type=float, help="kbit/s")
    options = parser.parse_args(argv)
    try:
        die_with_parent(options.parent)
        board, listener, sink = _make(options.up, options.down)
    except (GateError, OSError, SplitwattError) as error:
        _print(_as_json(error))
        return 1
    _print({"pid": board, "address": list(listener.getsockname()), "user": os.geteuid() != 0})
    relay = Relay(listener)
    threading.Thread(target=relay.run, daemon=True).start()
    for line in sys.stdin:
        relay.target = tuple(json.loads(line)["target"])
    sink.close()
    os.kill(board, signal.SIGKILL)
    return 0


def _print(document: Any) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _make(up: float, down: Optional[float]) -> Tuple[int, socket.socket, socket.socket]:
    """Process id inside the board's namespace, the listening socket, the sink of datagrams."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    board = os.fork()
    if board == 0:
        _child(lambda: _board(there, up, down), there, parent)
    there.close()
    message, fds = _receive(here)
    if len(fds) != 2:
        # When one end fails the other one does too: the first line is the cause.
        first = message.decode("utf-8").split("\n")[0]
        about = json.loads(first) if first else {"error": "the namespace's process ended"}
        raise GateError(about["error"], about.get("remedy", ""))
    return board, socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])


def _child(work: Any, pipe: socket.socket, parent: int) -> None:
    """Run `work` in this forked process and never return."""
    code = 1
    try:
        die_with_parent(parent)
        work()
        code = 0
    except (GateError, OSError, SplitwattError) as error:
        with contextlib.suppress(OSError):
            pipe.sendall((json.dumps(_as_json(error)) + "\n").encode("utf-8"))
    finally:
        os._exit(code)


def _as_json(error: Exception) -> Dict[str, str]:
    return {"error": str(error), "remedy": getattr(error, "remedy", "")}


def _board(pipe: socket.socket, up: float, down: Optional[float]) -> None:
    """In the board's namespace: make the other one, join them, and stay."""
    _new_namespace()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    server = os.fork()
    if server == 0:
        ours.close()
        _child(lambda: _server(theirs, pipe, down), pipe, parent)
    theirs.close()
    if ours.recv(1) != b"n":
        raise GateError("the second namespace was not made")
    _write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
    _run("ip link add board address %s type veth peer name server address %s netns %d"
         % (_BOARD_MAC, _SERVER_MAC, server))  # fmt: skip
    _end("board", _BOARD, _SERVER, _SERVER_MAC, up)
    ours.sendall(b"j")
    ours.recv(1)
    while True:
        signal.pause()


def _server(joined: socket.socket, pipe: socket.socket, down: Optional[float]) -> None:
    """In the server's namespace: shape its end, and hand a listening socket out."""
    _unshare(_CLONE_NEWNET)
    _write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
    joined.sendall(b"n")
    if joined.recv(1) != b"j":
        raise GateError("the interfaces were not made")
    _end("server", _SERVER, _BOARD, _BOARD_MAC, down)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((_SERVER, 0))
    listener.listen(64)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(listener.getsockname())
    rights = array.array("i", [listener.fileno(), sink.fileno()])
    pipe.sendmsg([b"ok"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights.tobytes())])
    while True:
        signal.pause()


def _new_namespace() -> None:
    """A network namespace; where that is not allowed, one inside a namespace of users."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNET)
    except OSError:
        try:
            _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise GateError("network namespaces are not permitted here", RIGHTS)
            if error.errno == errno.ENOSPC:
                remedy = "raise sysctl user.max_net_namespaces"
                raise GateError("no more network namespaces are allowed", remedy)
            raise GateError("the kernel makes no network namespace: %s" % error.strerror)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", "0 %d 1" % uid)
        _write("/proc/self/gid_map", "0 %d 1" % gid)


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _end(name: str, own: str, other: str, mac: str, rate_kbit_s: Optional[float]) -> None:
    """Set up one end of the pair: address, the other's address, no coalescing, the bucket."""
    # Segments must reach the bucket one by one, or TCP takes those that wait there for lost.
    _run("ip link set dev %s mtu 1500 gso_max_segs 1 up" % name)
    _run("ip addr add %s/30 dev %s" % (own, name))
    _run("ip link set dev lo up")
    _run("ip neigh replace %s lladdr %s nud permanent dev %s" % (other, mac, name))
    if rate_kbit_s is not None:
        _run("tc qdisc replace dev %s root tbf rate %dbit burst %db limit %db"
             % (name, round(1000 * rate_kbit_s), BURST_BYTES, _QUEUE_BYTES))  # fmt: skip


def _run(command: str) -> None:
    words = command.split()
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    try:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
    except OSError:
        raise GateError(
            "the program %s is not installed" % words[0], "sudo apt-get install iproute2"
        )
    output, _ = process.communicate(timeout=_TOOL_TIMEOUT_S)
    if process.returncode:
        raise refusal(words, output.decode("utf-8", "replace"))


def refusal(words: List[str], output: str) -> GateError:
    """Why a command of iproute2 failed, and what to do, by its words and its answer."""
    answer = " ".join(output.split())[:200]
    failed = "'%s' failed: %s" % (" ".join(words[:3]), answer or "it gave no reason")
    if any(text in answer.lower() for text in _DENIED):
        return GateError(failed, RIGHTS)
    for command, answers, module in _MODULES:
        if command in words[:2] and any(text in answer.lower() for text in answers):
            return GateError(
                "the kernel lacks the module %s (%s)" % (module, failed), "sudo modprobe " + module
            )
    return GateError(failed)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as stream:
            stream.write(text)
    except OSError as error:
        if "ipv6" not in path:  # a kernel without it has nothing to turn off
            raise GateError("%s cannot be written: %s" % (path, error.strerror))


def _receive(pipe: socket.socket) -> Tuple[bytes, List[int]]:
    numbers = array.array("i")
    message, rights, _, _ = pipe.recvmsg(4096, socket.CMSG_SPACE(2 * numbers.itemsize))
    for level, kind, data in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return message, list(numbers)


class Relay:
    """Passes connections of a listening socket on to `target`, each in two threads."""

    def __init__(self, listener: socket.socket) -> None:
        self.target: Any = None
        self._listener = listener

    def run(self) -> None:
        """Accept until the process ends."""
        while True:
            inside, _ = self._listener.accept()
            try:
                outside = socket.create_connection(self.target, 10.0)
            except (OSError, TypeError):  # as a server that is gone: the client sees a reset
                inside.close()
                continue
            outside.settimeout(None)
            for stream in (inside, outside):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data = source.recv(1 << 16)
            if not data:
                break
            to.sendall(data)
    for stream, how in ((to, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            stream.shutdown(how)


if __name__ == "__main__":
    sys.exit(main())
