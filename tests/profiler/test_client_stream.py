"""Requests over one connection without waiting in between, against a real server process."""

import queue
import socket
import threading
import time

import pytest

from splitwatt.device_configs.errors import ServerError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.stream import Stream, parse


@pytest.fixture(scope="module")
def requests(tiny):
    with BoardPipeline(Bundle.open(str(tiny / "cpu" / "tiny@1"), "board")) as board:
        return [board.run(decode_image(path)) for path in default_photos()]


def test_answers_come_in_order_and_are_those_of_single_requests(server, requests):
    done: queue.Queue = queue.Queue()
    with Client(Endpoint(server.url)) as client:
        client.load("tiny@1")
        bodies = [(r.payload, r.sizes.tolist()) for r in requests]
        alone = [client.infer("tiny@1", *body).answer for body in bodies]
        stream = Stream(Endpoint(server.url), 5.0, done.put)
        try:
            for number, body in enumerate(bodies * 5):
                stream.submit(number, client.request("tiny@1", *body))
            ended = [done.get(timeout=30) for _ in bodies * 5]
        finally:
            stream.close()
        assert [one.tag for one in ended] == list(range(5 * len(bodies)))
        for one in ended:
            packed, times = client.read_answer(one.answer)
            assert packed == alone[one.tag % len(bodies)] and times.total_s > 0
            assert one.sent_s <= one.acknowledged_s <= one.received_s
            expected = len(client.request("tiny@1", *bodies[one.tag % len(bodies)]))
            assert one.up_bytes == expected and one.down_bytes > len(packed)


def test_a_server_that_goes_fails_what_is_in_flight_and_the_next_request_connects_again():
    listener = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d" % listener.getsockname()[1]
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"

    def serve():
        for _ in range(2):
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.sendall(answer)
            time.sleep(0.2)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    done: queue.Queue = queue.Queue()
    stream = Stream(Endpoint(url), 5.0, done.put)
    try:
        stream.submit(0, b"GET / HTTP/1.1\r\n\r\n")
        first = done.get(timeout=10)
        assert first.answer.body == b"0\r\n\r\n" and first.down_bytes == len(answer)
        stream.submit(1, b"GET / HTTP/1.1\r\n\r\n")
        second = done.get(timeout=10)
        assert second.answer is None and "cannot be reached" in str(second.error)
        stream.submit(2, b"GET / HTTP/1.1\r\n\r\n")
        assert done.get(timeout=10).answer.status == 200
    finally:
        stream.close()
        listener.close()


def test_every_beginning_of_an_answer_is_incomplete():
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    assert all(isinstance(parse(whole[:size]), int) for size in range(len(whole)))
    answer, size, last = parse(whole + b"HTTP/1.1 200")
    assert (answer.body, size, last) == (b"hello", len(whole), False)


def test_an_interim_answer_is_followed_by_the_answer():
    whole = b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    assert all(isinstance(parse(whole[:size]), int) for size in range(len(whole)))
    answer, size, _ = parse(whole)
    assert (answer.status, answer.body, size) == (200, b"x", len(whole))


def test_a_large_answer_is_looked_at_again_when_it_is_there():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    assert parse(head + bytes(10)) == len(head) + 1000000


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,  # each piece of it was once looked at again
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    ],
)
def test_an_answer_without_an_end_is_refused(data):
    with pytest.raises(ServerError):
        parse(data)


def test_an_abort_drops_what_is_not_sent_yet():
    listener = socket.create_server(("127.0.0.1", 0))  # nobody reads
    done: queue.Queue = queue.Queue()
    stream = Stream(Endpoint("http://127.0.0.1:%d" % listener.getsockname()[1]), 5.0, done.put)
    try:
        stream.submit("long", b"x" * (64 << 20))
        stream.submit("next", b"y")
        time.sleep(0.3)
        assert stream.progress()[0] == "long" and stream.progress()[1] > 0
        assert stream.cancel("next") and not stream.cancel("long")
        stream.abort("too slow")
        ended = done.get(timeout=10)
        assert ended.tag == "long" and "too slow" in str(ended.error) and done.empty()
    finally:
        stream.close()
        listener.close()


def test_a_request_that_is_cancelled_just_before_it_is_sent_fails_no_other():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            for line in stream:
                if line == b"\r\n":  # a request has ended
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    class Late(Stream):
        cancelled = False

        def _first(self):
            item = super()._first()
            if item is not None and item.tag == "late":  # by another thread, at this moment
                self.cancelled = self.cancel("late")
            return item

    threading.Thread(target=serve, daemon=True).start()
    done: queue.Queue = queue.Queue()
    url = "http://127.0.0.1:%d" % listener.getsockname()[1]
    stream = Late(Endpoint(url), 5.0, done.put)
    try:
        for tag in ("first", "late", "next"):
            stream.submit(tag, b"GET / HTTP/1.1\r\n\r\n")
        ended = [done.get(timeout=30) for _ in range(2)]
        assert stream.cancelled and [one.tag for one in ended] == ["first", "next"]
        assert all(one.answer is not None and one.answer.status == 200 for one in ended)
    finally:
        stream.close()
        listener.close()


@pytest.mark.parametrize("when", ["it is chosen", "the socket is waited for"])
def test_a_request_that_is_taken_back_at_the_last_moment_is_not_sent(when):
    """As by a flow that hedges: the others keep their connection and get their own answers."""

    class Hedged(Stream):
        def _first(self):
            item = super()._first()
            if when == "it is chosen" and item is not None and item.tag == "2":
                self.cancel("2")
            return item

        def _wait(self, read, write, wait_s):
            there = super()._wait(read, write, wait_s)
            if when != "it is chosen" and write:
                self.cancel("2")
            return there

    listener, served = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        connection, _ = listener.accept()
        data = b""
        while True:
            more = connection.recv(1 << 16)
            if not more:
                return
            *whole, data = (data + more).split(b"\r\n\r\n")
            for request in whole:
                served.append(request.decode())
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request)
                connection.sendall(head + request)

    threading.Thread(target=serve, daemon=True).start()
    done: queue.Queue = queue.Queue()
    stream = Hedged(Endpoint("http://127.0.0.1:%d" % listener.getsockname()[1]), 5.0, done.put)
    try:
        stream.submit("1", b"one\r\n\r\n")
        assert done.get(timeout=30).answer.body == b"one"
        stream.submit("2", b"two\r\n\r\n")
        stream.submit("3", b"three\r\n\r\n")
        ended = done.get(timeout=30)
        assert ended.tag == "3" and ended.answer.body == b"three" and done.empty()
        assert served == ["one", "three"]
    finally:
        stream.close()
        listener.close()
