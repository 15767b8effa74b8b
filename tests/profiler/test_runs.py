"""Whole profiles over a real server: what they record, and what is left after kills."""

import http.server
import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from statistics import median

import psutil
import pytest

from splitwatt.profiler.analyse.times import (
    end_to_end_s,
    local_s,
    network_s,
    server_s,
    uplink_payload_s,
)
from splitwatt.profiler.board.state import hardware
from splitwatt.profiler.records.blocks import again_id
from splitwatt.profiler.records.run import read_run
from tests.profiler.conftest import RunningServer, command, start, wait_until


def check_whole(run, inferences, repeats=1, warmup=1):
    """Every sample of the plan once, none twice. A block may have run again where a resume says why."""
    read = read_run(str(run))
    blocks = read.document["blocks"]
    plan = [row["id"] for row in blocks]
    wanted = {(b, True, k) for b in plan for k in range(warmup)}
    wanted |= {(b, False, k) for b in plan for k in range(inferences)}
    assert len([row for row in blocks if not row["again"]]) == 2 * repeats
    repeated = {id for resume in read.document["resumed"] for id in resume.get("repeated", ())}
    assert {row["id"] for row in blocks if row["again"]} == {again_id(id, 1) for id in repeated}
    assert {s.key for s in read.samples} == wanted
    assert len(read.samples) == len(wanted)
    return read


def lines(run):
    path = run / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def lines_of(run, config):
    path = run / "samples.jsonl"
    return path.read_bytes().count(b'"config":"%s"' % config.encode()) if path.exists() else 0


def is_block(words):
    """Whether a command line is that of a block's process."""
    return any("splitwatt.profiler.execute.block.block" in word for word in words)


def no_process_left(run):
    """The server and the blocks of a run have ended."""

    def gone():
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if is_block(words) and any(str(run) in word for word in words):
                return False
        return True

    wait_until(gone, 10)


@pytest.fixture(scope="module")
def profiled(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled")
    config = folder / "c.yaml"
    from tests.profiler.conftest import CONFIG

    config.write_text(CONFIG.format(inferences=7, repeats=2))
    run = folder / "run"
    code, out, err = command(
        "profile", "--config", config, "--bundles", tiny, "--out", run, "--json"
    )
    assert code == 0, err
    assert json.loads(out) == {"run": str(run), "ok": 32, "failed": 0}
    return check_whole(run, 7, repeats=2)


def test_a_profile_starts_and_stops_its_own_server(profiled):
    about = profiled.document["server"]
    assert about["started_by_profile"] and about["backend"] == "cpu"
    assert profiled.same_machine and profiled.finished
    assert "Traceback" not in (Path(profiled.path) / "server.log").read_text()
    with pytest.raises(ConnectionRefusedError):
        import http.client
        from urllib.parse import urlsplit

        http.client.HTTPConnection(urlsplit(about["url"]).netloc, timeout=5).connect()


def test_blocks_run_in_the_order_that_was_drawn(profiled):
    inferences = [w for w in profiled.windows if w.name == "inferences"]
    order = [w.block for w in sorted(inferences, key=lambda w: w.start_s)]
    assert order == [row["id"] for row in profiled.document["blocks"]]
    assert {block[:-2] for block in order[:2]} == {"LC1.cpu", "Ours1.cpu"}  # one of each first


def test_stages_add_up_to_the_total(profiled):
    blocks = {}
    for sample in profiled.samples:
        missing = sample.total_s - sum(sample.stages.values())
        assert -1e-9 <= missing <= 0.02, sample  # a busy machine takes the processor in between
        blocks.setdefault(sample.block, []).append(missing / max(0.02 * sample.total_s, 0.5e-3))
        if sample.config == "Ours1":
            told = local_s(sample) + server_s(sample) + network_s(sample)
            assert told == pytest.approx(sum(sample.stages.values()))
            assert {"all.encode", "all.server.decode", "all.network"} <= set(sample.stages)
    assert len(blocks) == 4
    assert max(median(parts) for parts in blocks.values()) <= 1


def test_every_configuration_sees_the_same_images(profiled):
    seen = {
        config: [(s.repeat, s.inference, s.image) for s in profiled.measured(config)]
        for config in ("LC1", "Ours1")
    }
    assert sorted(seen["LC1"]) == sorted(seen["Ours1"])
    assert len({image for _, _, image in seen["LC1"]}) == 6  # all photographs


def test_bytes_and_links(profiled):
    link = profiled.config.links[0]
    for sample in profiled.measured("Ours1"):
        (request,) = sample.requests
        assert sample.payload_bytes == request.payload_bytes
        assert 0 < sample.wire_up_bytes - sample.payload_bytes < 400
        assert request.attempts == 1
        assert 100 <= request.legacy_pickled_bytes - request.payload_bytes <= 120
        assert uplink_payload_s(sample, link) == 8 * sample.payload_bytes / 100e3
        assert end_to_end_s(sample, link) > sample.total_s
        assert sample.published_payload_bytes is None
    for sample in profiled.measured("LC1"):
        assert sample.payload_bytes is None and sample.requests == []


def test_memory_is_the_process_alone_with_the_server_beside(profiled):
    assert len(profiled.memory) == 4
    for record in profiled.memory:
        assert record.process_peak_bytes > 10 << 20 and record.board_peak_bytes is None
    assert profiled.document["power"]["why_not"] and not profiled.power


def test_windows_hold_their_samples(profiled):
    for window in profiled.windows:
        inside = [
            s
            for s in profiled.samples
            if s.block == window.block and s.warmup == (window.name == "warmup")
        ]
        assert inside
        for sample in inside:
            assert window.start_s <= sample.started_monotonic_s
            assert sample.started_monotonic_s + sample.total_s <= window.end_s + 1e-3


def test_run_json_tells_what_a_report_needs(profiled):
    document = profiled.document
    assert document["targets"] == {"board": "cpu", "server": "cpu"}
    bundle = document["bundles"]["tiny@1"]
    assert bundle["trained"] is False and bundle["encoder_size_bytes"]["fp32_params"] == 400
    assert {part["placement"] for part in bundle["parts"]} == {"board", "server"}
    assert [row["file"] for row in document["images"]][3] == "raccoon.jpg"
    assert (document["images"][3]["width"], document["images"][3]["height"]) == (640, 480)
    assert document["versions"]["onnxruntime"] and document["board_state"]["cpus"]


def test_an_explicit_server_and_a_published_payload(tiny, tmp_path, server, config, monkeypatch):
    run = tmp_path / "run"
    path = config(inferences=1, more="payload: published\n")
    code, out, err = command(
        "profile", "--config", path, "--bundles", tiny, "--server", server.url, "--out", run
    )
    assert code == 0, err
    assert "Ours1" in out and str(run) in out
    read = check_whole(run, 1)
    assert read.document["server"]["started_by_profile"] is False and read.same_machine
    # No figure is published for this model: the measured bytes are used, and the record says so.
    sample = read.measured("Ours1")[0]
    assert sample.published_payload_bytes is None and sample.published_payload_source is None


def test_published_bytes_are_recorded_where_there_are_some():
    from splitwatt.profiler.execute.block.system import published_total

    assert published_total(["ladon_r50@0.32"]) == (67086, "published")
    both = published_total(["ladon_r50@0.32", "entropic_student_ic@0.32"])
    assert both == (67086 + 24940, "estimated")  # as soon as any part is
    for ending in ("-fp16", "-int8"):
        names = ["ladon_r50@0.32" + ending, "entropic_student_ic@0.32" + ending]
        assert published_total(names) == both and published_total(names[:1])[1] == "published"
    assert published_total(["ladon_r50@0.32", "tiny@1"]) is None
    assert published_total([]) is None


def test_kill_minus_9_anywhere_then_resume(tiny, tmp_path, config):
    """The whole profile is killed at random moments until it is through."""
    random.seed(11)
    run = tmp_path / "run"
    path = config(inferences=12)
    first = ["profile", "--config", path, "--bundles", tiny, "--out", run]
    again = ["profile", "--resume", run]
    for n in range(9):
        process = start(*(first if not (run / "run.json").exists() else again))
        time.sleep(random.uniform(0.3, 1.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if n == 3 and lines(run):  # as if the kill had fallen into a write
            with open(run / "samples.jsonl", "ab") as stream:
                stream.write(b'{"config":"LC1","ima')
    if not (run / "run.json").exists():
        again = first
    code, out, err = command(*again)
    assert code == 0, err
    read = check_whole(run, 12)
    assert all(s.ok for s in read.samples)
    assert lines(run) == len(read.samples)  # and none was run twice
    no_process_left(run)


def test_a_killed_block_is_started_again(tiny, tmp_path, config):
    run = tmp_path / "run"
    process = start("profile", "--config", config(inferences=100), "--bundles", tiny, "--out", run)
    wait_until(lambda: lines_of(run, "Ours1") > 5)
    (block,) = [
        child for child in psutil.Process(process.pid).children() if is_block(child.cmdline())
    ]
    block.suspend()
    with open(run / "samples.jsonl", "ab") as stream:
        stream.write(b'{"config":"Ou')  # it died while it wrote a line
    block.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "ended by SIGKILL" in err
    read = check_whole(run, 100)
    assert all(s.ok for s in read.samples) and read.damaged == []


def test_a_block_that_never_survives_fails_and_the_run_goes_on(tiny, tmp_path, config):
    """The local model's graph is replaced, hash and all, by one that ends the process."""
    broken = tmp_path / "bundles"
    shutil.copytree(tiny, broken)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'LC1.cpu.0' in sys.argv or 'LC1.cpu.0' in open('/proc/self/cmdline').read():\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = ("profile", "--config", config(), "--bundles", broken, "--out", run)
    code, out, err = command(*arguments, env=environment)
    assert code == 1 and "--resume" in err
    read = check_whole(run, 4)
    failed = [s for s in read.samples if not s.ok]
    assert {(s.config, s.failed_by) for s in failed} == {("LC1", "process")} and len(failed) == 5
    assert "SIGKILL" in failed[0].reason
    code, out, err = command("profile", "--resume", run)
    assert code == 0, err
    assert all(s.ok for s in check_whole(run, 4).samples)


def test_the_server_is_killed_in_the_middle(tiny, tmp_path, config):
    run = tmp_path / "run"
    running = RunningServer(tiny, "--port", "0")
    process = start(
        "profile", "--config", config(inferences=150), "--bundles", tiny, "--out", run,
        "--server", running.url,
    )  # fmt: skip
    wait_until(lambda: lines_of(run, "Ours1") > 4)
    running.stop(signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"splitwatt profile --resume {run}" in err and "Traceback" not in err
    read = check_whole(run, 150)
    failed = [s for s in read.samples if not s.ok]
    assert failed and {(s.config, s.failed_by) for s in failed} == {("Ours1", "server")}
    assert read.measured("LC1") and read.measured("Ours1")
    kept = {s.key: s for s in read.samples if s.ok}
    again = RunningServer(tiny, "--port", running.url.rsplit(":", 1)[1])
    try:
        code, out, err = command("profile", "--resume", run)
        assert code == 0, err
    finally:
        again.stop()
    read = check_whole(run, 150)
    assert all(s.ok for s in read.samples)
    assert all(s == kept[s.key] for s in read.samples if s.key in kept)
    own, theirs = hardware(), read.document["server"]
    assert own["cpus"] and {key: theirs[key] for key in own} == own


def test_its_own_server_is_started_again(tiny, tmp_path, config):
    run = tmp_path / "run"
    path = config(inferences=10, repeats=3)
    process = start("profile", "--config", path, "--bundles", tiny, "--out", run)

    def servers():
        children = psutil.Process(process.pid).children()
        return [child for child in children if "serve" in child.cmdline()]

    wait_until(lambda: lines(run) > 2)
    servers()[0].kill()
    out, err = process.communicate(timeout=60)
    read = check_whole(run, 10, repeats=3)
    assert any(s.ok and s.repeat == 2 for s in read.measured("Ours1"))
    if process.returncode:  # it fell into a block with requests
        assert "--resume" in err
        assert command("profile", "--resume", run)[0] == 0
    assert all(s.ok for s in check_whole(run, 10, repeats=3).samples)


def test_a_resume_with_other_things_is_refused(tiny, tmp_path, config):
    run = tmp_path / "run"
    bundles, images = tmp_path / "bundles", tmp_path / "images"
    shutil.copytree(tiny, bundles)
    images.mkdir()
    from splitwatt.engines.photos import default_photos

    shutil.copy(default_photos()[0], images / "a.jpg")
    common = ("--config", config(inferences=5), "--images", images)
    code, _, err = command("profile", *common, "--bundles", bundles, "--out", run)
    assert code == 0, err
    before = (run / "samples.jsonl").read_bytes()
    code, _, err = command("profile", "--resume", run, "--config", config(inferences=2),
                           "--images", images)  # fmt: skip
    assert code == 1 and "differs from the run's in inferences" in err
    code, _, err = command("profile", "--resume", run, "--threads", 2)
    assert code == 1 and "began with --threads left out, not 2" in err
    assert command("profile", "--resume", run, "--config", config(inferences=5),
                   "--images", images)[0] == 0  # fmt: skip
    manifest = bundles / "cpu" / "tiny_local" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    code, _, err = command("profile", "--resume", run)
    assert code == 1 and "the bundle of tiny_local is not the one" in err
    (images / "a.jpg").write_bytes(b"another")
    code, _, err = command("profile", "--resume", run, "--bundles", tiny)
    assert code == 1 and "the images in" in err
    (images / "a.jpg").unlink()
    code, _, err = command("profile", "--resume", run, "--bundles", tiny)
    assert code == 1 and "the images in" in err
    assert (run / "samples.jsonl").read_bytes() == before


def test_a_resume_under_other_conditions_is_recorded_and_told(tiny, tmp_path, server, config):
    run = tmp_path / "run"
    code, _, err = command(
        "profile", "--config", config(inferences=2), "--bundles", tiny, "--out", run
    )
    assert code == 0 and "other conditions" not in err, err
    document = json.loads((run / "run.json").read_text())
    document["versions"]["numpy"] = "0.1"
    document["board_state"]["governors"] = ["another"]
    (run / "run.json").write_text(json.dumps(document))
    split = [line for line in (run / "samples.jsonl").open() if '"config":"Ours1"' in line]
    kept = [line for line in (run / "samples.jsonl").open() if line != split[-1]]
    (run / "samples.jsonl").write_text("".join(kept))
    code, out, err = command("profile", "--resume", run, "--server", server.url)
    assert code == 0, err
    for told in (err, out):
        assert "under other conditions" in told and "numpy" in told and "(it was 0.1)" in told
        assert "governors" in told and "server's started_by_profile False (it was True)" in told
    after = json.loads((run / "run.json").read_text())
    assert after["server"] == document["server"]
    (row,) = after["resumed"]
    assert row["server"]["url"] == server.url and row["versions"]["numpy"] != "0.1"
    assert row["board_state"]["governors"] != ["another"] and row["machine"] == after["machine"]
    read = check_whole(run, 2)
    assert [s.session for s in read.samples if s.config == "LC1"] == [0, 0, 0]
    assert sorted(s.session for s in read.samples if s.config == "Ours1") == [0, 0, 1]
    windows = [w for w in read.windows if (w.config, w.name) == ("Ours1", "inferences")]
    assert [w.session for w in windows] == [0, 1]
    assert command("profile", "--resume", run)[0] == 0
    assert json.loads((run / "run.json").read_text())["resumed"][1]["server"] is None


def test_two_profiles_do_not_write_one_run(tiny, tmp_path, config):
    run = tmp_path / "run"
    process = start("profile", "--config", config(inferences=5000), "--bundles", tiny, "--out", run)
    wait_until(lambda: lines(run) > 2)
    code, _, err = command("profile", "--resume", run)
    assert code == 1 and "another process is writing" in err
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in err
    no_process_left(run)


def test_a_bundle_that_was_tampered_with_fails_its_configuration(tiny, tmp_path, config):
    bundles = tmp_path / "bundles"
    shutil.copytree(tiny, bundles)
    with open(bundles / "cpu" / "tiny@1" / "body.onnx", "ab") as stream:
        stream.write(b"\0")
    run = tmp_path / "run"
    arguments = ("--config", config(inferences=1), "--bundles", bundles, "--out", run)
    code, _, err = command("profile", *arguments)
    assert code == 1 and "body.onnx" in err
    assert "Traceback" not in err


def test_bare_names_take_the_first_rate(tiny, tmp_path, config):
    path = config(inferences=1)
    path.write_text(path.read_text().replace("tiny@1", "tiny"))
    run = tmp_path / "run"
    code, _, err = command("profile", "--config", path, "--bundles", tiny, "--out", run)
    assert code == 0, err
    assert "tiny is tiny@1" in err
    assert read_run(str(run)).bundles["tiny"]["model"] == "tiny@1"


def test_what_is_missing_is_told_to_the_umbrella(tiny, config):
    from splitwatt.profiler.cli import what_to_export

    arguments = ["--config", str(config()), "--bundles", str(tiny)]
    assert what_to_export(arguments) == []
    assert what_to_export([*arguments, "--target", "nano"]) == [
        "--model", "tiny_local", "--model", "tiny@1", "--target", "nano", "--bundles", str(tiny),
    ]  # fmt: skip


def test_a_server_that_is_not_there_leaves_nothing_that_refuses_the_next_try(
    tiny, tmp_path, config, server
):
    run = tmp_path / "run"
    arguments = ("profile", "--config", config(), "--bundles", tiny, "--out", run)
    code, _, err = command(*arguments, "--server", "http://127.0.0.1:9")
    assert code == 1 and "http://127.0.0.1:9 cannot be reached" in err and "--resume" not in err
    assert not run.exists()
    code, _, err = command(*arguments, "--server", server.url)
    assert code == 0, err


@pytest.mark.parametrize(
    "answer, status",
    [(b"<html>hello</html>", 200), (b"<html>not here</html>", 404), (b'{"up": true}', 200), (b"[]", 200)],
)  # fmt: skip
def test_a_foreign_server_is_named_as_such(tiny, tmp_path, config, answer, status):
    class Foreign(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    foreign = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=foreign.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % foreign.server_port
    run = tmp_path / "run"
    try:
        code, _, err = command("profile", "--config", config(), "--bundles", tiny, "--out", run,
                               "--server", url)  # fmt: skip
    finally:
        foreign.shutdown()
        foreign.server_close()
    assert code == 1 and not run.exists() and "Traceback" not in err
    assert url in err and (
        "is not an inference server" in err or "did not answer with a JSON object" in err
    )


@pytest.mark.parametrize("backend, what", [
    ("cuda", "onnxruntime"), ("tensorrt", "tensorrt"), ("ort-tensorrt", "onnxruntime"),
])  # fmt: skip
def test_a_backend_that_is_not_here_stops_before_the_first_sample(
    tiny, tmp_path, config, backend, what
):
    """No machine that runs the tests has a GPU's onnxruntime or TensorRT's engines of this bundle."""
    run = tmp_path / "run"
    code, _, err = command("profile", "--config", config(), "--bundles", tiny, "--out", run,
                           "--backend", backend)  # fmt: skip
    assert code == 1 and not run.exists() and "Traceback" not in err
    assert "the backend '%s' does not run here: " % backend in err and what in err.lower()
