"""Measures again where the machine stopped in a measurement: its own records, or a clock, say so."""

import csv
import glob
import os
import threading
import time

# A thread that sleeps for some milliseconds and wakes later than this, s, was stopped.
_LATE_S = 0.05
# What takes longer between two samples of a trace than this, s, leaves them apart.
_HOLE_S = 0.1
_TRIES = 8


class StalledError(Exception):
    """The records say that the machine stopped in a measurement."""


class _Watch(object):
    """How late a thread that sleeps woke at worst, s."""

    def __init__(self):
        self.late_s = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        last = time.monotonic()
        while not self._end.wait(0.005):
            now = time.monotonic()
            self.late_s, last = max(self.late_s, now - last - 0.005), now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._thread.join()


def undisturbed(measure):
    """What `measure(n)` of the n-th try returns, of the first try in which the machine did not stop.

    A try is repeated where it raises `StalledError`, and where it fails while a clock saw a stop.
    """
    for n in range(_TRIES):
        with _Watch() as watch:
            try:
                return measure(n)
            except StalledError as error:
                reason = error
            except AssertionError as error:
                if watch.late_s < _LATE_S:
                    raise
                reason = error
    raise AssertionError("the machine stopped in each of %d tries: %s" % (_TRIES, reason))


def check_times(times):
    """Raise `StalledError` where two samples of a trace are too far apart."""
    if any(later - at > _HOLE_S for at, later in zip(times, times[1:])):
        raise StalledError()


def check_output(text):
    """Raise `StalledError` where a command refuses joules because a sampler was stopped."""
    if "were not measured" in text:
        raise StalledError(text)


def check_traces(run):
    """Raise `StalledError` where a sampler of a run's power was stopped: it left a row empty."""
    for path in glob.glob(os.path.join(str(run), "power", "*.csv")):
        with open(path) as stream:
            rows = list(csv.reader(stream))
        if any(not all(row) for row in rows[1:]):
            raise StalledError()
