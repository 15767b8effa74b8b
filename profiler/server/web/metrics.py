"""What the server counts, in Prometheus' text format; no payload and no client is in it."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from splitwatt.profiler.server.inference.models import Usage

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """What a server and a cluster's front both count.

    Args:
        time: what the seconds of a request are from and to.
        values: name and text of a value -> returns it at the time of a scrape.
    """

    def __init__(self, time: str, values: Mapping[tuple[str, str], Callable[[], float]]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        for (name, text), value in values.items():
            Gauge(name, text, registry=self._registry).set_function(value)
        self._requests = Counter(
            "splitwatt_requests",
            "Inference requests by HTTP status; those for unknown models under the name ''.",
            ["model", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "splitwatt_request_seconds", time, ["model"], buckets=_SECONDS, registry=self._registry
        )
        self._refused = Counter(
            "splitwatt_refusals",
            "Connections and requests refused before routing, by HTTP status.",
            ["status"],
            registry=self._registry,
        )

    def refused(self, status: int) -> None:
        """A request was refused before it was known what it asks for."""
        self._refused.labels(str(status)).inc()

    def ended(self, model: str, status: int, total_s: float = 0.0) -> None:
        """An inference ended with this status."""
        self._requests.labels(model, str(status)).inc()
        if status == 200:
            self._seconds.labels(model).observe(total_s)

    def text(self) -> bytes:
        """Everything, as `CONTENT_TYPE` says."""
        return generate_latest(self._registry)


class ServerMetrics(Metrics):
    """Counters of one server."""

    def __init__(
        self, usage: Callable[[], Usage], budget_bytes: int, waiting: Callable[[], int]
    ) -> None:
        values: dict[tuple[str, str], Callable[[], float]] = {
            ("splitwatt_queue_requests", "Requests that wait."): waiting,
            ("splitwatt_models_loaded", "Models in memory."): lambda: usage().models,
            ("splitwatt_models_bytes", "Size of the loaded models' parts."): lambda: usage().bytes,
            (
                "splitwatt_models_budget_bytes",
                "Memory budget of the loaded models' parts.",
            ): lambda: budget_bytes,
        }
        super().__init__("From a request's body read to its answer made.", values)
        self._usage = usage
        self._registry.register(self)
        self._waited = Histogram(
            "splitwatt_queue_seconds",
            "A request's time in the queue.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = Counter(
            "splitwatt_stage_seconds",
            "Seconds of a model's stages, all requests together.",
            ["model", "stage"],
            registry=self._registry,
        )
        self._batches = Histogram(
            "splitwatt_batch_requests",
            "Requests that ran as one batch.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self._registry,
        )

    def answered(
        self, model: str, total_s: float, waited_s: float, stages: Mapping[str, float]
    ) -> None:
        """A request was answered."""
        self.ended(model, 200, total_s)
        self._waited.observe(waited_s)
        for stage, seconds in stages.items():
            self._stages.labels(model, stage).inc(seconds)

    def batch(self, size: int) -> None:
        """A batch of that many requests ran."""
        self._batches.observe(size)

    def collect(self) -> Iterator[Metric]:
        """What the models themselves count, for the registry."""
        usage = self._usage()
        yield CounterMetricFamily("splitwatt_model_loads", "Models loaded.", usage.loads)
        yield CounterMetricFamily(
            "splitwatt_model_evictions", "Models unloaded to make room for others.", usage.evictions
        )
