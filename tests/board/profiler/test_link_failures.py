"""What stops the kernel from shaping a link is named, with what to do about it (wondershaper#37)."""

import os
import stat

import pytest

from splitwatt.device_configs.errors import UsageError
from splitwatt.profiler.links.gate import RIGHTS, refusal
from splitwatt.profiler.links.parse import parse_link
from splitwatt.profiler.links.shaped import Shaped

TBF = "tc qdisc replace dev board root tbf rate 100000bit burst 1514b limit 1b"
VETH = "ip link add board type veth peer name server"
# Command, answer, what the message names, the remedy: as versions of iproute2 and kernels word it.
ANSWERS = [
    (TBF, "RTNETLINK answers: No such file or directory", "sch_tbf", "sudo modprobe sch_tbf"),
    (TBF, "RTNETLINK answers: No such file or directory\nWe have an error talking to the kernel",
     "sch_tbf", "sudo modprobe sch_tbf"),
    (TBF, "Error: Specified qdisc kind is unknown.", "sch_tbf", "sudo modprobe sch_tbf"),
    (TBF, "Unknown qdisc \"tbf\", hence option \"rate\" is unparsable", "sch_tbf",
     "sudo modprobe sch_tbf"),
    (VETH, "RTNETLINK answers: Operation not supported", "veth", "sudo modprobe veth"),
    (VETH, "Error: Unknown device type.", "veth", "sudo modprobe veth"),
    (TBF, "RTNETLINK answers: Operation not permitted", "not permitted", RIGHTS),
    (VETH, "RTNETLINK answers: Operation not permitted", "not permitted", RIGHTS),
    (TBF, "RTNETLINK answers: Invalid argument", "Invalid argument", ""),
    (TBF, "", "no reason", ""),
]  # fmt: skip


@pytest.mark.parametrize("command,answer,named,remedy", ANSWERS)
def test_the_cause_and_its_remedy(command, answer, named, remedy):
    error = refusal(command.split(), answer + "\n")
    assert named in str(error) and error.remedy == remedy
    assert " ".join(command.split()[:3]) in str(error) and "\n" not in str(error)


def program(folder, name, answer):
    path = os.path.join(str(folder), name)
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\necho '%s' >&2\nexit 2\n" % answer)
    os.chmod(path, stat.S_IRWXU)


def namespaces():
    with Shaped(parse_link("shaped:100kbit")) as shaped:
        return shaped.record["why_not_kernel"]


@pytest.mark.skipif(namespaces() is not None, reason="no network namespaces here")
@pytest.mark.parametrize(
    "name,answer,module",
    [("tc", "RTNETLINK answers: No such file or directory", "sch_tbf"),
     ("ip", "RTNETLINK answers: Operation not supported", "veth")],
)  # fmt: skip
def test_a_real_gate_gives_the_first_cause_alone(tmp_path, monkeypatch, name, answer, module):
    """Both ends fail, one because of the other: their sentences do not run together."""
    program(tmp_path, name, answer)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
    with Shaped(parse_link("shaped:100kbit/50kbit")) as shaped:
        why_not = shaped.record["why_not_kernel"]
        assert why_not.startswith("the kernel lacks the module %s (" % module)
        assert why_not.endswith(answer + ")")
        assert "sudo modprobe %s; " % module in shaped.sentence
        assert "root" not in shaped.sentence.replace("dev board root", "")
        assert "via=user" in shaped.sentence
    with pytest.raises(UsageError, match="modprobe " + module):
        Shaped(parse_link("shaped:100kbit,via=kernel"))


@pytest.mark.skipif(namespaces() is not None, reason="no network namespaces here")
def test_a_missing_program_is_installed_not_run_as_root(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with Shaped(parse_link("shaped:100kbit")) as shaped:
        assert "nsenter is not installed" in shaped.record["why_not_kernel"]
        assert "apt-get install util-linux" in shaped.sentence and "root" not in shaped.sentence
