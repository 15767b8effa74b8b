"""A bounded queue before a few threads: each accepted job is answered once, also one that is too late."""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Any

from splitwatt.profiler.server.inference.refusals import Refused

log = logging.getLogger("splitwatt.server")

# How much the latest job weighs in the mean that gives Retry-After.
_LATEST = 0.2


class Job:
    """Work for the threads, and the future that its result is put into.

    Attributes:
        key: jobs of one key may be run together; None for one that runs alone.
        queued: whether others were before it.
        wait_s: between being taken and being run.
    """

    __slots__ = ("arguments", "future", "key", "loop", "queued", "run", "taken_s", "wait_s")

    def __init__(self, run: Callable[..., Any], arguments: tuple[Any, ...], key: Hashable) -> None:
        self.run = run
        self.arguments = arguments
        self.key = key
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.queued = False
        self.taken_s = time.perf_counter()
        self.wait_s = 0.0


class Work:
    """Threads that take jobs in their order.

    Args:
        workers: threads.
        limit: jobs that may wait.
        batch: jobs of one key that are run by one call at most. It waits for no more: only jobs
            that are queued already run together.
    """

    def __init__(self, workers: int, limit: int, batch: int = 1) -> None:
        self.workers = workers
        self._limit = limit
        self._batch = batch
        self._waiting: deque[Job] = deque()
        # A token for each job: a SimpleQueue wakes a thread twice as fast as a Condition.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = workers
        self._closed = False
        self._mean_s = 0.0
        self._threads = [
            threading.Thread(target=self._serve, name="work-%d" % number, daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait now."""
        return len(self._waiting)

    def submit(self, run: Callable[..., Any], *arguments: Any, key: Hashable = None) -> Job:
        """Take a job; call it in the event loop's thread.

        Args:
            run: called as `run(*arguments)`; with a key, as `run([arguments, ...])` of one or more
                jobs with the same `run` and key, and it returns a result or an exception for each.

        Raises:
            Refused: too many wait.
        """
        job = Job(run, arguments, key)
        with self._lock:
            self.check_room()
            self._waiting.append(job)
            job.queued = len(self._waiting) > self._idle
        self._tokens.put(None)
        return job

    def check_room(self) -> None:
        """Raise Refused where too many jobs wait."""
        if len(self._waiting) >= self._limit or self._closed:
            raise Refused(
                503,
                "the server is busy: %d requests wait" % len(self._waiting),
                self._retry_after_s(),
            )

    async def result(self, job: Job, deadline_s: float | None = None) -> Any:
        """What a job returned; raises what it raised.

        Args:
            deadline_s: of time.perf_counter; a job that has not ended by then is given up, and
                where it has not begun it never runs.

        Raises:
            Refused: the deadline has passed.
        """
        timer = None
        if deadline_s is not None:
            left_s = max(0.0, deadline_s - time.perf_counter())
            timer = job.loop.call_later(left_s, self._expire, job)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._drop(job)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Run what was taken, then end the threads."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._tokens.put(None)
        for thread in self._threads:
            thread.join()

    def _drop(self, job: Job) -> None:
        """Take a job that nobody waits for out of the queue, if it has not begun."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)

    def _expire(self, job: Job) -> None:
        self._drop(job)
        if not job.future.done():
            waited_s = time.perf_counter() - job.taken_s
            sentence = "the request's deadline passed after %.0f ms" % (1e3 * waited_s)
            job.future.set_exception(Refused(503, sentence, self._retry_after_s()))

    def _retry_after_s(self) -> int:
        return max(1, math.ceil(self._mean_s * (len(self._waiting) + 1) / self.workers))

    def _serve(self) -> None:
        while True:
            self._tokens.get()
            with self._lock:
                jobs = self._next()
                if not jobs and self._closed and not self._waiting:
                    return
                self._idle -= 1
            if jobs:
                self._run(jobs)
            with self._lock:
                self._idle += 1

    def _next(self) -> list[Job]:
        """The first job and those that may run with it; none if it ran together with others before."""
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        others = [job for job in self._waiting if job.key == first.key and job.key is not None]
        others = others[: self._batch - 1]
        for job in others:
            self._waiting.remove(job)
        return [first, *others]

    def _run(self, jobs: list[Job]) -> None:
        start = time.perf_counter()
        for job in jobs:
            job.wait_s = start - job.taken_s
        first = jobs[0]
        try:
            arguments = first.arguments if first.key is None else ([j.arguments for j in jobs],)
            result = first.run(*arguments)
            results = [result] if first.key is None else result
        except BaseException as error:  # whatever it is, those that wait for the job get it
            results = [error] * len(jobs)
        took_s = (time.perf_counter() - start) / len(jobs)
        self._mean_s += (_LATEST if self._mean_s else 1.0) * (took_s - self._mean_s)
        try:
            first.loop.call_soon_threadsafe(_deliver, jobs, results)
        except RuntimeError:  # the event loop has ended: nobody waits
            log.warning("nobody waited for %d answers", len(jobs))


def _deliver(jobs: list[Job], results: list[Any]) -> None:
    for job, result in zip(jobs, results, strict=True):
        if job.future.done():  # given up meanwhile
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
