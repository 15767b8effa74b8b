"""The Open Inference Protocol v2 with its binary tensor extension, encoded and decoded.

Standard library alone, shared by client and server. Everything that it decodes may be hostile: every
size is checked against the bytes that arrived before anything is made of it.
Specification: github.com/kserve/open-inference-protocol, and Triton's `binary_data` extension.
"""

import json
import struct
import zlib
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from splitwatt.device_configs.errors import ServerError
from splitwatt.device_configs.input.strict_json import parse_json

# A server that lists this extension takes `short_name(model)` in /v2/models/MODEL/infer.
SHORT_NAMES = "short_model_names"
HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ["binary_tensor_data", "model_repository", SHORT_NAMES]

# datatype -> the struct letter of an element
DATATYPES: Dict[str, str] = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b",
    "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip

# Of the JSON part of a request, tensors as JSON included; large tensors travel as binary data.
REQUEST_JSON_BYTES = 64 << 10
# Lists and objects in it. A request has some twenty; each costs the parser as much as ten numbers.
REQUEST_JSON_LISTS = 1000
# Requests that one connection may send before the first of them is answered.
MAX_PIPELINED = 16
# Of an answer: our client asks for binary data, which leaves a few hundred bytes of JSON.
RESPONSE_JSON_BYTES = 1 << 20
_MAX_TENSORS = 16
_MAX_DIMENSIONS = 8
_MAX_NAME = 256
# What is supported; a client that asks for more is refused, because its answer would not be what it
# asked for: shared memory, sequences, priorities, the classification extension.
_REQUEST_PARAMETERS = ("binary_data_output", "timeout")
_INPUT_PARAMETERS = ("binary_data_size",)
_OUTPUT_PARAMETERS = ("binary_data",)

Body = Union[bytes, memoryview]


class Tensor(NamedTuple):
    """A tensor as bytes: little-endian, C order, `datatype` as in `DATATYPES`.

    A decoded tensor's `data` is a view of the message that it came in: nothing is copied.
    """

    name: str
    datatype: str
    shape: Tuple[int, ...]
    data: Body

    def values(self) -> List[Any]:
        """The elements as Python numbers, flat."""
        return [item[0] for item in struct.iter_unpack("<" + DATATYPES[self.datatype], self.data)]


class Wanted(NamedTuple):
    """An output that a request asks for, and whether as binary data."""

    name: str
    binary: bool


class InferRequest(NamedTuple):
    """A decoded request; `wanted` is empty when it names no outputs, `binary` is then its wish.

    `timeout_s` is how long its client waits: the parameter `timeout`, in microseconds as Triton's.
    """

    id: Optional[str]
    tensors: Dict[str, Tensor]
    wanted: List[Wanted]
    binary: bool
    timeout_s: Optional[float] = None


class InferResponse(NamedTuple):
    """A decoded response: its outputs and its parameters."""

    tensors: Dict[str, Tensor]
    parameters: Dict[str, Any]


class Message(NamedTuple):
    """What goes into an HTTP body; `header_length` is None when it is JSON alone."""

    body: bytes
    header_length: Optional[int]


def encode_request(
    binary: Sequence[Tensor], plain: Sequence[Tensor] = (), say_binary: bool = True
) -> Message:
    """A request with `binary` tensors as bytes, `plain` ones as JSON; outputs wanted as bytes.

    Without `say_binary` it does not say so: our own server answers in the form that it was asked.
    """
    inputs = [_described(t, True) for t in binary] + [_described(t, False) for t in plain]
    document: Dict[str, Any] = {"inputs": inputs}
    if say_binary:
        document["parameters"] = {"binary_data_output": True}
    return _message(document, binary)


def encode_response(
    model: str,
    tensors: Sequence[Tuple[Tensor, bool]],
    parameters: Dict[str, Any],
    id: Optional[str] = None,
) -> Message:
    """A response with its outputs, each with whether it goes as binary data."""
    document: Dict[str, Any] = {"model_name": model}
    if id is not None:
        document["id"] = id
    document["parameters"] = parameters
    document["outputs"] = [_described(tensor, binary) for tensor, binary in tensors]
    return _message(document, [tensor for tensor, binary in tensors if binary])


def decode_request(body: Body, header_length: Optional[int]) -> InferRequest:
    """Read a request; `header_length` is the value of the header of that name, None without it.

    Raises:
        ServerError: it is wrong, or asks for something that is not supported, in one sentence.
    """
    document, binary = _split(body, header_length, REQUEST_JSON_BYTES, REQUEST_JSON_LISTS)
    parameters = _parameters(document, "the request", _REQUEST_PARAMETERS)
    tensors = _tensors(document, "inputs", binary, _INPUT_PARAMETERS)
    outputs = document.get("outputs", [])
    if not isinstance(outputs, list) or len(outputs) > _MAX_TENSORS:
        _refuse("'outputs' must be a list of at most %d outputs" % _MAX_TENSORS)
    default = parameters.get("binary_data_output", False)
    if not isinstance(default, bool):
        _refuse("the parameter 'binary_data_output' must be true or false")
    wanted = [_wanted(output, default) for output in outputs]
    if len({output.name for output in wanted}) != len(wanted):
        _refuse("'outputs' names an output twice")
    id = document.get("id")
    if id is not None and (not isinstance(id, str) or len(id) > _MAX_NAME):
        _refuse("'id' must be text of at most %d characters" % _MAX_NAME)
    # A request with binary data that says nothing of its outputs is answered in kind.
    own = parameters.get("binary_data_output", header_length is not None)
    timeout_us = parameters.get("timeout")
    if timeout_us is not None and not (_is_count(timeout_us) and timeout_us):
        _refuse("the parameter 'timeout' must be a number of microseconds")
    timeout_s = None if timeout_us is None else 1e-6 * timeout_us
    return InferRequest(id, tensors, wanted, own, timeout_s)


def decode_response(body: Body, header_length: Optional[int]) -> InferResponse:
    """Read a response.

    Raises:
        ServerError: it is wrong, in one sentence.
    """
    document, binary = _split(body, header_length, RESPONSE_JSON_BYTES)
    tensors = _tensors(document, "outputs", binary)
    return InferResponse(tensors, _parameters(document, "the response"))


def load_json(data: bytes, limit_bytes: int = RESPONSE_JSON_BYTES) -> Any:
    """Parse JSON from a peer, by the strict reader.

    Raises:
        ServerError: it is larger than the limit, or is not JSON.
    """
    if len(data) > limit_bytes:
        _refuse("the JSON part is larger than %d bytes" % limit_bytes)
    return parse_json(data, "the JSON part", ServerError)


def read_header_length(text: Optional[str]) -> Optional[int]:
    """The value of Inference-Header-Content-Length, None where the header is absent.

    Raises:
        ServerError: it is not a number of bytes.
    """
    if text is None:
        return None
    if not 0 < len(text) <= 12 or set(text) - set("0123456789"):
        _refuse("the header %s must be a number of bytes" % HEADER_LENGTH)
    return int(text)


def short_name(model: str) -> Optional[str]:
    """`~` and six hexadecimal digits, for slow links; None for a name that is as short."""
    short = "~%06x" % (zlib.crc32(model.encode("utf-8")) & 0xFFFFFF)
    return short if len(short) < len(model) else None


def long_names(models: Iterable[str]) -> Dict[str, str]:
    """Short name -> the one model that it means; two models with the same one have none."""
    by_short: Dict[str, List[str]] = {}
    for model in models:
        by_short.setdefault(short_name(model) or "", []).append(model)
    return {short: same[0] for short, same in by_short.items() if short and len(same) == 1}


def _message(document: Dict[str, Any], binary: Sequence[Tensor]) -> Message:
    header = _ENCODER.encode(document).encode("utf-8")
    if not binary:
        return Message(header, None)
    return Message(b"".join([header] + [tensor.data for tensor in binary]), len(header))


def _described(tensor: Tensor, binary: bool) -> Dict[str, Any]:
    shape = list(tensor.shape)
    entry: Dict[str, Any] = {"name": tensor.name, "shape": shape, "datatype": tensor.datatype}
    if binary:
        entry["parameters"] = {"binary_data_size": len(tensor.data)}
    else:
        entry["data"] = tensor.values()
    return entry


def _split(
    body: Body, header_length: Optional[int], limit_bytes: int, limit_lists: Optional[int] = None
) -> Tuple[Dict[str, Any], memoryview]:
    length = len(body) if header_length is None else header_length
    if length > len(body):
        _refuse("the JSON part is said to have %d bytes and the body has %d" % (length, len(body)))
    if length > limit_bytes:
        _refuse("the JSON part is larger than %d bytes: send tensors as binary data" % limit_bytes)
    text = bytes(body[:length])
    if limit_lists is not None and text.count(b"[") + text.count(b"{") > limit_lists:
        _refuse("the JSON part has more than %d lists and objects" % limit_lists)
    document = load_json(text, limit_bytes)
    if not isinstance(document, dict):
        _refuse("the JSON part must be an object")
    return document, memoryview(body)[length:]


def _tensors(
    document: Dict[str, Any], key: str, binary: memoryview, known: Optional[Tuple[str, ...]] = None
) -> Dict[str, Tensor]:
    entries = document.get(key)
    if not isinstance(entries, list) or len(entries) > _MAX_TENSORS:
        _refuse("'%s' must be a list of at most %d tensors" % (key, _MAX_TENSORS))
    tensors: Dict[str, Tensor] = {}
    start = 0
    for entry in entries:
        name, datatype, shape, size = _head(entry, key)
        carried = _parameters(entry, "the tensor '%s'" % name, known).get("binary_data_size")
        data: Body
        if carried is None:
            data = _from_json(name, datatype, size, entry.get("data"))
        else:
            if "data" in entry or not _is_count(carried) or carried != size:
                _refuse("the tensor '%s' of this shape and type has %d bytes" % (name, size))
            data = binary[start : start + size]
            start += size
            if start > len(binary):
                _refuse("the binary data ends inside the tensor '%s'" % name)
        if name in tensors:
            _refuse("the tensor '%s' is there twice" % name)
        tensors[name] = Tensor(name, datatype, shape, data)
    if start != len(binary):
        _refuse("%d bytes follow the last tensor" % (len(binary) - start))
    return tensors


def _head(entry: Any, key: str) -> Tuple[str, str, Tuple[int, ...], int]:
    if not isinstance(entry, dict):
        _refuse("each of '%s' must be an object" % key)
    name, datatype = entry.get("name"), entry.get("datatype")
    shape: Any = entry.get("shape")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        _refuse("a tensor's 'name' must be text of at most %d characters" % _MAX_NAME)
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        _refuse("the tensor '%s' must have a datatype of %s" % (name, ", ".join(DATATYPES)))
    few = isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS and all(map(_is_count, shape))
    if not few:
        _refuse("the tensor '%s' must have a shape of at most %d sizes" % (name, _MAX_DIMENSIONS))
    size = struct.calcsize(DATATYPES[datatype])
    for dimension in shape:
        size *= dimension
    return name, datatype, tuple(shape), size


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _from_json(name: str, datatype: str, size: int, data: Any) -> bytes:
    letter = DATATYPES[datatype]
    if datatype == "FP16" or not isinstance(data, list):  # it has no JSON form
        _refuse("the tensor '%s' has neither 'data' nor a 'binary_data_size'" % name)
    flat = list(_flat(data))
    count = size // struct.calcsize(letter)
    if len(flat) != count:
        _refuse("the tensor '%s' has %d elements, its shape %d" % (name, len(flat), count))
    try:
        return struct.pack("<%d%s" % (count, letter), *flat)
    except (struct.error, OverflowError):
        _refuse("the tensor '%s' holds values that are not %s" % (name, datatype))


def _flat(data: List[Any]) -> Iterator[Any]:
    """The items of nested lists; the JSON parser has bounded their depth."""
    for item in data:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _parameters(
    entry: Dict[str, Any], whose: str, known: Optional[Tuple[str, ...]] = None
) -> Dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        _refuse("'parameters' of %s must be an object" % whose)
    for name in parameters:
        if known is not None and name not in known:
            _refuse(
                "the parameter '%s' of %s is not supported; known: %s"
                % (name[:_MAX_NAME], whose, ", ".join(known))
            )
    return parameters


def _wanted(output: Any, default: bool) -> Wanted:
    if not isinstance(output, dict) or not isinstance(output.get("name"), str):
        _refuse("each of 'outputs' must be an object with a 'name'")
    whose = "the output '%s'" % output["name"][:_MAX_NAME]
    parameters = _parameters(output, whose, _OUTPUT_PARAMETERS)
    binary = parameters.get("binary_data", default)
    if not isinstance(binary, bool):
        _refuse("the parameter 'binary_data' of %s must be true or false" % whose)
    return Wanted(output["name"], binary)


def _refuse(sentence: str) -> NoReturn:
    raise ServerError(sentence)


# Made once: making it costs as much as encoding a message.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
