import contextlib
import json
import random
import struct

import pytest

from splitwatt.device_configs.errors import ServerError
from splitwatt.profiler.client.protocol import (
    Tensor,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    read_header_length,
)
from splitwatt.profiler.client.wire_times import Times, read_times, write_stages

BYTES = Tensor("bitstream", "UINT8", (5,), b"\x00\x01\xfe\xffa")
SIZES = Tensor("sizes", "INT32", (6,), struct.pack("<6i", 480, 640, 312, 416, 320, 416))


def request(**document):
    return json.dumps(document).encode()


def entry(**changes):
    tensor = {"name": "x", "shape": [2], "datatype": "INT32", "data": [1, 2]}
    tensor.update(changes)
    return {name: value for name, value in tensor.items() if value is not None}


def test_a_request_survives_the_way():
    message = encode_request([BYTES], [SIZES])
    asked = decode_request(message.body, message.header_length)
    assert asked.tensors == {"bitstream": BYTES, "sizes": SIZES}
    assert asked.binary and asked.wanted == [] and asked.id is None
    assert asked.tensors["sizes"].values() == [480, 640, 312, 416, 320, 416]


def test_a_response_survives_the_way():
    message = encode_response("m@1", [(BYTES, True), (SIZES, False)], {"stages": "a=1"}, "7")
    reply = decode_response(message.body, message.header_length)
    assert reply.tensors == {"bitstream": BYTES, "sizes": SIZES}
    assert reply.parameters == {"stages": "a=1"}
    plain = encode_response("m@1", [(SIZES, False)], {})
    assert plain.header_length is None
    assert json.loads(plain.body.decode())["outputs"][0]["data"][0] == 480


def test_json_tensors_may_nest_and_are_checked():
    nested = request(inputs=[entry(shape=[2, 2], data=[[1, 2], [3, 4]])])
    assert decode_request(nested, None).tensors["x"].values() == [1, 2, 3, 4]
    floats = request(inputs=[entry(datatype="FP32", data=[0.5, -1])])
    assert decode_request(floats, None).tensors["x"].values() == [0.5, -1.0]


def test_outputs_and_their_binary_flags():
    outputs = [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]
    asked = decode_request(request(inputs=[], outputs=outputs), None)
    assert [(w.name, w.binary) for w in asked.wanted] == [("a", True), ("b", False)]


BAD = [
    request(),
    request(inputs={}),
    request(inputs=[3]),
    request(inputs=[entry(name=None)]),
    request(inputs=[entry(name="")]),
    request(inputs=[entry(name="n" * 300)]),
    request(inputs=[entry(datatype="INT33")]),
    request(inputs=[entry(datatype="BYTES")]),
    request(inputs=[entry(datatype=["INT32"])]),
    request(inputs=[entry(shape=[-2])]),
    request(inputs=[entry(shape=[True])]),
    request(inputs=[entry(shape=[2.0])]),
    request(inputs=[entry(shape=[1 << 60])]),
    request(inputs=[entry(shape=[1] * 9)]),
    request(inputs=[entry(shape="2")]),
    request(inputs=[entry(shape=[3])]),
    request(inputs=[entry(data=[1, "2"])]),
    request(inputs=[entry(data=[1, 1 << 40])]),
    request(inputs=[entry(data=[1, 2.5])]),
    request(inputs=[entry(data=[1, None])]),
    request(inputs=[entry(data={"0": 1})]),
    request(inputs=[entry(data=None)]),
    request(inputs=[entry(datatype="FP16")]),
    request(inputs=[entry(), entry()]),
    request(inputs=[entry(parameters=[])]),
    request(inputs=[entry(parameters={"binary_data_size": 8})]),
    request(inputs=[entry(data=None, parameters={"binary_data_size": 8})]),
    request(inputs=[entry(data=None, parameters={"binary_data_size": "8"})]),
    request(inputs=[entry(data=None, parameters={"binary_data_size": -8})]),
    request(inputs=[entry(name="n%d" % n) for n in range(17)]),
    request(inputs=[], outputs=[{"name": "a"}, {"name": "a"}]),
    request(inputs=[], outputs=[{}]),
    request(inputs=[], outputs=[{"name": "a", "parameters": {"binary_data": 1}}]),
    request(inputs=[], outputs=[{"name": "a", "parameters": {"classification": 3}}]),
    request(inputs=[], parameters=3),
    request(inputs=[], parameters={"sequence_id": 1}),
    request(inputs=[], parameters={"priority": 1}),
    request(inputs=[entry(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 8})]),
    request(inputs=[], outputs=[{"name": "a", "parameters": {"shared_memory_region": "r"}}]),
    request(inputs=[], outputs=[{"name": "a", "parameters": {"shared_memory_byte_size": 8}}]),
    request(inputs=[], id=3),
    b"",
    b"[]",
    b"{",
    b"\xff",
    b"[" * 100000,
    b'{"inputs": [], "id": NaN}',
    b'{"inputs": [' + b"1" * 5000 + b"]}",
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_nonsense_is_refused_in_a_sentence(body):
    with pytest.raises(ServerError) as error:
        decode_request(body, None)
    assert len(str(error.value)) < 300


def test_binary_data_must_fit_exactly():
    message = encode_request([BYTES], [SIZES])
    body, length = message.body, message.header_length
    for damaged, said in (
        (body[:-1], length),
        (body + b"x", length),
        (body, length + 1),
        (body, None),
        (body, len(body) + 1),
    ):
        with pytest.raises(ServerError):
            decode_request(damaged, said)


def test_random_damage_never_breaks_the_decoder():
    random.seed(3)
    message = encode_request([BYTES], [SIZES])
    for _ in range(3000):
        body = bytearray(message.body)
        for _ in range(random.randint(1, 4)):
            body[random.randrange(len(body))] = random.randrange(256)
        with contextlib.suppress(ServerError):
            decode_request(bytes(body), message.header_length + random.choice([0, 0, 0, -3, 5]))


def test_the_header_with_the_length():
    assert read_header_length(None) is None
    assert read_header_length("120") == 120
    for text in ("", "-1", "1e3", "0x10", " 12", "9" * 30, "\u0661"):
        with pytest.raises(ServerError):
            read_header_length(text)


def test_stage_times_travel_to_ten_microseconds():
    text = write_stages({"decode": 0.0012345, "body": 1.5, "none": 0.0}, 2.0)
    assert text == "d=.00123 b=1.50000 none=.00000 a=2.00000"
    assert read_times(text) == Times({"decode": 0.00123, "body": 1.5, "none": 0.0}, 2.0, None)
    assert read_times("decode=1 all=3 @5.5") == Times({"decode": 1.0}, 3.0, 5.5)
    assert read_times(write_stages({}, 1.0, 123456.123454)).at_s == 123456.12345
    for bad in ("decode", "decode=", "a=nan", "a=-1", "a=inf", "1a=2", "a b=1", "@", "@x", 3, None):
        with pytest.raises(ServerError):
            read_times(bad)
    assert read_times("") == Times({}, None, None)
