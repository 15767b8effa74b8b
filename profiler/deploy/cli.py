"""`splitwatt run`: a camera's frames through a board and a server."""

import json
import os
import queue
import re
import signal
import sys
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

from splitwatt.device_configs.cli import note, number, parser, whole
from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.engines.backends import BACKENDS
from splitwatt.profiler.client.flags import add_server_flags, endpoint_of
from splitwatt.profiler.deploy.answers import Video, line_of, picture_of
from splitwatt.profiler.deploy.flow import Flow, Result
from splitwatt.profiler.deploy.policy import Point, Policy, read_policy
from splitwatt.profiler.deploy.record import Record
from splitwatt.profiler.deploy.runnable import Runnable, Runnables
from splitwatt.profiler.deploy.sources import open_source
from splitwatt.profiler.deploy.view import View

EXAMPLE = "splitwatt run --source /dev/video0 --policy policy.yaml --server http://10.0.0.2:8080"
# Answers that wait to be written.
_WAITING = 64


def run(argv: List[str]) -> int:
    """Run frames through board and server; a line of JSON an answer."""
    arguments = parser("run", "Run a camera's or a video's frames through board and server; "
                       "print each answer as a line of JSON.", EXAMPLE,
                       "print the counts of frames as a last line of JSON, too")  # fmt: skip
    add = arguments.add_argument
    add("--source", metavar="SRC", required=True, help="a video file, a folder of images, "
        "/dev/video0, rtsp://..., or a GStreamer pipeline that ends in appsink")  # fmt: skip
    add("--bundle", metavar="DIR", help="the bundle to run on every frame")
    add("--policy", metavar="FILE", help="the configurations to choose from, as 'splitwatt choose' "
        "writes them")  # fmt: skip
    add("--backend", help="backend of the bundle's board parts (default: cpu)")
    add("--fps", type=number(0.001, 1000), help="frames per second at most (default: the source's)")
    add("--save", metavar="FILE.mp4", help="also write a video with the answers drawn")
    add("--view", nargs="?", type=whole(0, 65535), const=8090, metavar="PORT",
        help="also serve a page with the live picture on 127.0.0.1 (default port: 8090)")  # fmt: skip
    add("--out", metavar="RUN", help="also write a run folder, for check, report and whatif")
    add_server_flags(arguments, backend=False)
    options = arguments.parse_args(argv)
    policy = _policy(options)

    endpoint = endpoint_of(options)
    with ExitStack() as opened:
        source = opened.enter_context(closing(open_source(options.source, options.fps)))
        video = Video(options.save, source.fps) if options.save else None
        points = opened.enter_context(Runnables(policy, endpoint is not None)).points
        needed = endpoint if any(not point.local for point in points) else None
        outlets = _Outlets(points, video)
        flow = Flow(policy, points, needed, outlets.put)
        outlets.on_error = flow.stop
        if options.out:
            record = opened.enter_context(Record(options.out, policy, points, source, needed))
            record.flow, outlets.record = flow, record
        if options.view is not None:
            view = View(options.view, points, flow.counts)
            outlets.view = opened.enter_context(closing(view))
            note("the live picture is at %s" % outlets.view.url)
        with _stopping(flow):
            outlets.start()
            try:
                flow.run(source)
            finally:
                outlets.close()
    return _end(flow, options)


def _policy(options: Any) -> Policy:
    if (options.bundle is None) == (options.policy is None):
        raise UsageError("give either --bundle or --policy", "example: " + EXAMPLE)
    if options.policy is not None:
        if options.backend is not None:
            raise UsageError("--backend is for --bundle: a policy names its backends")
        return read_policy(options.policy)
    backend = options.backend or "cpu"
    check_known("backend", backend, BACKENDS)
    # As a config's ids are, so that --out can record it: ladon_r50@5.12 is ladon_r50-5-12.
    name = re.sub("[^A-Za-z0-9_-]", "-", os.path.basename(os.path.normpath(options.bundle)))
    return Policy((Point(name.lstrip("0123456789_-")[:32] or "bundle", options.bundle, backend),))


def _end(flow: Flow, options: Any) -> int:
    counts: Dict[str, int] = flow.counts.to_json()
    if options.json:
        print(json.dumps({"summary": counts}), flush=True)
    else:
        dropped = ["%s %d" % (name[8:].replace("_", " "), count)
                   for name, count in counts.items() if name.startswith("dropped")]  # fmt: skip
        text = "%d frames, %d answered, %d failed; dropped: %s" % (
            counts["captured"], counts["answered"], counts["failed"], ", ".join(dropped)
        )  # fmt: skip
        if flow.controller.deadline_s is not None:
            text += "; %d within %g ms, %d by the local model in place of a late server" % (
                counts["in_time"], 1000 * flow.controller.deadline_s, counts["hedged"]
            )  # fmt: skip
            if flow.fastest_s is not None and not counts["in_time"]:
                text += "; the fastest answer took %.0f ms" % (1000 * flow.fastest_s)
        note(text)
    return 1 if counts["failed"] or not counts["answered"] else 0


@contextmanager
def _stopping(flow: Flow) -> Iterator[None]:
    """Inside it, SIGINT and SIGTERM end the flow in order, and a second signal ends it at once."""
    before: Dict[int, Any] = {}

    def restore() -> None:
        for number_, handler in before.items():
            signal.signal(number_, handler)

    def stop(received: int, frame: Any) -> None:
        flow.stop()
        restore()

    for number_ in (signal.SIGINT, signal.SIGTERM):
        before[number_] = signal.signal(number_, stop)
    try:
        yield
    finally:
        restore()


class _Outlets:
    """Writes results in a thread of its own; a bounded number of them waits.

    `on_error` is called when something could not be written: nobody would see further answers.
    """

    def __init__(self, points: List[Runnable], video: Optional[Video]) -> None:
        self.view: Optional[View] = None
        self.record: Optional[Record] = None
        self.on_error: Callable[[], None] = lambda: None
        self._points, self._video = points, video
        self._queue: "queue.Queue[Optional[Result]]" = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Optional[BaseException] = None

    def start(self) -> None:
        self._thread.start()

    def put(self, result: Result) -> None:
        if self._error is None:
            self._queue.put(result)

    def close(self) -> None:
        """Write the waiting results.

        Raises:
            SplitwattError: something could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        if self._video is not None:
            self._video.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            result = self._queue.get()
            if result is None:
                return
            if self._error is None:
                try:
                    self._write(result)
                except BaseException as error:  # raised by the thread that closes
                    self._error = error
                    self.on_error()

    def _write(self, result: Result) -> None:
        sys.stdout.write(json.dumps(line_of(result, self._points), allow_nan=False) + "\n")
        sys.stdout.flush()
        if self.record is not None:
            self.record.add(result)
        if self.view is not None:
            self.view.put(result)
        if self._video is not None:
            self._video.add(result.frame.captured_s, picture_of(result, self._points))
