"""Checks an ONNX file before a runtime opens it: all its data must be inside the file.

A tensor may keep its values in another file ("external data"). No hash in the manifest covers that file,
and old runtimes read it from any path. Boards have no `onnx` package, so this reads the few message
types that can hold a tensor and skips all others.
"""

import mmap
import os
from typing import Any, Dict, Tuple

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.input.small_files import open_regular

# Message type -> field number -> type of the message there, as onnx.proto numbers them.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(8)
_MESSAGES: Dict[int, Dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_NODE_OPERATOR = 4
# onnxruntime's operator for a compiled graph; its attribute may be the path of a file.
_CONTEXT_OPERATOR = b"EPContext"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100  # as in protobuf
# A large graph has about 100,000 fields, which take a second.
_MAX_FIELDS = 2 * 10**6
_REMEDY = "save the graph as one file and export the bundle again"


def check_graph_file(path: str) -> None:
    """Raise BundleError for a file that is not an ONNX file, or that keeps data in another file.

    The data may be of a tensor or a node, also of a subgraph, attribute, function or sparse tensor.
    """
    try:
        handle = open_regular(path)
        try:
            mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
        with mapped as data:
            _Walk(data, path).message(_MODEL, 0, len(data), 0)
    except OSError as error:
        raise BundleError("%s cannot be read: %s" % (path, error.strerror or error), _REMEDY)
    except ValueError:  # an empty file cannot be mapped
        raise BundleError("%s cannot be read: it is empty" % path, _REMEDY)


class _Walk:
    def __init__(self, data: Any, path: str) -> None:
        self._data = data
        self._path = path
        self._fields = 0

    def message(self, kind: int, at: int, end: int, depth: int) -> None:
        """Check the message in data[at:end]."""
        if depth > _MAX_DEPTH:
            raise self._malformed()
        inner = _MESSAGES[kind]
        data = self._data
        name = b""
        external = False
        while at < end:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise BundleError("%s has more than %d fields" % (self._path, _MAX_FIELDS), _REMEDY)
            tag, at = self._varint(at, end)
            number, wire = tag >> 3, tag & 7
            if wire == _BYTES:
                length, at = self._varint(at, end)
                start, at = at, at + length
                if at > end:
                    raise self._malformed()
                if number in inner:
                    self.message(inner[number], start, at, depth + 1)
                elif kind == _TENSOR and number == _TENSOR_NAME:
                    name = data[start : min(at, start + 60)]
                elif kind == _TENSOR and number == _EXTERNAL_DATA:
                    external = True
                elif kind == _NODE and number == _NODE_OPERATOR:
                    external = external or data[start:at] == _CONTEXT_OPERATOR
            elif wire == _VARINT:
                value, at = self._varint(at, end)
                external = external or (kind == _TENSOR and number == _DATA_LOCATION and value != 0)
            elif wire in (_FIXED64, _FIXED32):
                at += 8 if wire == _FIXED64 else 4
            else:
                raise self._malformed()
            if at > end or tag >> 32 or number == 0:
                raise self._malformed()
        if external:
            raise BundleError(
                "%s keeps %s in another file, which no hash covers"
                % (
                    self._path,
                    "the tensor %r" % name.decode("ascii", "replace") if name else "data",
                ),
                _REMEDY,
            )

    def _varint(self, at: int, end: int) -> Tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self._data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
        raise self._malformed()

    def _malformed(self) -> BundleError:
        return BundleError("%s is not a valid ONNX file" % self._path, _REMEDY)
