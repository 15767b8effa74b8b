"""One block: a process that runs one configuration on one backend over the run's images.

Started by the runner as `python -m profiler.block`; it appends to the run folder itself, and tells
the runner how far it is in one JSON document a line on standard output.
"""

import argparse
import json
import os
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Set, Union

from device_configs.errors import ImageError, ServerError, SplitwattError
from profiler.bundles import Found, open_bundles
from profiler.client import TIMEOUT_S, Client
from profiler.config import SPLIT, Config, from_document
from profiler.connection import Endpoint
from profiler.images import image_of
from profiler.memory import process_peak_bytes
from profiler.process import die_with_parent
from profiler.records import FAILED, OK, Sample
from profiler.run_folder import Appender, RunFolder
from profiler.system import Charge, LocalSystem, Outcome, SplitSystem, finished, published_total
from profiler.tokens import read_token

FATAL_EXIT = 3
# After so many samples in a row that no server answered, the rest of the block is not tried.
GIVE_UP_AFTER = 2

System = Union[LocalSystem, SplitSystem]


class Spec(NamedTuple):
    """A block of a run, as run.json lists it."""

    id: str
    config: str
    backend: str
    repeat: int


class Block:
    """Runs what is left of a block and records it."""

    def __init__(
        self, folder: RunFolder, config: Config, spec: Spec, images: List[str], retry_before: int
    ) -> None:
        self._folder = folder
        self._config = config
        self._spec = spec
        self._images = images
        self._row = config.configuration(spec.config)
        self._warmups_done, self._inferences_done = folder.done(spec.id, retry_before)
        self._unreached = 0
        self._published: Optional[Charge] = None

    def run(self, bundles: str, target: str, threads: Optional[int], client: Client) -> None:
        """Open the models, warm up, run the inferences, and record each.

        A sample that fails is recorded with its reason, and the block goes on; so is every sample
        of a block whose models cannot be opened.

        Raises:
            SplitwattError: the run folder cannot be written.
        """
        self._client = client
        with self._folder.samples() as samples, self._folder.windows() as windows:
            try:
                system = self._open(bundles, target, threads)
            except SplitwattError as error:
                return self._fail_all(samples, error)
            try:
                warmups = range(self._config.warmup)
                self._series(system, samples, windows, "warmup", warmups, self._warmups_done)
                inferences = range(self._config.inferences)
                self._series(
                    system, samples, windows, "inferences", inferences, self._inferences_done
                )
            finally:
                system.close()

    def _open(self, bundles: str, target: str, threads: Optional[int]) -> System:
        own = self._config.only([self._row.id])
        found = open_bundles(own, bundles, target)
        models: List[Found] = [found[name] for name in self._row.models]
        if self._config.payload == "published":
            self._published = published_total([m.model for m in models])
        if self._row.kind != SPLIT:
            return LocalSystem(models, self._spec.backend, threads)
        system = SplitSystem(models, self._spec.backend, threads, self._client)
        system.load()
        return system

    def _series(
        self,
        system: System,
        samples: Appender,
        windows: Appender,
        name: str,
        all: range,
        done: Set[int],
    ) -> None:
        """Warm-ups (all of them: a new process is cold), or the inferences that are not done."""
        warmup = name == "warmup"
        todo = [k for k in all if warmup or k not in done]
        start = time.monotonic()
        for k in todo:
            record = self._sample(system, k, warmup)
            if k not in done:
                samples.append(record)
            _tell({"inference": k, "warmup": warmup, "status": record["status"]})
        if todo:
            spec = self._spec
            windows.append(
                {"name": name, "config": spec.config, "backend": spec.backend, "block": spec.id,
                 "start_s": start, "end_s": time.monotonic()}
            )  # fmt: skip

    def _sample(self, system: System, inference: int, warmup: bool) -> Dict[str, Any]:
        path = self._image(inference, warmup)
        started = time.monotonic()
        if self._unreached >= GIVE_UP_AFTER:
            error = ServerError("the server was gone for %d samples before" % self._unreached)
            return self._failed(inference, warmup, started, error)
        try:
            outcome = system.run(path)
        except (SplitwattError, MemoryError) as error:
            gone = isinstance(error, ServerError) and not self._client.reachable
            self._unreached = self._unreached + 1 if gone else 0
            return self._failed(inference, warmup, started, error)
        self._unreached = 0
        return self._ok(inference, warmup, started, outcome)

    def _ok(self, inference: int, warmup: bool, started: float, outcome: Outcome) -> Dict[str, Any]:
        requests = finished(outcome.requests, outcome.payloads)
        sent = bool(requests)
        charge = self._published if sent else None
        return self._record(
            inference, warmup, started,
            status=OK,
            total_s=outcome.total_s,
            stages=outcome.stages,
            payload_bytes=sum(r.payload_bytes for r in requests) if sent else None,
            wire_up_bytes=sum(r.wire_up_bytes for r in requests) if sent else None,
            wire_down_bytes=sum(r.wire_down_bytes for r in requests) if sent else None,
            requests=requests,
            published_payload_bytes=charge.bytes if charge else None,
            published_payload_source=charge.source if charge else None,
        )  # fmt: skip

    def _failed(
        self, inference: int, warmup: bool, started: float, error: BaseException
    ) -> Dict[str, Any]:
        failed_by = "engine"
        if isinstance(error, ImageError):
            failed_by = "image"
        elif isinstance(error, ServerError):
            failed_by = "server"
        reason = str(error) or type(error).__name__
        return self._record(inference, warmup, started, reason=reason, failed_by=failed_by)

    def _fail_all(self, samples: Appender, error: SplitwattError) -> None:
        for warmup, count, done in (
            (True, self._config.warmup, self._warmups_done),
            (False, self._config.inferences, self._inferences_done),
        ):
            for k in range(count):
                if k not in done:
                    samples.append(self._failed(k, warmup, time.monotonic(), error))
                _tell({"inference": k, "warmup": warmup, "status": FAILED})

    def _record(
        self, inference: int, warmup: bool, started: float, **values: Any
    ) -> Dict[str, Any]:
        return failed_record(
            self._spec, inference, warmup, self._image(inference, warmup), started, **values
        )

    def _image(self, inference: int, warmup: bool) -> str:
        repeat = 0 if warmup else self._spec.repeat
        return self._images[image_of(inference, repeat, self._config.inferences, len(self._images))]


def failed_record(
    spec: Spec, inference: int, warmup: bool, image: str, started: float, **values: Any
) -> Dict[str, Any]:
    """A line of samples.jsonl: of a failed sample, but for the `values` given."""
    sample = Sample(
        config=spec.config,
        image=os.path.basename(image),
        repeat=spec.repeat,
        inference=inference,
        backend=spec.backend,
        block=spec.id,
        warmup=warmup,
        status=FAILED,
        reason=None,
        failed_by=None,
        total_s=None,
        stages={},
        payload_bytes=None,
        wire_up_bytes=None,
        wire_down_bytes=None,
        requests=[],
        published_payload_bytes=None,
        published_payload_source=None,
        started_monotonic_s=started,
    )._replace(**values)
    record = dict(sample._asdict())
    record["requests"] = [dict(request._asdict()) for request in sample.requests]
    return record


def _tell(document: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="profiler.block", description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--block", required=True)
    parser.add_argument("--bundles", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--retry-before", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--server", default="http://127.0.0.1:9")
    parser.add_argument("--token-file")
    parser.add_argument("--cert")
    parser.add_argument("--fingerprint")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S)
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> int:
    """Run a block; exit code 0, or 3 where the run cannot go on."""
    options = _arguments(argv)
    try:
        die_with_parent(options.parent)
        folder = RunFolder(options.run)
        document = folder.document()
        config = from_document(document["config"], "run.json")
        spec = next(Spec(**row) for row in document["blocks"] if row["id"] == options.block)
        images = [
            os.path.join(document["images_folder"], row["file"]) for row in document["images"]
        ]
        token = read_token(options.token_file)
        endpoint = Endpoint(options.server, token, options.cert, options.fingerprint)
        client = Client(endpoint, options.timeout)
        block = Block(folder, config, spec, images, options.retry_before)
        block.run(options.bundles, options.target, options.threads, client)
    except SplitwattError as error:
        _tell({"fatal": error.message, "remedy": error.remedy})
        return FATAL_EXIT
    except KeyboardInterrupt:
        return 130
    _tell({"process_peak_bytes": process_peak_bytes()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
