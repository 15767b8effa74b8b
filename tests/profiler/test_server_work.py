"""The server's queue, threads, memory budget and limits, each by itself and over the wire."""

import asyncio
import json
import shutil
import socket
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import onnx
import pytest

from splitwatt.device_configs.errors import BitstreamError, EngineError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline import chain
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.batching import BatchPipeline, takes_batch
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, WholePipeline
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.server.inference.models import Models
from splitwatt.profiler.server.inference.refusals import Refused
from splitwatt.profiler.server.inference.runner import Runner
from splitwatt.profiler.server.inference.work import Work
from splitwatt.profiler.server.web.app import Server
from tests.profiler.conftest import RunningServer, start
from tests.profiler.test_server import MODEL, ask, message, same


@pytest.fixture(scope="module")
def requests(tiny, photographs):
    """(payload, sizes, expected answer) of every photograph."""
    bundle = Bundle.open(str(tiny / "cpu" / MODEL))
    with BoardPipeline(bundle) as board, WholePipeline(bundle) as both:
        made = []
        for path in photographs:
            rgb = decode_image(str(path))
            request = board.run(rgb)
            made.append((request.payload, request.sizes.tolist(), both.run(rgb).answer))
    return made


def test_a_full_queue_is_told_with_a_time_to_come_back():
    async def main():
        work, gate = Work(1, 2), threading.Event()
        running = work.submit(gate.wait)
        while work.waiting:
            await asyncio.sleep(0.001)
        waiting = [work.submit(lambda: 7) for _ in range(2)]
        with pytest.raises(Refused, match="busy: 2 requests wait") as refused:
            work.submit(lambda: 8)
        assert refused.value.status == 503 and refused.value.retry_after_s >= 1
        gate.set()
        assert await work.result(running) is True
        assert [await work.result(job) for job in waiting] == [7, 7]
        work.close()
        with pytest.raises(Refused):
            work.submit(lambda: 9)

    asyncio.run(main())


def test_a_deadline_ends_what_waits_and_what_runs():
    async def main():
        work, gate, ran = Work(1, 8), threading.Event(), []
        running = work.submit(gate.wait)
        waiting = work.submit(ran.append, 1)
        soon = time.perf_counter() + 0.05
        for job in (running, waiting):
            with pytest.raises(Refused, match="deadline passed after") as refused:
                await work.result(job, soon)
            assert refused.value.status == 503
        gate.set()
        assert await work.result(work.submit(lambda: 3), time.perf_counter() + 5) == 3
        work.close()
        assert ran == []  # what had not begun never ran

    asyncio.run(main())


def test_what_queued_up_goes_together_and_closing_finishes_it():
    async def main():
        work, gate, calls = Work(1, 20, batch=3), threading.Event(), []

        def run(arguments):
            calls.append([a for (a,) in arguments])
            return [a * 10 if a != 4 else ValueError(a) for (a,) in arguments]

        first = work.submit(gate.wait)
        jobs = [work.submit(run, n, key="ab"[n % 2]) for n in range(8)]
        threading.Timer(0.05, gate.set).start()
        await asyncio.get_running_loop().run_in_executor(None, work.close)
        assert calls == [[0, 2, 4], [1, 3, 5], [6], [7]]
        assert await work.result(first)
        results = await asyncio.gather(*map(work.result, jobs), return_exceptions=True)
        assert isinstance(results.pop(4), ValueError) and results == [0, 10, 20, 30, 50, 60, 70]

    asyncio.run(main())


def test_the_memory_budget_lets_the_oldest_idle_model_go(tiny, tmp_path):
    for name in ("a@1", "b@1", "c@1"):
        shutil.copytree(tiny / "cpu" / MODEL, tmp_path / name)
    size = sum(p.bytes for p in Bundle.open(str(tmp_path / "a@1")).manifest.placed("server"))
    models = Models(str(tmp_path), "cpu", 1, 2 * size)
    with models.use("a@1"):
        models.load("b@1")
        models.load("c@1")  # b goes: a is in use
        assert models.is_loaded("a@1") and models.is_loaded("c@1")
        assert not models.is_loaded("b@1")
        models.unload("a@1")  # it stays until its user has done
        assert models.usage()[:2] == (1, 2 * size)
    assert models.usage() == (1, size, 3, 1)
    waited = []
    with models.use("b@1"), models.use("c@1"):  # no room before one of them is given back
        thread = threading.Thread(target=lambda: waited.append(models.load("a@1")))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join(5)
    assert waited == [None] and models.usage().bytes == 2 * size
    models.close()
    assert models.usage().bytes == 0
    small = Models(str(tmp_path), "cpu", 1, size - 1)
    with pytest.raises(Exception, match="memory budget is 0 MB; start it with a larger --memory"):
        small.load("a@1")


def test_models_with_the_same_parts_have_one_engine_until_the_last_of_them_goes(
    tiny, tmp_path, requests
):
    for name in ("a@1", "b@1"):
        shutil.copytree(tiny / "cpu" / MODEL, tmp_path / name)
    models = Models(str(tmp_path), "cpu", 1)
    payload, sizes, expected = requests[0]

    def engines(name):
        with models.use(name) as pipeline:
            return [engine for _, engine in pipeline._chain]

    own = engines("a@1")
    assert len(own) == 4
    assert all(one is other for one, other in zip(own, engines("b@1"), strict=True))
    models.unload("a@1")
    with models.use("b@1") as pipeline:
        same(pipeline.run(payload, np.asarray(sizes, np.int32))[0], expected)
    models.unload("b@1")
    assert not any(one is other for one, other in zip(own, engines("a@1"), strict=True))
    models.close()


def test_a_codecs_own_engine_lives_as_long_as_its_model(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny / "cpu" / MODEL, tmp_path / "plain@1")
    shutil.copytree(tiny / "cpu" / MODEL, tmp_path / "hyper@1")
    path = tmp_path / "hyper@1" / "manifest.json"
    manifest = json.loads(path.read_text())
    (body,) = [part for part in manifest["parts"] if part["name"] == "body"]
    graph = onnx.load(str(tmp_path / "hyper@1" / body["file"]))
    graph.doc_string = "another file than the body's"
    file = tmp_path / "hyper@1" / "parameters.onnx"
    onnx.save(graph, str(file))
    about = {"sha256": sha256_file(str(file)), "bytes": file.stat().st_size}
    own = {**body, "name": "parameters", "placement": "both", "file": file.name, **about}
    manifest["parts"].append(own)
    path.write_text(json.dumps(manifest))
    made, engines = chain.codec_of, []

    def codec(bundle, engine_of):
        if bundle.manifest.parts[-1].name == "parameters":  # as a hyperprior's codec does
            engines.append(engine_of("parameters"))
        return made(bundle, engine_of)

    monkeypatch.setattr(chain, "codec_of", codec)
    models = Models(str(tmp_path), "cpu", 1)
    models.load("hyper@1")
    models.load("plain@1")
    models.unload("plain@1")
    (engine,) = engines
    zeros = {name: np.zeros((1, 4, 8, 8), np.float32) for name in engine.inputs}
    engine.run(zeros)
    with models.use("hyper@1"):
        models.unload("hyper@1")
        engine.run(zeros)
    with pytest.raises(EngineError, match="is closed"):
        engine.run(zeros)
    models.close()


def test_idle_models_go_while_the_process_is_over_the_budget(tiny, tmp_path):
    for name in ("a@1", "b@1", "c@1"):
        shutil.copytree(tiny / "cpu" / MODEL, tmp_path / name)
    resident = [0]
    models = Models(str(tmp_path), "cpu", 1, 10**9, lambda: resident[0])
    models.load("a@1")
    models.load("b@1")
    assert models.usage().models == 2
    resident[0] = 2 * 10**9  # what their tensors took; letting them go frees nothing here
    models.load("c@1")
    assert models.usage().models == 1 and models.is_loaded("c@1")
    assert models.usage().evictions == 2
    models.close()


def test_several_workers_answer_as_one(tiny, requests):
    running = RunningServer(tiny, "--port", "0", "--workers", "2", "--batch", "4")
    failures = []

    def board(number):
        with Client(Endpoint(running.url)) as client:
            for turn in range(10):
                payload, sizes, expected = requests[(number + turn) % len(requests)]
                reply = client.infer(MODEL, payload, sizes)
                try:
                    same(unpack(reply.answer), expected)
                except AssertionError as error:
                    failures.append(error)

    try:
        threads = [threading.Thread(target=board, args=(n,)) for n in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not failures
        text = ask(running.url, "GET", "/metrics")[1].decode()
    finally:
        assert running.stop() == 0
    families = pytest.importorskip("prometheus_client.parser").text_string_to_metric_families(text)
    values = {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}
    assert values["splitwatt_requests_total", ("model", MODEL), ("status", "200")] == 80
    assert values["splitwatt_request_seconds_count", ("model", MODEL)] == 80
    assert 0 < values["splitwatt_models_bytes",] <= values["splitwatt_models_budget_bytes",]
    assert values["splitwatt_models_loaded",] == 1 and values["splitwatt_model_loads_total",] == 1
    assert values["splitwatt_stage_seconds_total", ("model", MODEL), ("stage", "body")] > 0


def test_a_deadline_travels_in_the_request(server, requests):
    payload, sizes, _ = requests[0]
    body, headers = message(payload, sizes)
    length = int(headers["Inference-Header-Content-Length"])
    for timeout, status, words in ((1, 503, "deadline passed"), (60_000_000, 200, "")):
        document = json.loads(body[:length])
        document["parameters"]["timeout"] = timeout
        head = json.dumps(document).encode()
        headers["Inference-Header-Content-Length"] = str(len(head))
        found, content, response = ask(
            server.url, "POST", f"/v2/models/{MODEL}/infer", head + body[length:], headers
        )
        assert found == status and words.encode() in content
        assert (response.getheader("Retry-After") is not None) == (status == 503)


def test_heads_and_times_are_bounded(server):
    parts = urlsplit(server.url)

    def talk(*pieces):
        with socket.create_connection((parts.hostname, parts.port), 10) as stream:
            for data in pieces:
                stream.sendall(data)
                time.sleep(0.05)
            return stream.recv(65536)

    assert talk(b"GET /v2 HTTP/1.1\r\nx: ", b"a" * 20000).startswith(b"HTTP/1.1 431")
    many = b"".join(b"h%d: 1\r\n" % n for n in range(3000))
    assert talk(b"GET /v2 HTTP/1.1\r\n" + many + b"\r\n").startswith(b"HTTP/1.1 431")
    found = talk(b"no request\r\n\r\n")
    assert (
        found.startswith(b"HTTP/1.1 400") and b'{"error": "the request is not HTTP/1.1"}' in found
    )


def test_slow_and_silent_clients_are_let_go():
    """The guard's own times, shortened, on the bare protocol."""
    import uvicorn

    from splitwatt.profiler.server.web.guard import GuardedProtocol
    from splitwatt.profiler.server.web.pace import Pace

    class Hasty(GuardedProtocol):
        pace = Pace()
        arrival_timeout_s, silence_timeout_s, max_connections = 0.2, 0.2, 2

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        for data in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"):
            with socket.create_connection(listener.getsockname(), 10) as stream:
                stream.sendall(data)
                began = time.monotonic()
                assert stream.recv(4096).startswith(b"HTTP/1.1 408")
                assert time.monotonic() - began < 30 and stream.recv(4096) == b""
        with socket.create_connection(listener.getsockname(), 10) as stream:  # slow, and not still
            stream.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
            for _ in range(10):
                time.sleep(0.1)
                stream.sendall(bytes(500))
            assert stream.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.create_connection(listener.getsockname(), 10) as stream:  # in time, twice
            for _ in range(2):
                stream.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
                time.sleep(0.05)
                stream.sendall(b"ab")
                assert stream.recv(4096).startswith(b"HTTP/1.1 200")
                time.sleep(0.3)
            others = [socket.create_connection(listener.getsockname(), 10) for _ in range(2)]
            assert others[1].recv(4096).startswith(b"HTTP/1.1 503")
            [other.close() for other in others]
    finally:
        server.should_exit = True
        thread.join(10)


def test_sigterm_finishes_what_was_taken(tiny, requests):
    running = RunningServer(tiny, "--port", "0")
    payload, sizes, expected = requests[0]
    with Client(Endpoint(running.url)) as client:
        client.load(MODEL)
    answers = []

    def board():
        with Client(Endpoint(running.url), retry_after_s=()) as client:
            barrier.wait()
            answers.append(unpack(client.infer(MODEL, payload, sizes).answer))

    barrier = threading.Barrier(9)
    threads = [threading.Thread(target=board) for _ in range(8)]
    [thread.start() for thread in threads]
    barrier.wait()
    time.sleep(0.03)  # all are at the server, most of them wait
    assert running.stop() == 0
    [thread.join() for thread in threads]
    assert len(answers) == 8
    for answer in answers:
        same(answer, expected)


def test_two_boards_profile_at_once(tiny, server, config, tmp_path):
    path = config(inferences=3)
    runs = [tmp_path / "one", tmp_path / "two"]
    boards = [
        start("profile", "--config", path, "--bundles", tiny, "--out", run, "--server", server.url)
        for run in runs
    ]
    for board in boards:
        _, err = board.communicate(timeout=120)
        assert board.returncode == 0, err
    for run in runs:
        lines = (run / "samples.jsonl").read_text().splitlines()
        samples = [json.loads(line) for line in lines]
        assert samples and all(sample["status"] == "ok" for sample in samples)
        assert np.isfinite([sample["total_s"] for sample in samples]).all()


def test_parts_that_take_a_batch_run_it_and_answer_the_same(tiny, tmp_path, requests):
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "batched@1"
    shutil.copytree(tiny / "cpu" / MODEL, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for part in manifest["parts"]:
        if part["name"] in ("body", "classifier"):
            path = folder / part["file"]
            model = onnx.load(str(path))
            del model.graph.value_info[:]
            for port in (*model.graph.input, *model.graph.output):
                port.type.tensor_type.shape.dim[0].dim_param = "batch"
            onnx.save(model, str(path))
            part.update(sha256=sha256_file(str(path)), bytes=path.stat().st_size)
            for port in (*part["inputs"], *part["outputs"]):
                port["shape"][0] = None
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with BatchPipeline(Bundle.open(str(folder), "server")) as pipeline:
        parts = {part.name: takes_batch(engine) for part, engine in pipeline._chain}
        assert parts == {
            "body": True, "classifier": True, "detector": False, "segmenter": False,
        }  # fmt: skip
        sizes_of = [(payload, np.array(sizes, np.int32)) for payload, sizes, _ in requests]
        bad = (b"no bitstream", sizes_of[0][1])
        found = pipeline.run_all([*sizes_of, bad, *sizes_of])
        assert isinstance(found.pop(len(requests)), BitstreamError)
        for (answer, stages), (_, _, expected) in zip(found, [*requests, *requests], strict=True):
            same(answer, expected)
            assert set(stages) == {
                "decode", "body", "classifier", "detector", "segmenter", "postprocess",
            }  # fmt: skip


def test_what_nobody_waits_for_gives_up_its_place():
    async def main():
        work, gate = Work(1, 1), threading.Event()
        running = work.submit(gate.wait)
        while work.waiting:
            await asyncio.sleep(0.001)
        with pytest.raises(Refused, match="deadline passed after"):
            await work.result(work.submit(lambda: 1), time.perf_counter() + 0.01)
        gone = asyncio.ensure_future(work.result(work.submit(lambda: 2)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        taken = work.submit(lambda: 3)
        gate.set()
        assert await work.result(running) and await work.result(taken) == 3
        work.close()

    asyncio.run(main())


def test_what_a_forced_stop_cuts_off_is_told(tiny, requests):
    async def main():
        gate, sent = threading.Event(), []
        runner = Runner(Models(str(tiny / "cpu"), "cpu", 1))
        app = Server(runner)
        running = runner.work.submit(gate.wait)
        payload, sizes, _ = requests[0]
        body, given = message(payload, sizes)

        async def receive():
            if receive.taken:
                await asyncio.Event().wait()
            receive.taken = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        receive.taken = False
        path = "/v2/models/%s/infer" % MODEL
        headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        task = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.sleep(0.1)
        task.cancel()
        await task
        assert sent[0]["status"] == 503 and b"stops" in sent[1]["body"]
        gate.set()
        await runner.work.result(running)
        runner.close()

    asyncio.run(main())
