"""Frames through a board and a server, all stages at once, so that latency cannot grow.

Four threads and one lock: one captures into a place for a single frame, where the newest wins; one
works with the board's engines; the stream sends and receives; one probes a server that is gone. A
frame is taken when its request will be ready as the link becomes free. Where the policy has a local
model, a frame whose answer is not there in time is answered by it before the deadline.
"""

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ServerError, SplitwattError
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import Outcome
from splitwatt.engines.pipeline.pipeline import Request as BoardRequest
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.stream import Exchanged, Stream
from splitwatt.profiler.deploy.adapt import Choice, Controller
from splitwatt.profiler.deploy.policy import Policy
from splitwatt.profiler.deploy.probe import Prober
from splitwatt.profiler.deploy.runnable import Runnable
from splitwatt.profiler.deploy.sources import Frame, Source
from splitwatt.profiler.execute.block.system import of_round_trip
from splitwatt.profiler.infer.deployed import read_answer
from splitwatt.profiler.records.sample import Request

# Requests that may be on their way or at the server.
_MOST_IN_FLIGHT = 3
# Without a deadline, the longest wait for an answer, s.
_GIVE_UP_S = 30.0
# At the end, the longest wait for frames in flight, s.
_GRACE_S = 10.0
# A source that gives no frame for this time is reported, s.
_SILENT_S = 5.0
# The local model starts this many times its usual time before the deadline, because its time
# varies.
_HEDGE = 1.25
# The server answers but refuses us: an expired token, a model that it no longer has.
_NOT_FOR_US = (401, 403, 404)
# The most that two clocks may differ over a request, s.
_CLOCKS_S = 0.01
_TOO_SLOW = "the link or the server is too slow by far"


class Result:
    """A frame that was taken, and what became of it.

    Attributes:
        choice: what was chosen for the frame, and from what predictions.
        at: index of the point that answers; the choice's own, or that of the local model.
        answer: None where the frame failed.
        error: why it failed.
        started_s, ended_s: on the monotonic clock: when work on it began, when its answer was there.
        stages: seconds by name, of the point that answers.
        request: the one that was answered; None where nothing was.
        hedged: the server's answer was not there in time, and the local model gives this one.
    """

    def __init__(self, frame: Frame, choice: Choice, started_s: float) -> None:
        self.frame, self.choice = frame, choice
        self.started_s = self.ended_s = started_s
        self.at = self.index = choice.at or 0  # `index` stays: the point whose request is sent
        self.answer: Optional[Answer] = None
        self.error: Optional[str] = None
        self.stages: Dict[str, float] = {}
        self.request: Optional[Request] = None
        self.hedged = self.answered = False
        self.payload_bytes = 0
        self.failed: Optional[str] = None  # why the server will not answer it
        self.submitted_s = self.expected_s = started_s  # when its answer is expected
        self.hedge_at_s: Optional[float] = None

    @property
    def latency_s(self) -> float:
        """From its capture to its answer."""
        return self.ended_s - self.frame.captured_s


class Counts:
    """Frames by what became of them."""

    def __init__(self) -> None:
        self.captured = self.answered = self.failed = self.hedged = 0
        self.dropped_for_newer = self.dropped_late = self.dropped_without_server = 0
        self.switches = self.in_time = 0

    @property
    def dropped(self) -> int:
        """All that were dropped."""
        return self.dropped_for_newer + self.dropped_late + self.dropped_without_server

    def to_json(self) -> Dict[str, int]:
        """Name -> count."""
        return dict(vars(self))


class Flow:
    """Runs a source's frames until it ends or `stop` is called.

    `sink` is called with each result, in the thread that has it; without an endpoint no point needs the
    server.
    """

    def __init__(
        self,
        policy: Policy,
        points: List[Runnable],
        endpoint: Optional[Endpoint],
        sink: Callable[[Result], None],
    ) -> None:
        self.counts = Counts()
        self.fastest_s: Optional[float] = None  # of the answers so far
        self.controller = Controller(
            [p.point for p in points], [p.local for p in points], policy.deadline_s
        )
        self._points, self._sink = points, sink
        self._deadline_s = policy.deadline_s
        self._changed = threading.Condition()
        self._slot: Optional[Frame] = None
        self._flying: List[Result] = []
        self._ended = False
        self._link_free_s = 0.0
        self._last: Optional[int] = None
        self._error: Optional[BaseException] = None
        self._client: Optional[Client] = None
        self._stream: Optional[Stream] = None
        self._prober: Optional[Prober] = None
        if endpoint is not None:
            timeout_s = min(5.0, policy.deadline_s or 5.0)
            self._client = Client(endpoint)
            self._prober = Prober(endpoint, [p for p in points if not p.local], self)
            self._prober.meet(any(p.local for p in points), self._client)
            self._stream = Stream(endpoint, timeout_s, self._exchanged)

    def run(self, source: Source) -> None:
        """Run until the source ends or `stop` is called, and what was begun is answered.

        Raises:
            SplitwattError: the source or an engine failed.
        """
        self._warm_up(decode_image(default_photos()[0]))
        self._check_deadline()
        capture = threading.Thread(target=self._capture, args=(source,), daemon=True)
        capture.start()
        if self._prober is not None:
            self._prober.start()
        try:
            self._work(source)
        finally:
            source.stopped = True
            for part in (self._prober, self._stream, self._client):
                if part is not None:
                    part.close()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Take no more frames; may be called by a signal's handler."""
        self._ended = True

    def update(self, change: Callable[[Controller], Any]) -> Any:
        """Change the controller while nothing else reads it."""
        with self._changed:
            result = change(self.controller)
            self._changed.notify_all()
            return result

    def _capture(self, source: Source) -> None:
        try:
            for frame in source.frames():
                with self._changed:
                    while not source.live and self._slot is not None and not self._ended:
                        self._changed.wait(0.2)
                    if self._ended:
                        return
                    self.counts.captured += 1
                    self.counts.dropped_for_newer += self._slot is not None
                    if not source.live:  # it waited, and counts from now on
                        frame = frame._replace(captured_s=time.monotonic())
                    self._slot = frame
                    self._changed.notify_all()
        except BaseException as error:  # raised by the thread that works
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _work(self, source: Source) -> None:
        """What the board's engines do, one thing at a time."""
        ended_s: Optional[float] = None
        last_frame_s = time.monotonic()
        while True:
            frame: Optional[Frame] = None
            with self._changed:
                now = time.monotonic()
                if self._ended and ended_s is None:
                    ended_s = now
                if ended_s is not None and self._slot is None and not self._flying:
                    return
                if ended_s is not None and now > ended_s + _GRACE_S:
                    return
                due = (j for j in self._flying if j.hedge_at_s is not None and j.hedge_at_s <= now)
                late = next(due, None)
                if late is not None:
                    late.hedge_at_s = None
                wait_s = self._ready_in(now)
                if late is None and self._slot is not None and wait_s <= 0:
                    frame, self._slot = self._slot, None
                    self._changed.notify_all()
                elif late is None:
                    until = [0.2, wait_s if self._slot is not None else 0.2]
                    until += [j.hedge_at_s - now for j in self._flying if j.hedge_at_s is not None]
                    self._changed.wait(max(0.001, min(until)))
            if late is not None:
                self._hedge(late)
            elif frame is not None:
                last_frame_s = time.monotonic()
                self._frame(frame)
            elif time.monotonic() - last_frame_s > _SILENT_S and source.live:
                note("%s has given no frame for %g s" % (source.shown, _SILENT_S))
                last_frame_s = time.monotonic() + 60.0

    def _ready_in(self, now: float) -> float:
        """Seconds until a frame should be taken: its request is to be ready when the link is."""
        flying = [job for job in self._flying if not job.answered]  # others were late, and hedged
        if not flying or self._stream is None or self.controller.answers_here:
            return 0.0
        if len(flying) >= _MOST_IN_FLIGHT:
            return 0.2
        free_s = self._link_free_s if self._stream.sending else now
        if len(flying) >= _MOST_IN_FLIGHT - 1:
            free_s = max(free_s, flying[0].expected_s)
        return free_s - now - self.controller.board[flying[-1].index].value

    def _frame(self, frame: Frame) -> None:
        """Choose for a frame, and answer it or send its request."""
        now = time.monotonic()
        with self._changed:
            age_s = now - frame.captured_s
            if self._deadline_s is not None and age_s > self._deadline_s:
                self.counts.dropped_late += 1
                return
            busy_s = self._link_free_s - now if self._flying else 0.0
            server_s = self._flying[-1].expected_s - now if self._flying else 0.0
            choice = self.controller.choose(now, age_s, (max(0.0, busy_s), max(0.0, server_s)))
            if choice.at is None:
                self.counts.dropped_without_server += 1
                return
            if self._last is not None and self._last != choice.at:
                self.counts.switches += 1
            self._last = choice.at
        job = Result(frame, choice, now)
        if self._points[job.index].local:
            self._answer_here(job, job.index, False)
        else:
            self._send(job)

    def _send(self, job: Result) -> None:
        assert self._stream is not None  # for the type checker
        try:
            request, data = self._request(job.index, job.frame.rgb)
        except SplitwattError as error:
            self._emit(job, str(error))
            return
        job.stages, job.payload_bytes = dict(request.stages), len(request.payload)
        now = time.monotonic()
        with self._changed:
            control = self.controller
            control.board[job.index].add(now - job.started_s)
            control.bytes[job.index].add(len(data))
            job.submitted_s = now
            sends_s = max(now, self._link_free_s) if self._flying else now
            self._link_free_s = sends_s + control.carry_s(len(data))
            last_s = self._flying[-1].expected_s if self._flying else 0.0
            job.expected_s = max(self._link_free_s, last_s) + control.server[job.index].value
            job.hedge_at_s = self._hedge_at(job)
            self._flying.append(job)
        self._stream.submit(job, data)

    def _request(self, index: int, rgb: np.ndarray) -> Tuple[BoardRequest, bytes]:
        """A frame's request by a point that needs the server, and the HTTP request that carries it."""
        point = self._points[index]
        assert self._client is not None  # for the type checker
        request = point.pipeline.run(rgb)
        assert isinstance(request, BoardRequest)  # for the type checker
        sizes = request.sizes.tolist()
        return request, self._client.request(point.model, request.payload, sizes)

    def _hedge_at(self, job: Result) -> Optional[float]:
        """When the local model must begin, to answer in time; without one, when to give up."""
        local = self._local()
        if self._deadline_s is None or local is None:
            return job.frame.captured_s + max(_GIVE_UP_S, 3 * (self._deadline_s or 0.0))
        board = self.controller.board
        before_s = _HEDGE * board[local].value + board[job.index].value
        return max(job.submitted_s, job.frame.captured_s + self._deadline_s - before_s)

    def _local(self) -> Optional[int]:
        """The best local point that is in time, or else the fastest; None without any."""
        local = [i for i, p in enumerate(self._points) if p.local]
        limit_s = 0.5 * (self._deadline_s or 0.0)
        board = self.controller.board
        quick = [i for i in local if board[i].value <= limit_s]
        able = quick or sorted(local, key=lambda i: board[i].value)
        return able[0] if able else None

    def _hedge(self, job: Result) -> None:
        """Answer a frame here whose server's answer is missing, and learn from that."""
        assert self._stream is not None  # for the type checker
        if job.failed or self._stream.cancel(job):
            with self._changed:
                self._flying.remove(job)
        else:
            self._wait_for(job, self._stream)
        with self._changed:
            if job.answered:
                return
            job.answered = True
        local = self._local()
        if local is None:
            self._emit(job, job.failed or "the server gave no answer in time")
        else:
            self._answer_here(job, local, True)

    def _wait_for(self, job: Result, stream: Stream) -> None:
        """Let a request go on although its answer will be late; drop it if it would never end."""
        limit_s = 2 * (self._deadline_s or _GIVE_UP_S)
        progress = stream.progress()
        with self._changed:
            since_s = time.monotonic() - job.submitted_s
            if progress is not None and progress[0] is job:
                self.controller.saw_progress(progress[1])
                size = self.controller.bytes[job.index].value
                stuck = self.controller.carry_s(size) > limit_s
            else:
                self.controller.server[job.index].add(since_s)
                stuck = since_s > limit_s
            job.hedge_at_s = time.monotonic() + limit_s
        if stuck:
            stream.abort(_TOO_SLOW)

    def _answer_here(self, job: Result, index: int, hedged: bool) -> None:
        job.at, job.hedged = index, hedged
        started_s = time.monotonic()
        try:
            outcome = self._points[index].pipeline.run(job.frame.rgb)
        except SplitwattError as error:
            job.stages = {}
            self._emit(job, str(error))
            return
        assert isinstance(outcome, Outcome)  # for the type checker
        with self._changed:
            self.controller.board[index].add(time.monotonic() - started_s)
        if hedged:
            job.started_s = started_s
        job.payload_bytes, job.stages = len(outcome.payload or b""), outcome.stages
        self._emit(job, None, outcome.answer)

    def _exchanged(self, one: Exchanged) -> None:
        """A request has ended; called by the stream's thread."""
        job: Result = one.tag
        try:
            assert self._client is not None  # for the type checker
            if one.answer is None:
                raise one.error or ServerError("the server is gone")
            packed, times = self._client.read_answer(one.answer)
            answer = read_answer(packed, self._points[job.index].bundle.manifest)
            sent_s = one.sent_s or one.received_s
            trip_s = one.received_s - sent_s
            server_s, known_s = times.total_s, sum(times.stages.values())
            if max(server_s or 0.0, known_s) > 1.05 * trip_s + _CLOCKS_S:
                raise ServerError(
                    "the server says that it worked for %.3g s on a request that was answered after %.3g s"
                    % (max(server_s or 0.0, known_s), trip_s)
                )
        except SplitwattError as error:
            self._without_answer(job, one, error)
            return
        with self._changed:
            if job in self._flying:
                self._flying.remove(job)
            way_s = (one.acknowledged_s or one.received_s) - sent_s
            if server_s is not None:  # an acknowledgement may be delayed
                way_s = min(way_s, max(1e-5, trip_s - server_s))
            there_s = max(0.0, trip_s - way_s)
            self.controller.saw_transfer(job.index, one.up_bytes, way_s, there_s)
            first = not job.answered
            job.answered = True
            self._changed.notify_all()
        if not first:
            return
        job.stages = dict(job.stages, **of_round_trip(times.stages, server_s, trip_s))
        sent = Request(
            self._points[job.index].model, job.payload_bytes, one.up_bytes, one.down_bytes, None, 1,
            one.sent_s, one.received_s, times.at_s, None,
        )  # fmt: skip
        self._emit(job, None, answer, sent)

    def _without_answer(self, job: Result, one: Exchanged, error: SplitwattError) -> None:
        gone = one.answer is None or one.answer.status in _NOT_FOR_US
        with self._changed:
            if job in self._flying:
                self._flying.remove(job)
            if gone and _TOO_SLOW not in str(error):
                self.controller.lost()
            there = job.answered
            if not there and self._local() is not None and self._deadline_s is not None:
                job.hedge_at_s, job.failed = 0.0, str(error)  # at once
                self._flying.insert(0, job)
                there = True
            job.answered = job.answered or not there
            self._changed.notify_all()
        if self._prober is not None and gone:
            self._prober.wake(str(error))
        if not there:
            self._emit(job, str(error))

    def _emit(
        self, job: Result, error: Optional[str], answer: Optional[Answer] = None,
        sent: Optional[Request] = None,
    ) -> None:  # fmt: skip
        job.answer, job.error, job.request = answer, error, sent
        job.ended_s = time.monotonic()
        with self._changed:
            if error is None:
                self.counts.answered += 1
                self.fastest_s = min(job.latency_s, self.fastest_s or job.latency_s)
                self.counts.hedged += job.hedged
                late = self._deadline_s is not None and job.latency_s > self._deadline_s
                self.counts.in_time += not late
            else:
                self.counts.failed += 1
        self._sink(job)

    def _check_deadline(self) -> None:
        """Say by how much the fastest configuration is expected to miss the deadline, if it is."""
        control, deadline_s = self.controller, self._deadline_s
        fastest_s, name = min(
            (control.predicted_s(i), one.point.config) for i, one in enumerate(self._points)
        )
        if deadline_s is not None and fastest_s > deadline_s:
            note(
                "no configuration is expected to meet the deadline of %g ms: the fastest, %s, takes "
                "about %.0f ms, %.0f ms too long"
                % (1000 * deadline_s, name, 1000 * fastest_s, 1000 * (fastest_s - deadline_s))
            )

    def _warm_up(self, rgb: Any) -> None:
        """Run every point on a photograph, which counts nowhere, to know its time and its bytes."""
        for index, point in enumerate(self._points):
            for _ in range(2):
                started_s = time.monotonic()
                if point.local:
                    point.pipeline.run(rgb)
                else:
                    self.controller.bytes[index].add(len(self._request(index, rgb)[1]))
                took_s = time.monotonic() - started_s
            self.controller.board[index].add(took_s)
