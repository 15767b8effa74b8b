"""The runner on a board's Python: local configurations need no server."""

import json
import os
import subprocess
import sys

import pytest

from splitwatt.device_configs.errors import ServerError, UsageError
from splitwatt.profiler.board.memory import BoardMeter, board_used_bytes, process_peak_bytes
from splitwatt.profiler.board.probe import BoardProbe
from splitwatt.profiler.board.state import board_state, hardware
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Connection, Endpoint
from splitwatt.profiler.records.legacy_size import pickled_bytes
from splitwatt.profiler.records.run import read_run
from tests.board.tiny import ROOT, tiny_bundle

CONFIG = """
format: 1
name: local
warmup: 1
inferences: 3
configurations:
  LC1: {local: [tiny_local]}
"""

# The profiler's room alone, as on a board: a host's `splitwatt profile` exports what is missing.
PROFILE = [
    sys.executable,
    "-c",
    "import sys; from splitwatt.device_configs.cli import guarded;"
    "from splitwatt.profiler.cli import profile; sys.exit(guarded(profile, sys.argv[1:]))",
]


def profile(*arguments):
    process = subprocess.Popen(
        PROFILE + [str(a) for a in arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    os.makedirs(str(folder / "cpu"))
    tiny_bundle(folder / "cpu" / "tiny_local", split=False)
    return folder


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "local.yaml"
    path.write_text(CONFIG)
    return path


def test_a_local_profile_runs_on_this_python(tmp_path, bundles, config):
    run = tmp_path / "run"
    arguments = ("--config", config, "--bundles", bundles, "--out", run, "--json")
    code, out, err = profile(*arguments)
    assert code == 0, err
    assert json.loads(out)["run"] == str(run)
    read = read_run(str(run))
    assert len(read.samples) == 4 and len(read.measured()) == 3 and read.finished
    assert not read.same_machine
    missing_s = []
    for sample in read.samples:
        assert sample.payload_bytes is None and sample.wire_up_bytes is None
        assert sample.requests == []
        assert set(sample.stages) == {"decode", "ic.preprocess", "ic.model", "ic.postprocess"}
        missing_s.append(sample.total_s - sum(sample.stages.values()))
    # A busy machine may stop the process between two stages, as `check` allows for.
    assert min(missing_s) >= -1e-9 and max(missing_s) < 0.04
    assert sorted(missing_s)[1] < max(0.02 * read.samples[0].total_s, 0.5e-3)
    assert read.memory[0].process_peak_bytes > 10 << 20
    assert read.memory[0].board_peak_bytes > read.memory[0].process_peak_bytes
    assert {w.name for w in read.windows} == {"warmup", "inferences"}
    code, out, err = profile(*arguments)
    assert code == 1 and "holds a run already" in err


def test_a_damaged_image_fails_its_samples_alone(tmp_path, bundles, config):
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (64, 48), (200, 10, 10)).save(str(images / "good.png"))
    (images / "bad.jpg").write_bytes(b"no image at all")
    (images / "empty.jpg").write_bytes(b"")
    run = tmp_path / "run"
    code, out, err = profile(
        "--config", config, "--bundles", bundles, "--out", run, "--images", images
    )
    assert code == 0, err
    read = read_run(str(run))
    status = {s.image: (s.status, s.failed_by) for s in read.samples if not s.warmup}
    bad = ("failed", "image")
    assert status == {"good.png": ("ok", None), "bad.jpg": bad, "empty.jpg": bad}
    assert all(s.reason for s in read.samples if not s.ok)
    assert "failed because of their image" in err
    sizes = {row["file"]: (row["width"], row["height"]) for row in read.document["images"]}
    assert sizes == {"good.png": (64, 48), "bad.jpg": (None, None), "empty.jpg": (None, None)}
    # A damaged image is not run again.
    code, out, err = profile("--resume", run)
    assert code == 0 and len(list(read_run(str(run)).samples)) == 4


def test_a_resume_waits_for_no_pipe_in_a_log_s_place(tmp_path, bundles, config):
    """Runs travel: opened as a file is, a pipe once held the resume for ever."""
    run = tmp_path / "run"
    assert profile("--config", config, "--bundles", bundles, "--out", run)[0] == 0
    lines = (run / "samples.jsonl").read_bytes().splitlines(True)
    (run / "samples.jsonl").write_bytes(b"".join(lines[:-1]))
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(dict(document, finished_wall=None)))
    for name in ("blocks.log", ".lock"):
        (run / name).unlink()
        os.mkfifo(str(run / name))
        code, _, err = profile("--resume", run)
        assert code == 1 and name + " could not be written" in err


def test_bad_usage_is_told_in_a_sentence(tmp_path, bundles, config):
    common = ("--config", config, "--bundles", bundles)
    for arguments, exit_code, sentence in (
        ((), 2, "--config is missing"),
        (("--config", "tabel3.yaml"), 2, "did you mean table3.yaml"),
        (common + ("--only", "LC2"), 2, "has no configuration 'LC2'"),
        (common + ("--backend", "cpuu"), 2, "unknown backend 'cpuu'; did you mean cpu"),
        (common + ("--backend", "cpu,cpu"), 2, "the command line: backends holds 'cpu' twice"),
        (common + ("--timeout", "long"), 2, "must be from 0.001 to 604800, not 'long'"),
        (common + ("--threads", "0"), 2, "must be a whole number from 1 on, not '0'"),
        (common + ("--images", tmp_path / "none"), 2, "there is no folder of images"),
        (common + ("--images", bundles), 2, "holds no image"),
        (("--config", config, "--bundles", tmp_path), 1, "splitwatt export --model tiny_local"),
        (("--resume", tmp_path), 1, "there is no run in"),
        (common + ("--resume", tmp_path, "--out", "x"), 2, "exclude each other"),
        (("--resume", tmp_path, "--only", "LC1"), 2, "change a --config"),
    ):
        code, out, err = profile(*arguments)
        assert (code, out) == (exit_code, "") and sentence in err, (arguments, err)
        assert "Traceback" not in err


def test_the_clients_arguments_are_checked():
    for url in ("ftp://a", "127.0.0.1:80", "http://", "http://h:port", "http://h/path"):
        with pytest.raises(UsageError):
            Connection(Endpoint(url), 1.0)
    with pytest.raises(UsageError):
        Connection(Endpoint("http://h", token="a\r\nb"), 1.0)
    with pytest.raises(UsageError):
        Connection(Endpoint("https://h", fingerprint="12"), 1.0)


def test_a_server_that_is_not_there_is_told():
    client = Client(Endpoint("http://127.0.0.1:9"), 1.0, retry_after_s=(0.01,))
    with pytest.raises(ServerError, match="cannot be reached"):
        client.infer("m", b"1", [1] * 6)
    assert not client.reachable


def test_memory_is_read_from_proc(tmp_path):
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  4000 kB\nMemFree:  10 kB\nMemAvailable:  1000 kB\n")
    assert board_used_bytes(str(info)) == 3000 * 1024
    assert board_used_bytes(str(tmp_path / "none")) is None
    assert process_peak_bytes(str(info)) is None
    with BoardMeter(str(info), 0.01) as meter:
        pass
    assert meter.peak_bytes == 3000 * 1024
    with BoardMeter(str(tmp_path / "none"), 0.01) as meter:
        pass
    assert meter.peak_bytes is None


def test_the_boards_state_is_null_where_nothing_tells(tmp_path):
    state = board_state(str(tmp_path))
    for key in ("nvpmodel", "governors", "cpu_khz", "gpu_hz", "temperatures_c", "cpu_model"):
        assert state[key] is None
    for n, temperature in enumerate((41500, 38000)):
        zone = tmp_path / "sys/class/thermal" / ("thermal_zone%d" % n)
        zone.mkdir(parents=True)
        (zone / "type").write_text("zone-%d\n" % n)
        (zone / "temp").write_text("%d\n" % temperature)
    cpufreq = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpufreq.mkdir(parents=True)
    (cpufreq / "scaling_governor").write_text("schedutil\n")
    (cpufreq / "scaling_cur_freq").write_text("1479000\n")
    state = board_state(str(tmp_path))
    assert state["temperatures_c"] == {"zone-0": 41.5, "zone-1": 38.0}
    assert (state["governors"], state["cpu_khz"]) == (["schedutil"], [1479000])


@pytest.mark.parametrize(
    "name", ["57000000.gpu", "17000000.gv11b", "17000000.gp10b", "17000000.ga10b"]
)
def test_a_jetsons_gpu_clock_is_found_by_state_and_probe(tmp_path, name):
    folder = tmp_path / "sys/class/devfreq" / name
    folder.mkdir(parents=True)
    (folder / "cur_freq").write_text("624750000\n")
    for n in range(2):
        zone = tmp_path / "sys/class/thermal" / ("thermal_zone%d" % n)
        zone.mkdir(parents=True)
        (zone / "type").write_text("acpitz\n")
        (zone / "temp").write_text("%d000\n" % (20 + n))
    state = board_state(str(tmp_path))
    assert state["gpu_hz"] == [624750000.0]
    assert state["temperatures_c"] == {"acpitz": 20.0, "thermal_zone1_acpitz": 21.0}
    with BoardProbe(str(tmp_path / "sys")) as probe:
        assert probe.read().values["gpu_hz"] == 624750000.0


def test_a_gpu_has_the_drivers_name_or_that_of_its_jetsons_chip(tmp_path):
    assert hardware(str(tmp_path))["gpu"] is None
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"nvidia,p3450-0000\0nvidia,jetson-nano\0nvidia,tegra210\0")
    assert hardware(str(tmp_path))["gpu"] == "part of the tegra210"
    for bus in ("0000:17:00.0", "0000:65:00.0"):
        gpu = tmp_path / "proc/driver/nvidia/gpus" / bus
        gpu.mkdir(parents=True)
        (gpu / "information").write_text("Model: \t\t NVIDIA A2\nIRQ:   \t\t 42\n")
    assert hardware(str(tmp_path))["gpu"] == "NVIDIA A2, NVIDIA A2"


def test_the_legacy_size_grows_with_the_payload():
    assert pickled_bytes([500], 79, 103) == 606
    assert pickled_bytes([500], 300, 103) == 607
