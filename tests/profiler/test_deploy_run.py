"""`splitwatt run` as users run it: real processes, a real server, a real video."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import pytest
import yaml

from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.rangecoder import Tables
from splitwatt.profiler.deploy.cli import _Outlets
from splitwatt.profiler.records.run import read_run
from tests.board.tiny import read_document, tables, write_document
from tests.conftest import COMMAND, ROOT
from tests.profiler.conftest import RunningServer, command, relayed, wait_until


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def policy(tmp_path, tiny):
    """Writes a policy of the split and of the local model and returns its path."""

    def write(deadline_ms=1000, **more):
        points = [{"config": "Ours1", "bundle": str(tiny / "cpu" / "tiny@1"), "quality": 2},
                  {"config": "LC1", "bundle": str(tiny / "cpu" / "tiny_local"), "quality": 1}]  # fmt: skip
        path = tmp_path / "policy.yaml"
        document = {"format": 1, "deadline_ms": deadline_ms, "points": points, **more}
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def test_a_folder_s_answers_are_those_of_infer(tiny, server, photographs, tmp_path):
    bundle = tiny / "cpu" / "tiny@1"
    folder = photographs[0].parent
    code, out, err = command("run", "--source", folder, "--bundle", bundle, "--server", server.url)
    assert code == 0, err
    _, told, _ = command("infer", bundle, folder, "--json", "--out", tmp_path / "out")
    expected = {os.path.basename(row["image"]): row for row in json.loads(told)["images"]}
    rows = lines(out)
    assert sorted(row["name"] for row in rows) == sorted(expected)
    for row in rows:
        assert row["answer"] == expected[row["name"]]["answer"]
        assert row["payload_bytes"] == expected[row["name"]]["payload_bytes"]
        assert row["error"] is None and row["config"] == "tiny-1"
        assert sum(row["stages_s"].values()) <= row["latency_s"] + 1e-3


def test_without_a_server_everything_runs_here(tiny, photographs):
    for bundle in ("tiny@1", "tiny_local"):
        code, out, err = command(
            "run", "--source", photographs[0].parent, "--bundle", tiny / "cpu" / bundle
        )
        assert code == 0 and len(lines(out)) == len(photographs), err


def test_a_video_plays_at_its_own_rate_and_is_saved_with_its_answers(
    tiny, server, video, policy, tmp_path
):
    import cv2

    saved = tmp_path / "out.mp4"
    code, out, err = command("run", "--source", video, "--policy", policy(), "--server", server.url,
                             "--save", saved)  # fmt: skip
    assert code == 0, err
    rows = lines(out)
    captured = [row["captured_monotonic_s"] for row in rows]
    assert 3.0 < max(captured) - min(captured) < 4.5
    assert "frames" in err and "within 1000 ms" in err
    capture = cv2.VideoCapture(str(saved))
    assert abs(capture.get(cv2.CAP_PROP_FRAME_COUNT) - 40) <= 4
    assert capture.read()[1].shape == (240, 320, 3)


def test_fps_caps_the_frames(tiny, server, video):
    code, out, _ = command("run", "--source", video, "--bundle", tiny / "cpu" / "tiny_local",
                           "--fps", "2")  # fmt: skip
    assert code == 0 and 7 <= len(lines(out)) <= 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_in_order(tiny, server, video, number):
    process = subprocess.Popen(
        [*COMMAND, "run", "--source", str(video), "--server", server.url, "--bundle",
         str(tiny / "cpu" / "tiny@1"), "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = process.stdout.readline()
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    rows = lines(first + out)
    assert process.returncode == 0
    counts = rows[-1]["summary"]
    assert counts["answered"] == len(rows) - 1 < 40 and counts["failed"] == 0
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped"))
    assert counts["captured"] == counts["answered"] + dropped


def test_when_the_server_goes_the_local_model_answers_and_it_is_used_again_when_it_is_back(
    tiny, video, policy, tmp_path
):
    running = RunningServer(tiny, "--port", "0")
    port = running.url.rsplit(":", 1)[1]
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(300):
        os.link(ROOT / "engines/photographs/cat.jpg", folder / ("%03d.jpg" % number))
    out = (tmp_path / "out.jsonl").open("w+")
    process = subprocess.Popen(
        [*COMMAND, "run", "--source", str(folder), "--fps", "10", "--server", running.url,
         "--policy", str(policy(1000))],
        cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def rows():
        return lines((tmp_path / "out.jsonl").read_text().rpartition("\n")[0])

    try:
        wait_until(lambda: any(row["config"] == "Ours1" for row in rows()))
        running.process.kill()
        running.process.wait()
        killed_s = time.monotonic()
        wait_until(lambda: rows()[-1]["config"] == "LC1")
        assert time.monotonic() - killed_s < 30
        running = RunningServer(tiny, "--port", port)
        back_s = time.monotonic()
        wait_until(lambda: rows()[-1]["config"] == "Ours1")
        assert time.monotonic() - back_s < 30
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        running.stop()
    assert "the server answers again" in err
    assert all(row["error"] is None for row in rows())


def test_a_token_that_expires_is_said_once_and_the_local_model_answers(tiny, policy, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("first-token")
    new.write_text("second-token")
    running = RunningServer(tiny, "--port", "0", "--token-file", str(old))
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(300):
        os.link(ROOT / "engines/photographs/cat.jpg", folder / ("%03d.jpg" % number))
    with (tmp_path / "out.jsonl").open("w") as out:
        process = subprocess.Popen(
            [*COMMAND, "run", "--source", str(folder), "--fps", "10", "--server", running.url,
             "--policy", str(policy(1000)), "--token-file", str(old)],
            cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def rows():
        return lines((tmp_path / "out.jsonl").read_text().rpartition("\n")[0])

    try:
        wait_until(lambda: any(row["config"] == "Ours1" for row in rows()))
        running.process.kill()
        running.process.wait()
        port = running.url.rsplit(":", 1)[1]
        running = RunningServer(tiny, "--port", port, "--token-file", str(new))
        count = len(rows())
        wait_until(lambda: len(rows()) > count + 20)
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        running.stop()
    assert {row["config"] for row in rows()[count + 10 :]} == {"LC1"}
    assert all(row["error"] is None for row in rows())
    assert "Traceback" not in err and err.count("refused") <= 1


def test_a_server_that_takes_requests_and_never_answers_costs_no_frame(
    tiny, policy, server, tmp_path
):
    """A relay that stops passing answers back, as a server that hangs."""
    mute = threading.Event()
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(120):
        os.link(ROOT / "engines/photographs/cat.jpg", folder / ("%03d.jpg" % number))
    relay = relayed(server.url, lambda answer: not (answer and mute.is_set()))
    with relay as url, (tmp_path / "out.jsonl").open("w") as out:
        process = subprocess.Popen(
            [*COMMAND, "run", "--source", str(folder), "--fps", "10", "--policy", str(policy(1500)),
             "--server", url],
            cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        def rows():
            return lines((tmp_path / "out.jsonl").read_text().rpartition("\n")[0])

        try:
            wait_until(lambda: any(row["config"] == "Ours1" for row in rows()))
            mute.set()
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "Traceback" not in err and all(row["error"] is None for row in rows())
    assert rows()[-1]["config"] == "LC1" and rows()[-1]["frame"] >= 118
    # While the hanging requests are waited for, the local model takes the frames.
    assert len(rows()) >= 100, len(rows())
    late = [row for row in rows() if row["latency_s"] > 1.5]
    assert len(late) <= 3, [(row["frame"], row["latency_s"], row["why"]) for row in late]


def test_the_page_shows_the_picture_and_the_figures(tiny, video):
    process = subprocess.Popen(
        [*COMMAND, "run", "--source", str(video), "--bundle", str(tiny / "cpu" / "tiny_local"),
         "--view", "0"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = process.stderr.readline().split()[-1]
        assert b"live.mjpeg" in urllib.request.urlopen(url, timeout=10).read()
        with urllib.request.urlopen(url + "live.mjpeg", timeout=20) as live:
            assert b"\xff\xd8" in live.read(400)
        figures = json.loads(urllib.request.urlopen(url + "figures.json", timeout=10).read())
        assert figures["config"] == "tiny_local" and figures["answered"] > 0
        elsewhere = urllib.request.Request(url, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(elsewhere, timeout=10)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_damaged_middle_of_a_video_is_left_out(tiny, video, tmp_path):
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    code, out, err = command(
        "run", "--source", damaged, "--bundle", tiny / "cpu" / "tiny_local"
    )  # fmt: skip
    assert code == 0 and "Traceback" not in err
    captured = [row["captured_monotonic_s"] for row in lines(out)]
    assert max(captured) - min(captured) > 3.0  # the end was reached


def test_frames_of_changing_size_are_answered(tiny, server, tmp_path, photographs):
    from PIL import Image

    folder = tmp_path / "sizes"
    folder.mkdir()
    for number, size in enumerate([(64, 48), (640, 480), (31, 500), (200, 200)]):
        Image.open(photographs[0]).resize(size).save(folder / ("%d.png" % number))
    (folder / "2b.png").write_bytes(b"no image")
    code, out, err = command("run", "--source", folder, "--server", server.url, "--bundle",
                             tiny / "cpu" / "tiny@1")  # fmt: skip
    assert code == 0 and len(lines(out)) == 4 and "2b.png" in err


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--source", "nowhere.mp4", "--bundle", "BUNDLE"], "there is no source nowhere.mp4"),
        (["--source", "FOLDER"], "give either --bundle or --policy"),
        (["--source", "FOLDER", "--bundle", "nothing"], "nothing"),
        (["--source", "README.md", "--bundle", "BUNDLE"], "cannot open README.md"),
        (["--source", "FOLDER", "--policy", "missing.yaml"], "missing.yaml"),
        (["--source", "FOLDER", "--bundle", "BUNDLE", "--server", "http://127.0.0.1:9"],
         "cannot be reached"),
        (["--source", "FOLDER", "--bundle", "BUNDLE", "--save", "/nowhere/a.mp4"], "no folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(arguments, sentence, tiny, photographs):
    words = {"BUNDLE": str(tiny / "cpu" / "tiny@1"), "FOLDER": str(photographs[0].parent)}
    code, _, err = command("run", *[words.get(word, word) for word in arguments])
    assert code in (1, 2) and sentence in err and "Traceback" not in err


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"points": []}, "points"),
        ({"points": [{"config": "A", "bundle": "nowhere"}]}, "the bundle of A is missing"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"deadlin_ms": 5}, "deadlin_ms"),
        ({"points": [{"config": "A", "bundle": "b", "wire_bytes": 1e308}]}, "wire_bytes"),
        ({"points": [{"config": "A", "bundle": "b", "board_s": 1e300}]}, "board_s"),
        ({"points": [{"config": "A", "bundle": "b", "quality": -1e300}]}, "quality"),
    ],
)
def test_a_policy_that_cannot_be_one_is_one_sentence(change, sentence, policy, photographs):
    code, _, err = command("run", "--source", photographs[0].parent, "--policy", policy(**change))
    assert code in (1, 2) and sentence in err and "Traceback" not in err


def test_a_policy_needs_a_server_where_it_has_split_models(policy, photographs):
    code, _, err = command("run", "--source", photographs[0].parent, "--policy", policy())
    assert code == 2 and "needs a server" in err


def test_a_bundle_that_the_server_does_not_have_is_refused(tiny, server, tmp_path, photographs):
    other = tmp_path / "other"
    shutil.copytree(tiny / "cpu" / "tiny@1", other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["model"], manifest["rate"] = "tiny@2", "2"
    (other / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = command("run", "--source", photographs[0].parent, "--bundle", other, "--server",
                           server.url)  # fmt: skip
    assert code == 1 and "tiny@2" in err and "Traceback" not in err


def another_bundle(tiny, folder, change):
    """The split test bundle with another manifest, in a folder to serve."""
    path = folder / "cpu" / "tiny@1"
    shutil.copytree(tiny / "cpu" / "tiny@1", path)
    document = read_document(path)
    change(path, document)
    write_document(path, document)
    return folder


def test_a_server_with_other_entropy_tables_is_refused(tiny, policy, tmp_path, photographs):
    def other_tables(path, document):
        own = tables()
        other = Tables(own.cdf, own.cdf_length, own.offset, own.medians + 0.25)
        other.save(str(path / "tables.npz"))
        sha256 = sha256_file(str(path / "tables.npz"))
        document["codec"]["tables"] = [{"file": "tables.npz", "sha256": sha256, "id": other.id}]

    running = RunningServer(another_bundle(tiny, tmp_path, other_tables), "--port", "0")
    try:
        code, out, err = command("run", "--source", photographs[0].parent, "--policy", policy(),
                                 "--server", running.url)  # fmt: skip
    finally:
        running.stop()
    assert code == 1 and not out and "entropy tables" in err and "Traceback" not in err


def test_a_server_with_another_body_is_reported_and_frames_are_answered(
    tiny, policy, tmp_path, photographs
):
    def other_weights(path, document):
        document["weights"]["source"] = "random:8"

    running = RunningServer(another_bundle(tiny, tmp_path, other_weights), "--port", "0")
    try:
        code, out, err = command("run", "--source", photographs[0].parent, "--policy",
                                 policy(60000), "--server", running.url)  # fmt: skip
    finally:
        running.stop()
    assert code == 0 and len(lines(out)) == len(photographs)
    assert "the server's bundle of tiny@1 is another one than the board's" in " ".join(err.split())


def test_a_deadline_that_nothing_meets_says_by_how_much(tiny, policy, server, photographs):
    code, out, err = command("run", "--source", photographs[0].parent, "--policy", policy(1),
                             "--server", server.url)  # fmt: skip
    said = " ".join(err.split())
    rows = lines(out)
    assert "no configuration is expected to meet the deadline of 1 ms: the fastest, " in said
    assert "ms too long" in said and "Traceback" not in err
    if rows:
        fastest = "the fastest answer took %.0f ms" % (1000 * min(row["latency_s"] for row in rows))
        assert fastest in said


def test_a_clock_that_jumps_changes_nothing(tiny, photographs, monkeypatch, tmp_path):
    """The wall clock goes back by an hour and on by a day while frames are answered."""
    from splitwatt.profiler.deploy import flow
    from splitwatt.profiler.deploy.policy import Point, Policy
    from splitwatt.profiler.deploy.runnable import Runnables
    from splitwatt.profiler.deploy.sources import open_source

    jumps = iter(range(10**9))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + (-3600 if next(jumps) % 2 else 86400))
    results = []
    policy = Policy((Point("LC1", str(tiny / "cpu" / "tiny_local")),), 600.0)
    with Runnables(policy, False) as opened:
        running = flow.Flow(policy, opened.points, None, results.append)
        running.run(open_source(str(photographs[0].parent), 20.0))
    assert len(results) + running.counts.dropped_for_newer == len(photographs)
    assert running.counts.in_time == len(results) > 0
    assert all(0 <= result.latency_s < 600 for result in results)


def test_a_server_that_reports_more_time_than_passed_fails_the_frame(
    tiny, server, photographs, tmp_path
):
    """Its times would make a run folder that no reader takes."""
    length = len(b"d=.00000 ")

    def longer(data):  # the stage times keep their length
        return re.sub(rb"\ba=[0-9.]{%d}" % (length - 3), b"a=9999.9", data)

    out = tmp_path / "run"
    with relayed(server.url, lambda answer: True, longer) as url:
        code, text, err = command("run", "--source", photographs[0].parent, "--server", url, "--out", out,
                                  "--bundle", tiny / "cpu" / "tiny@1")  # fmt: skip
    assert code == 1 and "Traceback" not in err
    assert all("says that it worked for 1e+04 s" in line["error"] for line in lines(text))
    assert len(read_run(str(out)).samples) == len(lines(text))


def test_answers_that_cannot_be_written_end_it():
    """A camera would go on for ever, and nobody would get an answer."""
    stopped = threading.Event()
    outlets = _Outlets([], None)
    outlets.on_error = stopped.set
    outlets.start()
    outlets.put(object())  # which is no result
    assert stopped.wait(30)
    with pytest.raises(AttributeError):
        outlets.close()


def test_a_full_disk_is_one_sentence(tiny, video):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "run", "--source", str(video), "--fps", "2", "--bundle",
             str(tiny / "cpu" / "tiny_local")],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1 and "the disk is full" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_names_that_no_record_holds(tiny, photographs, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (b"a\x1b[31m.jpg", b"b\xff.jpg"):
        shutil.copy(photographs[0], os.path.join(os.fsencode(folder), name))
    out = tmp_path / "run"
    code, _, err = command("run", "--source", folder, "--bundle", tiny / "cpu" / "tiny_local",
                           "--out", out)  # fmt: skip
    assert code == 0, err
    assert len(read_run(str(out)).samples) == 2 and command("check", out)[0] == 0


def test_a_split_bundle_without_a_server_makes_a_run_that_check_takes(tiny, photographs, tmp_path):
    out = tmp_path / "run"
    code, _, err = command("run", "--source", photographs[0].parent, "--bundle", tiny / "cpu" / "tiny@1",
                           "--out", out)  # fmt: skip
    assert code == 0, err
    samples = read_run(str(out)).samples
    assert samples and all(sample.payload_bytes is None for sample in samples)
    code, text, _ = command("check", out)
    assert code == 0, text
