"""Autoscaling from the cluster's file: load brings a second replica, quiet takes it away again."""

import json
import os
import threading
import time

import pytest

from splitwatt.engines.pipeline.answer import unpack
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from tests.conftest import ROOT
from tests.profiler.conftest import start
from tests.profiler.test_server import MODEL, same
from tests.profiler.test_server_ray import replicas
from tests.profiler.test_server_work import requests  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.usefixtures("only_ray"), pytest.mark.long]

CLUSTER = """
format: 1
ray: local
replicas: {least: 1, most: 2, requests: 1, add_after_s: 1, remove_after_s: 2}
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two replicas need two cores")
def test_load_adds_a_replica_and_quiet_removes_it(tiny, requests, tmp_path):  # noqa: F811
    pytest.importorskip("ray.serve")
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    server = start(
        "serve", "--engine", "ray", "--cluster", tmp_path / "cluster.yaml", "--bundles", tiny,
        "--port", 0, "--json",
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        line = server.stdout.readline()
        while line and not line.startswith("{"):
            line = server.stdout.readline()
        assert line, server.stderr.read()
        url = json.loads(line)["url"]
        assert len(replicas()) == 1
        stop, answered, wrong = threading.Event(), [0] * 6, []

        def board(number):
            with Client(Endpoint(url)) as client:
                while not stop.is_set():
                    payload, sizes, expected = requests[number % len(requests)]
                    try:
                        same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
                        answered[number] += 1
                    except Exception as error:
                        wrong.append(error)
                        return

        threads = [threading.Thread(target=board, args=(n,)) for n in range(len(answered))]
        [thread.start() for thread in threads]
        grew = within(90, lambda: len(replicas()) == 2)
        after = sum(answered)
        more = within(30, lambda: sum(answered) > after + 50)
        stop.set()
        [thread.join() for thread in threads]
        assert grew and more and not wrong, wrong[:2]
        assert within(120, lambda: len(replicas()) == 1)
    finally:
        server.terminate()
        server.communicate(timeout=90)
    assert server.returncode == 0


def within(seconds, holds):
    """Whether something holds at some time within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.3)
    return False
