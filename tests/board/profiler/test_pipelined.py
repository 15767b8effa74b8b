"""Throughput: what overlaps, what fails, what is given up."""

import time

import pytest

from splitwatt.device_configs.errors import ImageError, ServerError
from splitwatt.profiler.execute.block.pipelined import GIVE_UP_AFTER, flow
from splitwatt.profiler.execute.block.system import System

STEP_S = 0.02


class Paced(System):
    """Two requests an image; the board's part and the server's each take a time of their own."""

    def __init__(self, broken=(), gone=()):
        self.split, self.log = True, []
        self._broken, self._gone = broken, gone

    def prepare(self, path):
        if path in self._broken:
            raise ImageError("%s is damaged" % path)
        for model in ("a", "b"):
            time.sleep(STEP_S)
            self.log.append(("prepared", path, model))
            yield model, path

    def ask(self, model, request):
        if request in self._gone:
            raise ServerError("gone")
        time.sleep(STEP_S)
        self.log.append(("asked", request, model))


def test_an_image_is_prepared_while_the_one_before_is_asked_for():
    system = Paced()
    found = flow(system, ["%d.png" % n for n in range(10)])
    assert (found["pipelined"], found["images"], found["failed"]) == (True, 10, 0)
    asked = [row[1:] for row in system.log if row[0] == "asked"]
    # One after the other, every request would be answered before the next is prepared.
    order = [row[0] for row in system.log]
    assert order != ["prepared", "asked"] * 20
    ahead = [order[:n].count("prepared") - order[:n].count("asked") for n in range(1, 41)]
    assert max(ahead) >= 2
    assert asked == [("%d.png" % n, model) for n in range(10) for model in "ab"]
    assert found["images_per_s"] == pytest.approx(10 / found["duration_s"])
    # No more than a request waits: what is prepared is at most three ahead of what is answered.
    prepared = answered = 0
    for kind, _, _ in system.log:
        prepared, answered = prepared + (kind == "prepared"), answered + (kind == "asked")
        assert prepared - answered <= 3


def test_images_that_fail_are_counted():
    found = flow(Paced(broken=["1"], gone=["3"]), ["0", "1", "2", "3", "4"])
    assert (found["images"], found["failed"]) == (3, 2)


def test_a_server_that_is_gone_is_given_up():
    paths = [str(n) for n in range(50)]
    system = Paced(gone=paths)
    found = flow(system, paths)
    assert (found["images"], found["failed"]) == (0, 50)
    assert found["images_per_s"] is None
    assert len(system.log) <= 2 * (GIVE_UP_AFTER + 3)


def test_an_unforeseen_error_is_raised():
    class Broken(Paced):
        def ask(self, model, request):
            raise KeyError(model)

    with pytest.raises(KeyError):
        flow(Broken(), ["0", "1", "2"])
