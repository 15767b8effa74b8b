"""`splitwatt serve --engine ray`: the server's ASGI application on many machines, by Ray Serve.

This process is the front: it listens, asks for the token, bounds what arrives, and hands whole
requests to replicas. A request is an inference without any trace, so that one whose replica has
died is simply asked of another.
"""

import argparse
import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.responses import Response
from starlette.types import Receive, Scope

from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.profiler.client.protocol import long_names
from splitwatt.profiler.server.cluster.cluster_file import Cluster, read_cluster
from splitwatt.profiler.server.cluster.replica import Answer, Replica, Request
from splitwatt.profiler.server.cluster.watchdog import Watchdog
from splitwatt.profiler.server.inference.refusals import Refused
from splitwatt.profiler.server.main import serve_models
from splitwatt.profiler.server.place import LOOPBACK
from splitwatt.profiler.server.setup import Served, budget_bytes, set_up
from splitwatt.profiler.server.web.app import Application
from splitwatt.profiler.server.web.body import BODY_LIMIT_BYTES, Hold, infer_limit, read_body
from splitwatt.profiler.server.web.metrics import Metrics

log = logging.getLogger("splitwatt.server")
APP = "splitwatt"
# Replicas that may die under one request before it is given up.
_ATTEMPTS = 5
_PAUSE_S = 0.2
_LOAD = re.compile(r"/v2/repository/models/([^/]+)/(load|unload)")

Ask = Callable[[Request], Awaitable[Answer]]


def run_ray(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; what was taken is finished first.

    Raises:
        ConfigError: the cluster's file is wrong.
        UsageError: a flag that it does not support, or more cores than the cluster has.
        SplitwattError: there is no cluster, or the replicas do not start.
    """
    cluster = read_cluster(options.cluster)
    what, models = set_up(options, cluster.workers, threads_of(cluster))
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())

        def front(token: str | None) -> Front:
            _connect(cluster)
            stack.callback(_disconnect, cluster)
            watchdog.guard_children()
            nodes = ray.nodes()  # type: ignore[no-untyped-call,unused-ignore]
            check_cores(cluster, [n["Resources"].get("CPU", 0.0) for n in nodes if n["Alive"]])
            ask = _deploy(cluster, options, what)
            watchdog.guard_children()
            return Front(ask, token, cluster.most * options.queue, models.names)

        serve_models(options, what, models, front)
    return 0


def check_cores(cluster: Cluster, nodes: Iterable[float]) -> None:
    """Report cores that no machine has: Ray would wait for them without end.

    Raises:
        UsageError: the least number of replicas does not fit on the `nodes`, which have so many
            cores.
    """
    free = list(nodes)
    fit = sum(int(cores // cluster.cores) for cores in free)
    if fit < cluster.least:
        raise UsageError(
            "%d replicas of %d cores are asked for, and the cluster's machines (%s cores) take %d"
            % (cluster.least, cluster.cores, ", ".join("%g" % c for c in free) or "no", fit),
            "lower 'replicas: least' or 'cores' in the cluster's file, or add machines",
        )


def threads_of(cluster: Cluster) -> int:
    """Threads of one inference in a replica."""
    return max(1, cluster.cores // cluster.workers)


def _deploy(cluster: Cluster, options: argparse.Namespace, what: Served) -> Ask:
    """Start the replicas; what asks one of them."""
    deployment = serve.deployment(
        name="replica",
        ray_actor_options={"num_cpus": cluster.cores},
        max_ongoing_requests=options.queue + cluster.workers * options.batch,
        max_queued_requests=cluster.most * options.queue,
        autoscaling_config={
            "min_replicas": cluster.least,
            "max_replicas": cluster.most,
            "initial_replicas": cluster.least,
            "target_ongoing_requests": cluster.requests,
            "upscale_delay_s": cluster.add_after_s,
            "downscale_delay_s": cluster.remove_after_s,
        },
        graceful_shutdown_timeout_s=30.0,
        health_check_period_s=2.0,
    )(Replica)
    application = deployment.bind(
        what.bundles,
        options.backend,
        threads_of(cluster),
        cluster.workers,
        budget_bytes(options.memory_mb),
        options.queue,
        options.batch,
        cluster.least,
    )
    try:
        handle = serve.run(application, name=APP, route_prefix=None)
    except (RuntimeError, RayError, RayServeException) as error:
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise SplitwattError(
            "the replicas do not start: %s" % reason[0],
            "are splitwatt and the bundles at the same path on every machine?",
        )

    async def ask(request: Request) -> Answer:
        answer: Answer = await handle.answer.remote(request)
        return answer

    return ask


class Front(Application):
    """The application that the boards see: it checks, and asks a replica.

    Replicas are many and may be on other machines: their clocks and counters are not one. Boards
    ask the front for both. A load or an unload that one replica has done is passed to each other one
    with its next request, also to those that are added later. `limit` requests may be on their way
    at once; they are counted under the models that `names` returns.
    """

    def __init__(
        self, ask: Ask, token: str | None, limit: int, names: Callable[[], Iterable[str]]
    ) -> None:
        self._ask = ask
        self._names = names
        self._models: dict[str, str] = {}
        self._limit = limit
        self._asked = 0
        self._loads = 0
        self._wanted: dict[str, tuple[str, int]] = {}
        at_replicas = ("splitwatt_replica_requests", "Requests at replicas.")
        metrics = Metrics(
            "From a request's arrival at the front to its replica's answer.",
            {at_replicas: lambda: self._asked},
        )
        super().__init__(token, metrics, [])

    def _is_own(self, path: str) -> bool:
        return path in ("/v2/clock", "/metrics")

    def _known(self, model: str) -> str:
        return self._models.get(model, "")

    async def _look_up(self, model: str) -> str:
        """The name under which a model counts, "" where it is unknown; an address may hold a short one."""
        if model not in self._models:
            names = list(await asyncio.to_thread(self._names))
            name = long_names(names).get(model, model)
            if name not in names:
                return ""
            self._models[model] = name
        return self._models[model]

    async def _respond(
        self, scope: Scope, infer: Any, receive: Receive, hold: Hold
    ) -> tuple[Response, Callable[[], None]]:
        start_s = time.perf_counter()
        headers = dict(scope["headers"])
        model = await self._look_up(infer.group(1)) if infer else ""
        self._check_room()
        limit = infer_limit(headers) if infer else BODY_LIMIT_BYTES
        body = b""
        if infer is None or model:  # a replica refuses other inferences without their body
            body = bytes(await read_body(headers, receive, hold, limit))
        kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        method, path, query = scope["method"], scope["path"], scope.get("query_string", b"")
        wanted = tuple((name, *last) for name, last in self._wanted.items())
        request = (method, path, query, kept, body, wanted)
        self._check_room()  # others may have come while the body arrived
        self._asked += 1
        try:
            status, answered, data = await self._until_answered(request)
        finally:
            self._asked -= 1
        answer = Response(data, status)
        answer.raw_headers = answered
        load = _LOAD.fullmatch(path) if method == "POST" else None
        name = await self._look_up(load.group(1)) if load and status == 200 else ""
        if load and name:
            self._loads += 1
            self._wanted[name] = load.group(2), self._loads
        total_s = time.perf_counter() - start_s
        return answer, lambda: self._metrics.ended(model, status, total_s) if infer else None

    def _check_room(self) -> None:
        if self._asked >= self._limit:
            raise Refused(503, "the cluster is busy: %d requests wait" % self._asked)

    async def _until_answered(self, request: Request) -> Answer:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._ask(request)
            except BackPressureError:
                raise Refused(503, "the cluster is busy: every replica has requests waiting")
            except (RayActorError, RayServeException) as error:
                log.warning("a replica has ended under a request: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE_S * attempt)
            except RayError as error:
                log.error("a replica failed", exc_info=error)
                raise Refused(503, "a replica failed at this request")
        raise Refused(503, "no replica lives long enough to answer")


def _disconnect(cluster: Cluster) -> None:
    serve.delete(APP)
    if cluster.ray == "local":
        serve.shutdown()  # type: ignore[no-untyped-call,unused-ignore]
    ray.shutdown()


def _connect(cluster: Cluster) -> None:
    # Ray's workers are started elsewhere: what this process imports, they have to find.
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    own: dict[str, Any] = {}
    if cluster.ray == "local":  # a cluster of this machine alone, which nobody else can reach
        own = {"include_dashboard": False, "_node_ip_address": LOOPBACK}
        # Ray has its workers yield to every other program; here they are what the machine is for.
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        ray.init(
            address=cluster.ray,  # "local": a new one, even where another runs on this machine
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": environment},
            **own,
        )
        serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        ray.shutdown()
        raise SplitwattError(
            "the Ray cluster 'ray: %s' cannot be used: %s" % (cluster.ray, reason[0]),
            "start one with 'ray start --head', or write 'ray: local' into the cluster's file",
        )
