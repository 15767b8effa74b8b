"""Joules of single stages and of the server's end: a profile against a server of another machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from splitwatt.device_configs.errors import ConfigError
from splitwatt.engines.photos import default_photos
from splitwatt.profiler.analyse.energy import energy_of, server_energy_of, stage_energy_of
from splitwatt.profiler.config.config import from_document, load_config
from splitwatt.profiler.execute import power, prepare
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.execute.plan import stage_blocks, stage_names
from splitwatt.profiler.execute.runner import resume_run, start_run
from splitwatt.profiler.execute.work import stages_left
from splitwatt.profiler.links.link import framed_bytes, seconds
from splitwatt.profiler.records.blocks import StageBlock
from splitwatt.profiler.records.run import read_run
from tests.board.stalls import check_traces, undisturbed
from tests.conftest import COMMAND, ROOT
from tests.energy.generated_load import joules as generated_joules
from tests.profiler import oracles
from tests.profiler.test_links import needs_kernel

# A server is of another machine if it says so: here it has another boot's id.
ELSEWHERE = """
import sys
from splitwatt.profiler.board import versions
versions._BOOT_ID = sys.argv.pop(1)
versions.machine_id.__defaults__ = (versions._BOOT_ID,)
from splitwatt.profiler.cli import serve
sys.exit(serve(sys.argv[1:]))
"""
TOKEN = "a-token-of-sixteen-characters-or-more"


class Elsewhere:
    """`splitwatt serve` in a process that takes itself for another machine's."""

    def __init__(self, tiny: Path, folder: Path, *more: str) -> None:
        (folder / "boot_id").write_text("another machine\n")
        (folder / "token").write_text(TOKEN + "\n")
        self.token_file = str(folder / "token")
        self.process = subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(folder / "boot_id"), "--bundles", str(tiny),
             "--port", "0", "--json", "--token-file", self.token_file, *more],
            cwd=ROOT, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def elsewhere(tiny, tmp_path_factory):
    server = Elsewhere(
        tiny, tmp_path_factory.mktemp("elsewhere"), "--energy", "--driver", "generated"
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def profiled(tiny, elsewhere, tmp_path_factory):
    """A run with blocks of stages that are shorter than a config may ask for."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(power, "IDLE_S", 0.5)
    folder = tmp_path_factory.mktemp("stages")
    (folder / "c.yaml").write_text(
        "format: 1\nname: stages\nwarmup: 1\ninferences: 40\nlinks: []\nconfigurations:\n"
        "  LC1: {local: [tiny_local]}\n  Ours1: {split: [tiny@1]}\n"
    )
    config = load_config(str(folder / "c.yaml"))._replace(stage_energy_s=0.4)
    options = Options(
        bundles=str(tiny), target="cpu", server=elsewhere.url, token_file=elsewhere.token_file,
        driver="generated",
    )  # fmt: skip

    def measured(n):
        result = start_run(config, options, str(folder / ("run%d" % n)))
        check_traces(result.path)
        return result

    yield undisturbed(measured), options
    monkeypatch.undo()


def test_every_stage_has_joules(profiled):
    result, _ = profiled
    run = read_run(result.path)
    assert result.failed + result.again == 0 and not run.same_machine
    rows = {(row.config, row.stage): row for row in read_run(result.path).stages}
    assert set(rows) == {
        ("LC1", "ic.preprocess"), ("LC1", "ic.model"), ("LC1", "ic.postprocess"),
        ("Ours1", "all.preprocess"), ("Ours1", "all.encoder"), ("Ours1", "all.encode"),
        ("Ours1", "all.transmit"), ("Ours1", "all.server"),
    }  # fmt: skip
    for row in rows.values():
        assert row.status == "ok" and row.end_s - row.start_s >= 0.39 and row.repetitions >= 1
    energies = stage_energy_of(run, least_s=0.3)
    assert [energy.stage for energy in energies if energy.server] == ["all.server"]
    assert len(energies) == len(rows) + 1
    for energy in energies:
        row = rows[energy.config, energy.stage]
        exact = generated_joules(row.start_s, row.end_s) / row.repetitions
        assert energy.provenance == "generated" and energy.why_not is None
        # One machine's clock for both ends: the offset is nothing, the load the same.
        within = 5e-3 if energy.server else 2e-3
        assert energy.total.joules_per_image == pytest.approx(exact, rel=within)
        assert energy.total.idle_watts is not None


def test_a_stage_of_less_than_ten_seconds_has_no_joules(profiled):
    for energy in stage_energy_of(read_run(profiled[0].path)):
        assert energy.total is None and energy.rails == []
        said = r"was repeated for \d\.\d+ s, and 10 s are needed"
        assert re.search(said, energy.why_not), energy.why_not


def test_the_servers_joules_stand_apart(profiled):
    run = read_run(profiled[0].path)
    (served,) = server_energy_of(run)
    (own,) = [energy for energy in energy_of(run) if energy.config == "Ours1"]
    assert served.config == "Ours1" and served.inferences == own.inferences == 40
    assert served.provenance == "generated" and served.why_not is None
    # Both ends' rails are the same formula of the same clock.
    assert served.total.joules_per_image == pytest.approx(own.total.joules_per_image, rel=0.02)
    assert served.total.idle_watts == pytest.approx(own.total.idle_watts, rel=0.02)
    trace = Path(run.path, "power", "Ours1.cpu.0.server.json")
    clocks = json.loads(trace.read_text())["clock"]
    assert len(clocks) == 2
    for clock in clocks:
        assert abs(clock["offset_s"]) < 0.01 and 0 <= clock["round_trip_s"] < 0.1


def test_joules_of_stages_and_of_the_server_are_a_trapezoids(profiled):
    path = Path(profiled[0].path)
    run, windows = read_run(str(path)), oracles.rows(path, "windows.jsonl")
    looked = 0

    def idle(block):
        return [w for w in windows if (w["name"], w["block"]) == ("idle", block)]

    for block in server_energy_of(run):
        (window,) = [w for w in windows if (w["name"], w["block"]) == ("inferences", block.block)]
        trace = path / "power" / f"{block.block}.server.csv"
        for rail in block.rails:
            oracles.assert_joules(rail, trace, window, block.inferences, idle(block.block))
            looked += 1
    repeated = {(r["block"], r["stage"]): r for r in oracles.rows(path, "stages.jsonl")}
    for stage in stage_energy_of(run, least_s=0.3):
        row = repeated[stage.block, stage.stage]
        trace = path / "power" / f"{stage.block}{'.server' * stage.server}.csv"
        for rail in stage.rails:
            oracles.assert_joules(rail, trace, row, row["repetitions"], idle(stage.block))
            looked += 1
    assert looked == 1 + 8 + 1


def test_a_resume_repeats_only_what_is_missing(profiled):
    result, options = profiled
    path = Path(result.path, "stages.jsonl")
    lines = path.read_text().splitlines(True)
    gone = [line for line in lines if '"all.encode"' in line]
    path.write_text("".join(line for line in lines if line not in gone) + '{"config": "Ou')
    assert resume_run(result.path, options).again == 0
    again = read_run(result.path).stages
    assert len(again) == len(lines) and again[-1].stage == "all.encode"
    assert Path(result.path, "power", "Ours1.cpu.stages~2.csv").exists()
    for energy in stage_energy_of(read_run(result.path), least_s=0.3):
        assert energy.total.joules_per_image is not None


@pytest.mark.parametrize("via", ["user", pytest.param("kernel", marks=needs_kernel)])
def test_stages_of_split_models_go_over_the_shaped_link(
    tiny, elsewhere, tmp_path, monkeypatch, via
):
    monkeypatch.setattr(power, "IDLE_S", 0.1)
    (tmp_path / "c.yaml").write_text(
        "format: 1\nname: shaped\nwarmup: 0\ninferences: 6\n"
        f"links: [{{kind: shaped, rate_kbit_s: 1000, via: {via}}}]\n"
        "configurations: {Ours1: {split: [tiny@1]}}\n"
    )
    config = load_config(str(tmp_path / "c.yaml"))._replace(stage_energy_s=0.5)
    options = Options(
        bundles=str(tiny), target="cpu", server=elsewhere.url, token_file=elsewhere.token_file,
        driver="generated",
    )  # fmt: skip
    result = start_run(config, options, str(tmp_path / "run"))
    rows = {row.stage: row for row in read_run(result.path).stages}
    assert len(rows) == 5 and all(row.status == "ok" for row in rows.values()), rows
    sent = rows["all.transmit"]
    took_s = (sent.end_s - sent.start_s) / sent.repetitions
    wire = [framed_bytes(s.wire_up_bytes) for s in read_run(result.path).measured()]
    assert 0.9 * seconds(min(wire), 1000.0) < took_s < 2 * seconds(max(wire), 1000.0)


def test_a_damaged_image_or_an_engine_that_does_not_open_costs_its_own_stages(
    tiny, elsewhere, tmp_path, monkeypatch
):
    monkeypatch.setattr(power, "IDLE_S", 0.1)
    # The backend was there when the run was prepared, and does not open when its block begins.
    monkeypatch.setattr(prepare, "check_backends_here", lambda *_: None)
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(b"no image")
    shutil.copy(default_photos()[0], images / "b.jpg")
    (tmp_path / "c.yaml").write_text(
        f"format: 1\nname: odd\nimages: {images}\nwarmup: 0\ninferences: 2\nlinks: []\n"
        "backends: [cpu, tensorrt]\nconfigurations: {LC1: {local: [tiny_local]}}\n"
    )
    config = load_config(str(tmp_path / "c.yaml"))._replace(stage_energy_s=0.1)
    options = Options(bundles=str(tiny), target="cpu", driver="generated")
    result = start_run(config, options, str(tmp_path / "run"))
    run, rows = read_run(result.path), read_run(result.path).stages
    assert run.finished and result.failed == 1 and "tensorrt" in result.reason
    assert {row.backend: row.images for row in rows} == {"cpu": 1, "tensorrt": 0}
    assert [row.stage for row in rows] == 2 * ["ic.preprocess", "ic.model", "ic.postprocess"]
    for row in rows:
        assert row.status == ("ok" if row.backend == "cpu" else "failed")
        assert (row.reason is None) == (row.backend == "cpu")
    assert resume_run(result.path, options).failed == 1  # what failed is tried again, and fails
    assert read_run(result.path).finished and len(read_run(result.path).stages) == 6
    assert not Path(result.path, "power", "LC1.cpu.stages~2.csv").exists()


def test_an_image_codecs_stage_block_gets_done():
    config = from_document(
        {"format": 1, "name": "a", "inferences": 1, "stage_energy_s": 10,
         "configurations": {"JPEG": {"split": ["jpeg@50+m"]}}}, "c.yaml",
    )  # fmt: skip
    bundles = {
        "jpeg@50+m": {"tasks": ["classification"], "parts": [
            {"name": "classifier", "placement": "server"}, {"name": "x", "placement": "both"},
        ]}
    }  # fmt: skip
    (block,) = stage_blocks(config)
    names = stage_names(config, block, bundles)["jpeg@50+m"]
    assert names == ["ic.preprocess", "ic.encode", "ic.transmit", "ic.server"]
    rows = []
    for name in names:
        ((_, done, missing),) = stages_left(config, bundles, rows)
        assert missing == 4 - len(done) == 4 - len(rows)
        rows.append(StageBlock("JPEG", "cpu", block.id, name, 1.0, 2.0, 3, 4, "ok", None))
    assert stages_left(config, bundles, rows)[0][2] == 0


def test_a_config_asks_for_ten_seconds_or_more(tmp_path):
    text = "format: 1\nname: a\ninferences: 1\nconfigurations: {LC1: {local: [m]}}\n"
    for value, sound in (("null", True), ("10", True), ("9.9", False), ("0", False)):
        (tmp_path / "c.yaml").write_text(text + f"stage_energy_s: {value}\n")
        if sound:
            load_config(str(tmp_path / "c.yaml"))
        else:
            with pytest.raises(ConfigError, match="stage_energy_s"):
                load_config(str(tmp_path / "c.yaml"))


def ask(server, method, path, token=TOKEN, body=None, packed=None):
    request = urllib.request.Request(server.url + path, data=body, method=method)
    request.add_header("Authorization", "Bearer " + token)
    if packed:
        request.add_header("Content-Encoding", packed)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_what_a_server_refuses(elsewhere):
    own = "/v2/splitwatt"
    assert json.loads(ask(elsewhere, "GET", own)[1]) == {"offers": ["stages", "energy"]}
    for path in (own, own + "/nothing"):
        assert ask(elsewhere, "GET", path, token="wrong")[0] == 401
    assert ask(elsewhere, "GET", own + "/nothing")[0] == 404
    assert ask(elsewhere, "POST", own + "/echo/5", body=b"abc") == (200, b"\0" * 5)
    assert ask(elsewhere, "POST", own + "/echo/99999999999", body=b"")[0] == 413
    assert ask(elsewhere, "POST", own + "/echo/" + "9" * 5000, body=b"")[0] == 413
    assert ask(elsewhere, "POST", own + "/echo/a", body=b"")[0] == 400
    assert ask(elsewhere, "POST", own + "/repeat/tiny@1/nan", body=b"")[0] == 400
    assert ask(elsewhere, "POST", own + "/echo/5", body=b"abc", packed="gzip")[0] == 415
    assert ask(elsewhere, "GET", own + "/energy/begin")[0] == 405
    assert ask(elsewhere, "POST", own + "/repeat/tiny@1/99999.0", body=b"")[0] == 400
    assert ask(elsewhere, "POST", own + "/repeat/tiny@1/0.1", body=b"nonsense")[0] == 400
    assert ask(elsewhere, "POST", own + "/repeat/nothing/0.1", body=b"{}")[0] in (400, 404)
    assert ask(elsewhere, "POST", own + "/energy/end/abc", body=b"")[0] == 409


def test_of_two_boards_the_later_one_has_the_trace(elsewhere):
    ids = [
        json.loads(ask(elsewhere, "POST", "/v2/splitwatt/energy/begin", body=b"")[1])["trace"]
        for _ in range(2)
    ]
    codes = [
        ask(elsewhere, "POST", f"/v2/splitwatt/energy/end/{trace}", body=b"")[0] for trace in ids
    ]
    assert codes == [409, 200]


def test_a_server_without_a_sensor_says_why(tiny, tmp_path):
    (tmp_path / "sys").mkdir()
    result = subprocess.run(
        [*COMMAND, "serve", "--bundles", str(tiny), "--port", "0",
         "--energy", "--sysfs", str(tmp_path / "sys")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1 and "no power sensor of " in result.stderr
    assert "rapl: there is no" in result.stderr and "Traceback" not in result.stderr
    assert "leave out --energy" in result.stderr  # --target has the bundles, not the rails


def test_with_both_ends_on_one_machine_no_stage_is_repeated(tiny, server, tmp_path, capfd):
    (tmp_path / "c.yaml").write_text(
        "format: 1\nname: one\nwarmup: 0\ninferences: 1\nstage_energy_s: 10\n"
        "configurations: {Ours1: {split: [tiny@1]}}\n"
    )
    options = Options(bundles=str(tiny), target="cpu", server=server.url, driver="generated")
    result = start_run(load_config(str(tmp_path / "c.yaml")), options, str(tmp_path / "run"))
    assert result.ok == 1 and "no stage is repeated" in capfd.readouterr().err
    run = read_run(result.path)
    assert read_run(result.path).stages == [] and stage_energy_of(run) == []
    for energy in energy_of(run) + server_energy_of(run):
        assert energy.total is None and "same machine" in energy.why_not
