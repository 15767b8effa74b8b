"""A real Ray cluster of several nodes on this machine, and the server spread over it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from splitwatt.device_configs.errors import ConfigError, SplitwattError, UsageError
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.server.cluster.cluster_file import read_cluster
from splitwatt.profiler.server.cluster.replica import Replica
from tests.conftest import ROOT
from tests.profiler.conftest import command, start
from tests.profiler.test_server import MODEL, ask, same
from tests.profiler.test_server_work import requests  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.usefixtures("only_ray"), pytest.mark.long]

CLUSTER = """
format: 1
ray: "{address}"
replicas: {{least: 2, most: 2, requests: 2}}
cores: 1
"""
# The nodes live in a process of their own, as Ray's driver would otherwise be this one.
NODES = """
import sys, time
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster_server(tiny, tmp_path_factory):
    pytest.importorskip("ray.serve")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    nodes = subprocess.Popen(
        [sys.executable, "-c", NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, universal_newlines=True, env=environment,
    )  # fmt: skip
    server = None
    try:
        address = nodes.stdout.readline().strip()
        assert address, "the cluster did not start"
        folder = tmp_path_factory.mktemp("ray")
        (folder / "cluster.yaml").write_text(CLUSTER.format(address=address))
        ready = folder / "ready.json"
        server = start(
            "serve", "--engine", "ray", "--cluster", folder / "cluster.yaml", "--bundles", tiny,
            "--port", 0, "--ready-file", ready, "--json", env=environment,
        )  # fmt: skip
        line = server.stdout.readline()
        while line and not line.startswith("{"):
            line = server.stdout.readline()
        assert line, server.stderr.read()
        yield json.loads(line)["url"]
        server.terminate()
        server.communicate(timeout=60)
        assert server.returncode == 0
    finally:
        if server is not None and server.poll() is None:
            server.kill()
            server.communicate()
        nodes.stdin.close()
        nodes.wait(60)
        nodes.stdout.close()


def replicas():
    """The replicas' processes."""
    return {
        process.pid: process
        for process in psutil.process_iter(["cmdline"])
        if "ServeReplica:splitwatt:replica" in " ".join(process.info["cmdline"] or [])
    }


def test_replicas_on_several_nodes_answer_as_one_server(cluster_server, requests):  # noqa: F811
    found = replicas()
    assert len({process.ppid() for process in found.values()}) == 2  # a raylet each
    with Client(Endpoint(cluster_server)) as client:
        assert client.metadata()["name"] == "splitwatt"
        assert client.model_metadata(MODEL)["parameters"]["tables_id"]
        for payload, sizes, expected in requests:
            same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
        with pytest.raises(Exception, match=r"\(404\): unknown model 'tiny@2'; did you mean"):
            client.infer("tiny@2", b"x", sizes)
        with pytest.raises(Exception, match=r"\(400\)"):
            client.infer(MODEL, b"x", sizes)
    assert ask(cluster_server, "POST", "/v2/health/live")[0] == 405


def test_a_replica_killed_under_load_loses_nothing(cluster_server, requests):  # noqa: F811
    answered, wrong, stop = [0] * 6, [], threading.Event()

    def board(number):
        # No attempt of the client's own: what the server takes it must answer.
        with Client(Endpoint(cluster_server), retry_after_s=()) as client:
            while not stop.is_set():
                payload, sizes, expected = requests[(number + answered[number]) % len(requests)]
                try:
                    same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
                    answered[number] += 1
                except Exception as error:
                    wrong.append(error)
                    return

    threads = [threading.Thread(target=board, args=(n,)) for n in range(len(answered))]
    [thread.start() for thread in threads]
    time.sleep(1)
    before = replicas()
    os.kill(next(iter(before)), signal.SIGKILL)
    at_kill = sum(answered)
    until = time.monotonic() + 120
    while time.monotonic() < until and not wrong:
        if sum(answered) >= at_kill + 200 and len(replicas()) > 1:
            break
        time.sleep(0.2)
    stop.set()
    [thread.join() for thread in threads]
    assert not wrong, wrong[:2]
    assert min(answered) > 0 and sum(answered) >= at_kill + 200
    assert set(replicas()) != set(before)  # another has taken its place


def test_a_wrong_cluster_file_is_told(tiny, tmp_path):
    pytest.importorskip("ray.serve")
    path = tmp_path / "cluster.yaml"
    for text, sentence in (
        ("format: 2", "'format' must be 1"),
        ("format: 1\nreplica: {}", "unknown key 'replica'; did you mean replicas"),
        ("format: 1\nreplicas: {least: 0}", "'replicas.least' must be a whole number from 1"),
        ("format: 1\nreplicas: {least: 3, most: 2}", "'replicas.most' must be at least"),
        ("[", "is not YAML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            read_cluster(str(path))
    code, _, err = command(
        "serve", "--engine", "ray", "--cluster", path, "--bundles", tiny, "--port", 0
    )
    assert code == 2 and sentence in err and "Traceback" not in err, err
    path.write_text("format: 1\nreplicas: {least: 2, most: 4}\ncores: 2\n")
    assert read_cluster(str(path))[:3] == ("local", 2, 4)


def test_the_front_tells_its_own_time_and_counters(cluster_server, requests):  # noqa: F811
    payload, sizes, _ = requests[0]
    before = time.monotonic()
    status, body, _ = ask(cluster_server, "POST", "/v2/clock?bytes=5", b"x")
    assert status == 200 and before <= json.loads(body)["received_s"] <= time.monotonic()

    def counted():
        text = ask(cluster_server, "GET", "/metrics")[1].decode()
        found = re.search(r'requests_total\{model="tiny@1",status="200"\} (\S+)', text)
        return float(found.group(1)) if found else 0.0

    was = counted()
    with Client(Endpoint(cluster_server)) as client:
        replies = [client.infer(MODEL, payload, sizes) for _ in range(6)]
    assert [reply.server_at_s for reply in replies] == [None] * 6
    assert [counted() for _ in range(4)] == [was + 6] * 4
    # Work is repeated on one clock alone, and a replica's is not the front's.
    assert json.loads(ask(cluster_server, "GET", "/v2/splitwatt")[1]) == {"offers": []}
    assert ask(cluster_server, "POST", "/v2/splitwatt/repeat/tiny@1/1", b"")[0] == 404


def test_too_few_cores_and_no_cluster_are_told(tmp_path, monkeypatch):
    pytest.importorskip("ray.serve")
    import ray

    from splitwatt.profiler.server.cluster.ray_engine import _connect, check_cores

    path = tmp_path / "cluster.yaml"
    path.write_text("format: 1\nray: local\nreplicas: {least: 3, most: 3}\ncores: 2\n")
    cluster = read_cluster(str(path))
    check_cores(cluster, [2.0, 5.0])
    with pytest.raises(UsageError, match="3 replicas of 2 cores are asked for"):
        check_cores(cluster, [3.0, 3.0])

    def none(**options):
        raise ConnectionError("Could not find any running Ray instance.\nMore of it.")

    monkeypatch.setattr(ray, "init", none)
    with pytest.raises(SplitwattError, match=r"'ray: local' cannot be used: Could not find any"):
        _connect(cluster)


def test_a_load_and_an_unload_reach_every_replica(tiny):
    pytest.importorskip("ray.serve")
    from splitwatt.profiler.server.cluster.ray_engine import Front

    one, two = (Replica(str(tiny / "cpu"), "cpu", 1, 1, 10**9, 8, 1) for _ in range(2))
    turns = iter([one, one, two, two, one, two, two])

    async def talk():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            pass

        front = Front(lambda request: next(turns).answer(request), None, 8, lambda: [MODEL])
        found = []
        for method, path in (
            ("GET", "/v2"),
            ("POST", f"/v2/repository/models/{MODEL}/load"),
            ("GET", "/v2/health/ready"),
            ("POST", "/v2/repository/models/tiny@2/load"),
            ("POST", f"/v2/repository/models/{MODEL}/unload"),
            ("POST", "/v2/repository/models/tiny@2/unload"),
            ("GET", "/v2/health/ready"),
        ):
            await front({"type": "http", "method": method, "path": path, "headers": []},
                        receive, send)  # fmt: skip
            found.append([r._runner.models.is_loaded(MODEL) for r in (one, two)])
        return found, front._wanted

    found, wanted = asyncio.run(talk())
    assert found[:4] == [[False, False], [True, False], [True, True], [True, True]]
    assert found[4:] == [[False, True], [False, False], [False, False]]
    assert wanted == {MODEL: ("unload", 2)}  # and no name that a stranger thought of
