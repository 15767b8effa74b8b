"""A shaped link for one run: the kernel's where this machine can, our own token bucket elsewhere."""

import json
import os
import subprocess
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.profiler.links.gate import RIGHTS, GateError
from splitwatt.profiler.links.link import BURST_BYTES, KERNEL, USER, Link

_STOP_TIMEOUT_S = 5.0
# What works where the kernel cannot shape.
_OTHERWISE = "--link shaped:RATE,via=user needs neither rights nor modules"


class Shaped:
    """The link of a run's split blocks; a context manager.

    Attributes:
        record: what run.json keeps of it: `via`, asked rates, burst, the gate's address, and why
            the kernel does not shape where it does not.
        remedy: what to do where the kernel does not shape; "" where it does.
        prefix: goes before the command of a process that is to be on the board's side.
    """

    def __init__(self, link: Link) -> None:
        """Make it.

        Raises:
            UsageError: the link asks for the kernel and this machine cannot.
        """
        self.prefix: List[str] = []
        self.remedy = ""
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
            try:
                self._open(link)
            except GateError as error:
                self.close()
                self.prefix = []
                self.remedy = "; ".join(filter(None, (error.remedy, _OTHERWISE)))
                if link.via == KERNEL:
                    raise UsageError("the kernel cannot shape the link: %s" % error, self.remedy)
                self.record["why_not_kernel"] = str(error)

    @property
    def sentence(self) -> str:
        """What shapes the link, as text."""
        if self.record["via"] == KERNEL:
            return "the link %s is shaped by the kernel (tbf)" % self.record["name"]
        why_not = self.record["why_not_kernel"]
        more = "; the kernel cannot: %s; %s" % (why_not, self.remedy) if why_not else ""
        return "the link %s is shaped by a token bucket of our own%s" % (self.record["name"], more)

    def _open(self, link: Link) -> None:
        """Start the gate, or GateError."""
        gate: Any = subprocess.Popen(
            module_command("profiler.links.gate"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            start_new_session=True,
        )
        self._gate = gate
        self._tell({"parent": os.getpid(), "up": link.rate_kbit_s, "down": link.downlink_kbit_s})
        about = json.loads(gate.stdout.readline() or '{"error": "its process ended"}')
        if "error" in about:
            raise GateError(about["error"], about.get("remedy", ""))
        user = ["-U", "--preserve-credentials"] if about["user"] else []
        self.prefix = ["nsenter", "-t", str(about["pid"])] + user + ["-n"]
        try:
            entered = subprocess.run(
                self.prefix + ["true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError:
            raise GateError(
                "the program nsenter is not installed", "sudo apt-get install util-linux"
            )
        if entered.returncode:
            answer = " ".join(entered.stdout.decode("utf-8", "replace").split())
            raise GateError("nsenter failed: %s" % answer[:200], RIGHTS)
        self.record.update(via=KERNEL, gate=about["address"])

    def lead_to(self, url: str) -> None:
        """Have the gate pass connections on to this server from now on."""
        if self._gate is None:
            return
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tell({"target": [parts.hostname, port]})

    def _tell(self, document: Dict[str, Any]) -> None:
        gate: Any = self._gate
        try:
            gate.stdin.write(json.dumps(document) + "\n")
            gate.stdin.flush()
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
