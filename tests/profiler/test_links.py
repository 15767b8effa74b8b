"""Shaped links as the kernel and as we shape them, clocks over real connections, bytes on the wire."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from statistics import median
from urllib.parse import quote

import psutil
import pytest

from splitwatt.profiler.analyse.conditions import deviation
from splitwatt.profiler.analyse.waterfall import waterfall
from splitwatt.profiler.client.client import Client, NoClockError
from splitwatt.profiler.client.clock import estimate
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.execute.block.survey import probe
from splitwatt.profiler.links.link import BURST_BYTES, framed_bytes
from splitwatt.profiler.links.parse import parse_link
from splitwatt.profiler.links.shaped import Shaped
from splitwatt.profiler.links.way import way_of
from splitwatt.profiler.records.run import read_run
from tests.bench.links import compare
from tests.board.stalls import undisturbed
from tests.board.tiny import read_document, tiny_bundle, write_document
from tests.conftest import ROOT
from tests.profiler.conftest import CONFIG, RunningServer, command, start, wait_until


def why_no_kernel():
    with Shaped(parse_link("shaped:100kbit")) as shaped:
        return shaped.record["why_not_kernel"]


WHY_NOT = why_no_kernel()
needs_kernel = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    path.write_text(CONFIG.format(inferences=4, repeats=1))
    return path


def profiled(config, tiny, run, link, *more):
    code, _, err = command(
        "profile", "--config", config, "--bundles", tiny, "--out", run, "--only", "Ours1",
        "--link", link, *more,
    )  # fmt: skip
    assert code == 0, err
    return read_run(str(run)), err


@pytest.fixture(scope="module")
def alone(config, tiny, tmp_path_factory):
    """The same images without any link."""
    return profiled(config, tiny, tmp_path_factory.mktemp("alone") / "run", "none")[0]


def check_link(alone, shaped, rate):
    """Within 5 % of compute and `uplink_wire_s`, within 1.08 of payload bits: of each image."""
    found = compare(alone, shaped, 8192)
    assert len(found) >= 3
    for one in found:
        own = one.own_s + one.wire_s
        assert abs(one.measured_s / own - 1) < 0.05, one
        if one.payload_bytes > 12288:
            assert one.measured_s / (one.own_s + one.payload_s) <= 1.08, one
    check_rates(shaped, uplink=rate)


def check_rates(shaped, uplink, downlink=None):
    """Of all probes: what takes the processor during a small request makes a larger seem faster."""
    rates = shaped.rates
    assert median(one.uplink_kbit_s for one in rates) == pytest.approx(uplink, rel=0.03)
    if downlink is not None:
        assert median(one.downlink_kbit_s for one in rates) == pytest.approx(downlink, rel=0.05)


@needs_kernel
def test_a_kernel_shaped_link_takes_what_the_records_derive(alone, config, tiny, tmp_path):
    def measured(n):
        base = profiled(config, tiny, tmp_path / ("alone%d" % n), "none")[0] if n else alone
        shaped, err = profiled(config, tiny, tmp_path / ("run%d" % n), "shaped:100kbit,via=kernel")
        assert "shaped by the kernel (tbf)" in err
        check_link(base, shaped, 100.0)
        return shaped

    shaped = undisturbed(measured)
    link = shaped.document["link"]
    assert (link["via"], link["burst_bytes"], link["rate_kbit_s"]) == ("kernel", 1514, 100.0)
    for sample in shaped.measured():
        (request,) = sample.requests
        assert request.drain_s is not None
        (other,) = [s for s in alone.measured() if s.inference == sample.inference]
        assert sample.wire_up_bytes == other.wire_up_bytes  # the gate changes no byte
    assert shaped.document["network_notes"] == []


def test_a_token_bucket_of_our_own_takes_the_same(alone, config, tiny, tmp_path):
    def measured(n):
        out = tmp_path / ("run%d" % n)
        shaped, err = profiled(config, tiny, out, "shaped:100kbit/500kbit,via=user")
        assert "a token bucket of our own" in err and shaped.document["link"]["gate"] is None
        check_rates(shaped, uplink=100.0, downlink=500.0)
        return shaped

    shaped = undisturbed(measured)
    one = next(iter(shaped.measured()))
    assert one.requests[0].drain_s is None


def client_over(shaped, url):
    shaped.lead_to(url)
    return Client(Endpoint(url, way=way_of(shaped.record)), 30.0)


PROBE = """
import json, sys
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.execute.block.survey import probe
from splitwatt.profiler.links.way import way_of
way = way_of(json.loads(sys.argv[2]))
with Client(Endpoint(sys.argv[1], way=way), 30.0) as client:
    print(json.dumps(probe(client, "A", "before")._asdict()))
"""


@needs_kernel
def test_up_and_down_are_shaped_apart(server):
    with Shaped(parse_link("shaped:400kbit/2mbit,via=kernel")) as shaped:
        shaped.lead_to(server.url)
        command = [*shaped.prefix, sys.executable, "-c", PROBE, server.url]
        out = subprocess.check_output([*command, json.dumps(shaped.record)], cwd=ROOT)
    found = json.loads(out)
    assert found["uplink_kbit_s"] == pytest.approx(400, rel=0.05)
    assert found["downlink_kbit_s"] == pytest.approx(2000, rel=0.05)


def test_a_link_off_its_rate_is_told(server):
    with (
        Shaped(parse_link("shaped:2mbit,via=user")) as shaped,
        client_over(shaped, server.url) as c,
    ):
        rate = probe(c, "A", "before")
    assert deviation(rate, parse_link("shaped:2mbit")) is None
    assert "slower than the 3000 asked for" in deviation(rate, parse_link("shaped:3mbit"))
    assert "faster than the 1000 asked for" in deviation(rate, parse_link("shaped:1mbit"))


@needs_kernel
def test_nothing_is_left_of_a_link_whose_process_is_killed(config, tiny, tmp_path):
    run = tmp_path / "run"
    process = start(
        "profile", "--config", config, "--bundles", tiny, "--out", run, "--only", "Ours1",
        "--link", "shaped:500kbit,via=kernel",
    )  # fmt: skip
    wait_until(lambda: (run / "samples.jsonl").exists() and (run / "samples.jsonl").read_bytes())
    children = psutil.Process(process.pid).children(recursive=True)
    gates = [c for c in children if "splitwatt.profiler.links.gate" in c.cmdline()]
    assert len(gates) == 2
    spaces = {os.readlink("/proc/%d/ns/net" % c.pid) for c in gates}
    assert len(spaces) == 2
    process.kill()
    process.communicate()
    wait_until(lambda: not any(c.is_running() and c.status() != "zombie" for c in children), 10)
    spaces.discard(os.readlink("/proc/self/ns/net"))

    def left():
        for folder in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it has just ended
                yield os.readlink("/proc/%s/ns/net" % folder)

    # A process that the run had just begun may end after those that were listed.
    wait_until(lambda: not spaces & set(left()), 10)
    code, _, err = command("profile", "--resume", run)
    assert code == 0, err
    assert len(read_run(str(run)).measured("Ours1")) == 4


def test_without_the_rights_our_own_bucket_shapes_and_says_why(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with Shaped(parse_link("shaped:100kbit")) as shaped:
        assert shaped.record["via"] == "user" and shaped.prefix == []
        assert "is not installed" in shaped.record["why_not_kernel"]
        assert "apt-get install" in shaped.sentence and "via=user" in shaped.sentence


def test_a_burst_is_one_frame():
    assert BURST_BYTES == 1500 + 14 == framed_bytes(1448)


def test_both_ends_of_one_machine_are_on_one_clock(server):
    with Client(Endpoint(server.url), 10.0) as client:
        for _ in range(5):
            found = estimate(client, "A", "before")
            assert abs(found.offset_s) <= found.uncertainty_s + 1e-4 < 0.1
            assert found.exchanges == 8 and found.why_not is None


def test_a_run_has_clocks_and_waterfalls(alone):
    estimates = alone.clock
    assert [e.when for e in estimates] == ["before", "after"]
    for sample in alone.measured():
        bars = waterfall(sample, estimates)
        assert sum(bar.seconds for bar in bars) == pytest.approx(sum(sample.stages.values()))
        assert {bar.end for bar in bars} == {"board", "link", "server"}
        assert all(a.start_s <= b.start_s for a, b in zip(bars, bars[1:], strict=False))


class Older(http.server.BaseHTTPRequestHandler):
    """Passes requests on to a real server, but for the clock, which older ones do not have."""

    protocol_version = "HTTP/1.1"
    to = ""

    def do_GET(self):
        self._pass("GET")

    def do_POST(self):
        self._pass("POST")

    def _pass(self, method):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/v2/clock"):
            status, headers, data = 404, {}, b'{"error": "there is nothing at this address"}'
        else:
            import http.client

            connection = http.client.HTTPConnection(self.to.split("//")[1], timeout=30)
            kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            connection.request(method, self.path, body, kept)
            answer = connection.getresponse()
            status, data = answer.status, answer.read()
            headers = {k: v for k, v in answer.getheaders() if k.lower() != "content-length"}
            if self.path == "/v2":
                data = json.dumps(dict(json.loads(data), version="0.0.9")).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


def test_a_server_of_an_older_version_is_told_and_the_run_goes_on(server, config, tiny, tmp_path):
    Older.to = server.url
    older = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Older)
    threading.Thread(target=older.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % older.server_port
    try:
        with Client(Endpoint(url), 10.0) as client, pytest.raises(NoClockError):
            client.clock()
        run, err = profiled(config, tiny, tmp_path / "run", "none", "--server", url)
    finally:
        older.shutdown()
    assert len(run.measured()) == 4
    assert "the server is splitwatt 0.0.9" in err and "has no clock" in err
    notes = run.document["network_notes"]
    assert any("0.0.9" in note for note in notes) and any("no clock" in note for note in notes)
    assert all(e.offset_s is None and e.why_not for e in run.clock)
    assert all(r.uplink_kbit_s is None for r in run.rates)
    bars = waterfall(run.measured()[0], run.clock)
    assert all(bar.uncertainty_s is None for bar in bars if bar.end == "server")
    assert command("check", tmp_path / "run")[0] == 0


def test_headers_and_json_are_400_bytes_at_most(tiny, tmp_path):
    """With the longest name of a split model, a token, and an address of the network."""
    name = "entropic_student_ic_vit_small_r26_s32_mshp@20.48"
    folder = tmp_path / "bundles" / "cpu" / name
    folder.parent.mkdir(parents=True)
    tiny_bundle(folder)
    document = read_document(str(folder))
    document.update(model=name, rate="20.48")
    write_document(str(folder), document)
    (tmp_path / "token").write_text("t" * 22)  # as long as `serve --lan` makes it
    server = RunningServer(
        tmp_path / "bundles", "--port", "0", "--token-file", str(tmp_path / "token")
    )
    try:
        with Client(Endpoint(server.url, "t" * 22), 30.0) as client:
            from splitwatt.engines.bundle.bundle import Bundle
            from splitwatt.engines.photos import default_photos
            from splitwatt.engines.pipeline.image import decode_image
            from splitwatt.engines.pipeline.pipeline import BoardPipeline

            pipeline = BoardPipeline(Bundle.open(str(folder)), "cpu", 1)
            request = pipeline.run(decode_image(default_photos()[0]))
            whole = client.infer(name, request.payload, request.sizes.tolist())
            client.load(name)
            reply = client.infer(name, request.payload, request.sizes.tolist())
    finally:
        server.stop(signal.SIGKILL)
    longer = len("192.168.100.100") - len("127.0.0.1")
    assert whole.answer == reply.answer
    spelt = quote(name, safe="")  # as the path says it: "%40" for "@"
    assert whole.wire_up_bytes - reply.wire_up_bytes == len(spelt) - len("~123456")
    assert reply.wire_up_bytes - len(request.payload) + longer <= 400
    assert reply.wire_down_bytes - len(reply.answer) <= 400
