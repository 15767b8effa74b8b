"""A shaped link for one run: the kernel's where this machine can, our own token bucket elsewhere."""

import json
import os
import subprocess
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.profiler.links.link import BURST_BYTES, KERNEL, USER, Link

_STOP_TIMEOUT_S = 5.0
# Where the kernel cannot: what to run to see why, and what gives the right.
RIGHTS = (
    "run as root (sudo), or where users may make namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1); --link shaped:RATE,via=user needs no rights"
)


class Shaped:
    """The link of a run's split blocks; a context manager.

    Attributes:
        record: what run.json keeps of it: `via`, asked rates, burst, the gate's address, and why
            the kernel does not shape where it does not.
        prefix: goes before the command of a process that is to be on the board's side.
    """

    def __init__(self, link: Link) -> None:
        """Make it.

        Raises:
            UsageError: the link asks for the kernel and this machine cannot.
        """
        self.prefix: List[str] = []
        self._gate: Optional[Any] = None
        self.record: Dict[str, Any] = {
            "name": link.name,
            "kind": link.kind,
            "via": USER,
            "rate_kbit_s": link.rate_kbit_s,
            "downlink_kbit_s": link.downlink_kbit_s,
            "burst_bytes": BURST_BYTES,
            "gate": None,
            "why_not_kernel": None,
        }
        if link.via != USER:
            why_not = self._open(link)
            if why_not and link.via == KERNEL:
                raise UsageError("the kernel cannot shape the link: %s" % why_not, RIGHTS)
            self.record["why_not_kernel"] = why_not

    @property
    def sentence(self) -> str:
        """What shapes the link, for people."""
        if self.record["via"] == KERNEL:
            return "the link %s is shaped by the kernel (tbf)" % self.record["name"]
        why_not = self.record["why_not_kernel"]
        more = "; the kernel cannot: %s. To have it, %s" % (why_not, RIGHTS) if why_not else ""
        return "the link %s is shaped by a token bucket of our own%s" % (self.record["name"], more)

    def _open(self, link: Link) -> Optional[str]:
        """Start the gate; why it cannot be, or None."""
        command = module_command(
            "profiler.links.gate", "--parent", str(os.getpid()), "--up", repr(link.rate_kbit_s)
        )
        if link.downlink_kbit_s is not None:
            command += ["--down", repr(link.downlink_kbit_s)]
        gate = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert gate.stdout is not None  # for the type checker
        told = gate.stdout.readline().decode("utf-8")
        about = json.loads(told) if told.strip() else {"error": "its process ended"}
        self._gate = gate
        if "error" in about:
            self.close()
            return str(about["error"])
        user = ["-U", "--preserve-credentials"] if about["user"] else []
        self.prefix = ["nsenter", "-t", str(about["pid"])] + user + ["-n"]
        why_not = _cannot_enter(self.prefix)
        if why_not:
            self.close()
            self.prefix = []
            return why_not
        self.record.update(via=KERNEL, gate=about["address"])
        return None

    def lead_to(self, url: str) -> None:
        """Have the gate pass connections on to this server from now on."""
        if self._gate is None:
            return
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        line = json.dumps({"target": [parts.hostname, port]}) + "\n"
        try:
            self._gate.stdin.write(line.encode("utf-8"))
            self._gate.stdin.flush()
        except OSError:
            raise SplitwattError("the shaped link's process has ended", "run the command again")

    def close(self) -> None:
        """Take the link away."""
        gate, self._gate = self._gate, None
        if gate is None:
            return
        try:
            gate.stdin.close()
            gate.wait(_STOP_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            gate.kill()
            gate.wait()
        gate.stdout.close()

    def __enter__(self) -> "Shaped":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _cannot_enter(prefix: List[str]) -> Optional[str]:
    try:
        process = subprocess.Popen(
            prefix + ["true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError:
        return "the program nsenter is not installed"
    output, _ = process.communicate()
    if process.returncode:
        return "nsenter failed: %s" % " ".join(output.decode("utf-8", "replace").split())[:200]
    return None
