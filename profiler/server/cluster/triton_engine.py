"""`splitwatt serve --engine triton`: the same pipelines behind a real Triton Inference Server.

NVIDIA's pytriton carries one. Triton speaks HTTP, queues and batches; its Python backend hands the
requests to this process. Triton's own interface has neither token nor TLS: it listens on loopback.
"""

import argparse
import ctypes.util
import functools
import os
import signal
import sys
import sysconfig
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytriton.models.model as bound
import pytriton.triton as pytriton
import tritonclient.http._client as http
from pytriton.client.exceptions import PyTritonClientError
from pytriton.model_config import DynamicBatcher, ModelConfig, QueuePolicy, Tensor
from pytriton.model_config.generator import ModelConfigGenerator

from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.engines.pipeline.answer import pack
from splitwatt.profiler.client.client import quoted
from splitwatt.profiler.client.wire_times import write_stages
from splitwatt.profiler.server.cluster.watchdog import Watchdog
from splitwatt.profiler.server.inference.models import Models
from splitwatt.profiler.server.place import LOOPBACK, Place, announce, is_loopback, listen
from splitwatt.profiler.server.setup import set_up

# How long Triton keeps a request for others to join it, where there is a batch to fill.
QUEUE_DELAY_US = 2000
_EXIT_TIMEOUT_S = 10
# pytriton sends an exception to every request of a batch. Code that is appended to its script turns this
# answer, with a sentence in place of the stages, into an error of its own request alone.
_REFUSED = b"!"
_REFUSING = (
    """

_answered = _wrap_response


def _wrap_response(response, requested_outputs_names, model_outputs_dict):
    data = response.data
    if data is None or data["answer"].tobytes() != %r:
        return _answered(response, requested_outputs_names, model_outputs_dict)
    sentence = data["stages"].tobytes().decode("utf-8")
    error = pb_utils.TritonError(sentence, pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(output_tensors=[], error=error)
"""
    % _REFUSED
)


def run_triton(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UsageError: pytriton cannot run here, or a flag is given that Triton does not support.
    """
    what, models = set_up(options, options.workers or 1, options.threads)
    _check(options)
    # Limits that Triton itself does not have; names are bound as addresses write them.
    http.quote = lambda name: name
    bound.ModelConfigGenerator = _Ragged  # type: ignore[attr-defined,misc,unused-ignore]
    pytriton.Model = _Refusing  # type: ignore[attr-defined,misc,unused-ignore]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host = options.host or LOOPBACK
    place = Place(host, host, None, None, None)
    ports = _free_ports(host, options.port)
    # The Python inside Triton looks for its standard library beside the first python3 of the PATH,
    # which may be of another version than this one.
    os.environ["PATH"] = os.pathsep.join([os.path.join(sys.base_prefix, "bin"), os.environ["PATH"]])
    config = pytriton.TritonConfig(
        http_address=host,
        http_port=ports[0],
        metrics_address=host,
        metrics_port=ports[1],
        grpc_port=ports[2],
        allow_grpc=False,
        allow_gpu_metrics=False,
        exit_timeout_secs=_EXIT_TIMEOUT_S,
        log_verbose=0,
    )
    with Watchdog() as watchdog, ExitStack() as opened:
        try:
            server = opened.enter_context(_AnyName(config=config))
        except PyTritonClientError as error:
            raise SplitwattError("Triton has not started: %s" % error, "see its messages above")
        names = models.names()
        for name in names:
            _bind(server, models, name, options)
        server.run()
        watchdog.guard_children()
        metrics = place.url(ports[1]) + "/metrics"
        announce(options, place, place.url(ports[0]), what, len(names), metrics)
        while not stop.wait(0.5):
            if not server.is_alive():
                raise SplitwattError("Triton has ended by itself", "see its messages above")
    models.close()
    return 0


def answer_all(models: Models, name: str, requests: Any) -> list[dict[str, Any]]:
    """The answers to the requests that Triton hands over together, each (1, n) bytes.

    A request that is refused has `_REFUSED` for an answer and its sentence for the stages.
    """
    answers = []
    with models.use(name) as pipeline:
        start_s = time.perf_counter()
        for outcome in pipeline.run_all([_payload(request) for request in requests]):
            try:
                if isinstance(outcome, SplitwattError):
                    raise outcome
                data = pack(outcome[0])
                text = write_stages(outcome[1], time.perf_counter() - start_s)
            except SplitwattError as error:
                data, text = _REFUSED, str(error)
            answers.append({"answer": _bytes(data), "stages": _bytes(text.encode())})
    return answers


def _payload(request: Any) -> tuple[bytes, Any]:
    """The codec's bytes and the sizes of an image; for several images wrong ones, which are refused."""
    bitstream, sizes = request["bitstream"], request["sizes"]
    return (bitstream[0].tobytes(), sizes[0]) if len(bitstream) == 1 else (b"", sizes[0])


def _bind(server: Any, models: Models, name: str, options: Any) -> None:
    """Make a model known to Triton; BundleError where its bundle is damaged."""
    models.bundle(name)
    functions = [functools.partial(answer_all, models, name) for _ in range(options.workers or 1)]
    delay_us = QUEUE_DELAY_US if options.batch > 1 else 0
    server.bind(
        # As clients write it in addresses: Triton takes a name as it stands there, and undoes no %40.
        model_name=quoted(name),
        infer_func=functions,
        inputs=[
            Tensor(name="bitstream", dtype=np.uint8, shape=(-1,)),
            Tensor(name="sizes", dtype=np.int32, shape=(6,)),
        ],
        outputs=[
            Tensor(name="answer", dtype=np.uint8, shape=(-1,)),
            Tensor(name="stages", dtype=np.uint8, shape=(-1,)),
        ],
        config=ModelConfig(
            max_batch_size=options.batch,
            batcher=DynamicBatcher(
                max_queue_delay_microseconds=delay_us,
                default_queue_policy=QueuePolicy(max_queue_size=options.queue),
            ),
        ),
    )


class _AnyName(pytriton.Triton):  # type: ignore[misc,unused-ignore]
    """Takes names such as ladon_r50%400.32."""

    @classmethod
    def _validate_model_name(cls, model_name: str) -> None:
        pass


class _Ragged(ModelConfigGenerator):  # type: ignore[misc,unused-ignore]
    """Lets bitstreams of different lengths share a batch."""

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        for tensor in config["input"]:
            if -1 in tensor["dims"] and config["max_batch_size"]:
                tensor["allow_ragged_batch"] = True
        return config


class _Refusing(bound.Model):  # type: ignore[misc,unused-ignore]
    """Answers a refused request with an error, and those beside it with their answers."""

    def get_proxy_model_files(self) -> dict[str, bytes]:
        files: dict[str, bytes] = super().get_proxy_model_files()
        script = next(name for name in files if name.endswith("/model.py"))
        return {**files, script: files[script] + _REFUSING.encode()}


def _check(options: argparse.Namespace) -> None:
    if not is_loopback(options.host or LOOPBACK):
        raise UsageError(
            "Triton's interface has neither token nor TLS: it listens to this machine alone",
            "leave out --host, or use another --engine",
        )
    version = "%d.%d" % sys.version_info[:2]
    library = "libpython%s.so.1.0" % version
    beside = Path(sysconfig.get_config_var("LIBDIR") or "/") / library
    if not beside.exists() and ctypes.util.find_library("python" + version) is None:
        raise UsageError(
            "Triton's Python backend needs %s, which is not installed" % library,
            "use the Python of your distribution: apt-get install python3-venv libpython%s"
            % version,
        )


def _free_ports(host: str, first: int) -> list[int]:
    """Ports for HTTP (the given one unless it is 0), metrics, and what pytriton also asks for."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(listen(host, port)) for port in (first, 0, 0)]
        return [int(one.getsockname()[1]) for one in sockets]


def _bytes(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8).reshape(1, -1)
