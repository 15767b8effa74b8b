"""Servers without a model, 5 KB in and a few bytes out: what a request costs by the protocol alone.

    python -m tests.bench.echo_servers ours|bare|triton FILE

It writes its port into FILE once it listens, and ends on SIGTERM and with its parent.
"""

import contextlib
import os
import signal
import socket
import sys
import time

from splitwatt.device_configs.files import write_atomic
from splitwatt.profiler.client.protocol import HEADER_LENGTH, Tensor, encode_response
from splitwatt.profiler.links.process import die_with_parent

MODEL = "echo"


def ours() -> None:
    """The embedded server whole: guard, queue, threads, metrics; only the model is none."""
    from splitwatt.profiler.server.inference.models import Usage
    from splitwatt.profiler.server.inference.runner import Runner
    from splitwatt.profiler.server.main import serve_app
    from splitwatt.profiler.server.place import Place, listen
    from splitwatt.profiler.server.web.app import Server

    class Pipeline:
        class bundle:  # noqa: N801
            class manifest:  # noqa: N801
                tasks = ()

        @staticmethod
        def run_all(requests):
            return [({}, {}) for _ in requests]

    class NoModels:
        budget_bytes = 0

        def usage(self):
            return Usage(1, 0, 1, 0)

        @contextlib.contextmanager
        def use(self, name):
            yield Pipeline

        def close(self):
            pass

    listener = listen("127.0.0.1", 0)
    place = Place("127.0.0.1", "127.0.0.1", None, None, None)
    serve_app(Server(Runner(NoModels())), listener, place, lambda: say(listener.getsockname()[1]))


def bare() -> None:
    """A Starlette handler that reads the body and answers, under uvicorn."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    answer = encode_response(MODEL, [(Tensor("answer", "UINT8", (4,), b"SWA1"), True)], {})

    async def handler(request):
        await request.body()
        headers = {HEADER_LENGTH: str(answer.header_length)}
        return Response(answer.body, headers=headers, media_type="application/octet-stream")

    app = Starlette(routes=[Route("/v2/models/{model}/infer", handler, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    say(listener.getsockname()[1])
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, date_header=False
    )
    uvicorn.Server(config).run([listener])


def triton() -> None:
    """A real Triton whose model is a Python function that returns 4 bytes."""
    import numpy as np
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    def function(requests):
        return [{"answer": np.frombuffer(b"SWA1", np.uint8)} for _ in requests]

    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    config = TritonConfig(
        http_address="127.0.0.1", http_port=ports[0], allow_grpc=False, allow_metrics=False,
        grpc_port=ports[1], metrics_port=ports[2], exit_on_error=True,
    )  # fmt: skip
    with Triton(config=config) as server:
        server.bind(
            MODEL,
            function,
            [Tensor(name="bitstream", dtype=np.uint8, shape=(-1,)),
             Tensor(name="sizes", dtype=np.int32, shape=(6,))],
            [Tensor(name="answer", dtype=np.uint8, shape=(-1,))],
            config=ModelConfig(batching=False),
        )  # fmt: skip
        server.run()
        say(ports[0])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            time.sleep(3600)


def say(port: int) -> None:
    write_atomic(sys.argv[2], str(port))


if __name__ == "__main__":
    die_with_parent(os.getppid(), signal.SIGTERM)
    {"ours": ours, "bare": bare, "triton": triton}[sys.argv[1]]()
