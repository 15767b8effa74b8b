"""The gate: a kernel-shaped link between a network namespace for the board and this machine.

A forked process makes two namespaces without a name: one with a listening socket, and one for the
board's process, in which it stays; and between them a pair of Ethernet interfaces whose ends the
kernel shapes (tbf). It hands the socket to this process, which passes every connection on to the
server; no interface or address of the machine itself is touched. Namespaces without a name last as
long as a process or a socket is in them, and both processes end with the one that started them,
killed or not: nothing remains.

Needs root, or a kernel that lets every user make namespaces.
"""

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
from typing import Any, Dict, List, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.links.link import BURST_BYTES
from splitwatt.profiler.links.process import die_with_parent

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NAMESPACE = "/proc/self/ns/net"
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


def main() -> int:
    """Make the gate, print where it is as a line of JSON, pass connections on until stdin ends.

    The first line of stdin has the parent's process id and the rates (kbit/s), others a server.
    """
    job = json.loads(sys.stdin.readline())
    try:
        die_with_parent(job["parent"])
        board, listener, sink = _make(job["up"], job["down"])
    except (GateError, OSError, SplitwattError) as error:
        print(json.dumps(_as_json(error)), flush=True)
        return 1
    address = [_SERVER, listener.getsockname()[1]]
    print(json.dumps({"pid": board, "address": address, "user": os.geteuid() != 0}), flush=True)
    targets: List[Any] = []
    threading.Thread(target=_relay, args=(listener, targets), daemon=True).start()
    for line in sys.stdin:
        targets.append(tuple(json.loads(line)["target"]))
    sink.close()
    os.kill(board, signal.SIGKILL)
    return 0


def _make(up: float, down: Optional[float]) -> Tuple[int, socket.socket, socket.socket]:
    """Process id inside the board's namespace, the listening socket, the sink of datagrams."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    board = os.fork()
    if board == 0:
        _child(there, parent, up, down)
    there.close()
    fds = array.array("i")
    message, rights, _, _ = here.recvmsg(4096, socket.CMSG_SPACE(2 * fds.itemsize))
    for _, _, data in rights:
        fds.frombytes(data)
    if len(fds) != 2:
        about = json.loads(message.decode("utf-8") or '{"error": "its process has ended"}')
        raise GateError(about["error"], about.get("remedy", ""))
    return board, socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])


def _child(pipe: socket.socket, parent: int, up: float, down: Optional[float]) -> None:
    """In the forked process: make the namespaces, hand the sockets out, and stay; never returns."""
    try:
        die_with_parent(parent)
        sockets = _namespaces(up, down)
        rights = array.array("i", [one.fileno() for one in sockets])
        pipe.sendmsg([b"ok"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights.tobytes())])
        for one in sockets:
            one.close()
        while True:
            signal.pause()
    except (GateError, OSError, SplitwattError) as error:
        with contextlib.suppress(OSError):
            pipe.sendall(json.dumps(_as_json(error)).encode("utf-8"))
    finally:
        os._exit(1)


def _as_json(error: Exception) -> Dict[str, str]:
    return {"error": str(error), "remedy": getattr(error, "remedy", "")}


def _namespaces(up: float, down: Optional[float]) -> Tuple[socket.socket, socket.socket]:
    """Enter the server's namespace, then the board's, and join them; the server's sockets."""
    _new_namespace()
    server = os.open(_NAMESPACE, os.O_RDONLY)
    _no_ipv6()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("", 0))
    listener.listen(64)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(listener.getsockname())
    _call("unshare", _CLONE_NEWNET)
    board = os.open(_NAMESPACE, os.O_RDONLY)
    _no_ipv6()
    _run("ip link add board address %s type veth peer name server address %s netns /proc/self/fd/%d"
         % (_BOARD_MAC, _SERVER_MAC, server), (server,))  # fmt: skip
    _end("board", _BOARD, _SERVER, _SERVER_MAC, up)
    _call("setns", server, _CLONE_NEWNET)
    _end("server", _SERVER, _BOARD, _BOARD_MAC, down)
    _call("setns", board, _CLONE_NEWNET)
    return listener, sink


def _new_namespace() -> None:
    """A network namespace; where that is not allowed, one inside a namespace of users."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", _CLONE_NEWNET)
    except OSError:
        try:
            _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
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


def _call(name: str, *arguments: int) -> None:
    """A function of the C library that returns 0, or OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _no_ipv6() -> None:
    with contextlib.suppress(OSError):  # a kernel without it has nothing to turn off
        _write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")


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


def _run(command: str, keep: Sequence[int] = ()) -> None:
    words = command.split()
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    try:
        ran = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=keep,
            timeout=_TOOL_TIMEOUT_S,
        )
    except OSError:
        raise GateError(
            "the program %s is not installed" % words[0], "sudo apt-get install iproute2"
        )
    if ran.returncode:
        raise refusal(words, ran.stdout.decode("utf-8", "replace"))


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
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def _relay(listener: socket.socket, targets: List[Any]) -> None:
    """Pass connections on to the last of the addresses in `targets`, each in two threads."""
    while True:
        inside, _ = listener.accept()
        try:
            outside = socket.create_connection(targets[-1], 10.0)
        except (OSError, IndexError):  # as a server that is gone: the client sees a reset
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
