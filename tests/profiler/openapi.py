"""The server's interface as OpenAPI 3.0, for the fuzzer."""

from __future__ import annotations

from typing import Any

_ERROR = {"description": "one sentence", "content": {"application/json": {
    "schema": {"$ref": "#/components/schemas/Error"}}}}  # fmt: skip
_DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
              "FP16", "FP32", "FP64"]  # fmt: skip
_PARAMETERS = {"type": "object", "additionalProperties": True}
_NAME = {"type": "string", "minLength": 1, "maxLength": 256}
_SHAPE = {"type": "array", "maxItems": 8, "items": {"type": "integer", "minimum": 0}}

_INPUT = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": _NAME,
        "shape": _SHAPE,
        "datatype": {"type": "string", "enum": _DATATYPES},
        "parameters": {
            "type": "object",
            "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
        },
        "data": {"type": "array", "items": {}},
    },
}
_ASKED = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _NAME,
        "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "maxLength": 256},
        "parameters": {
            "type": "object",
            "properties": {
                "timeout": {"type": "integer", "minimum": 1, "description": "microseconds"},
                "binary_data_output": {"type": "boolean"},
            },
        },
        "inputs": {"type": "array", "maxItems": 16, "items": _INPUT},
        "outputs": {"type": "array", "maxItems": 16, "items": _ASKED},
    },
}
_METADATA = {
    "type": "object",
    "required": ["name", "versions", "platform", "inputs", "outputs"],
    "properties": {
        "name": _NAME,
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": {"type": "object"}},
        "outputs": {"type": "array", "items": {"type": "object"}},
        "parameters": _PARAMETERS,
    },
}
_ANSWER = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {
        "model_name": _NAME,
        "id": {"type": "string"},
        "parameters": _PARAMETERS,
        "outputs": {"type": "array", "items": _INPUT},
    },
}


def document(version: str) -> dict[str, Any]:
    """The document.

    Args:
        version: of splitwatt.
    """
    one = "/v2/models/{model}"
    paths = {
        "/v2": {"get": _operation("the server", _json({"type": "object"}))},
        "/v2/health/live": {"get": _operation("whether it runs", {"description": "it does"})},
        "/v2/health/ready": {
            "get": _operation("whether it takes requests", {"description": "it does"})
        },
        "/v2/repository/index": {
            "post": _operation("the models there are", _json({"type": "array"}))
        },
        "/v2/repository/models/{model}/load": {
            "post": _operation("load a model now", {"description": "it is loaded"}, _MODEL)
        },
        "/v2/repository/models/{model}/unload": {
            "post": _operation("let a model go", {"description": "it is not loaded"}, _MODEL)
        },
        "/v2/clock": {
            "get": _operation("the server's monotonic clock", _json(_TIMES), _BYTES),
            "post": _operation("the same for a request with bytes", _json(_TIMES), _BYTES),
        },
        "/metrics": {
            "get": _operation(
                "for Prometheus",
                {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}},
            )
        },
        **_energy(),
    }
    for path, parameters in ((one, _MODEL), (one + "/versions/{version}", [*_MODEL, *_VERSION])):
        paths[path] = {"get": _operation("a model", _json(_METADATA), parameters)}
        paths[path + "/ready"] = {
            "get": _operation("whether a model can be asked", {"description": "it can"}, parameters)
        }
        paths[path + "/infer"] = {"post": _infer(parameters)}
    return {
        "openapi": "3.0.3",
        "info": {"title": "splitwatt serve", "version": version},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                    "additionalProperties": False,
                }
            }
        },
    }


def _in_path(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}]


_BYTES = [
    {
        "name": "bytes",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "maximum": 1 << 20},
    }
]
_TIMES = {
    "type": "object",
    "required": ["received_s", "sent_s"],
    "properties": {"received_s": {"type": "number"}, "sent_s": {"type": "number"}},
}
_MODEL = _in_path("model")
_VERSION = _in_path("version")


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "it", "content": {"application/json": {"schema": schema}}}


def _operation(summary: str, found: dict[str, Any], parameters: Any = ()) -> dict[str, Any]:
    statuses = ("400", "401", "404", "408", "409", "413", "415", "431", "503")
    responses = {"200": found, **dict.fromkeys(statuses, _ERROR)}
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


def _infer(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    answer = _json(_ANSWER)
    answer["content"]["application/octet-stream"] = {"schema": _BINARY}
    operation = _operation("an inference", answer, parameters)
    operation["requestBody"] = {
        "required": True,
        "description": "JSON, or JSON and binary tensors after it, whose JSON's length is told "
        "by the header Inference-Header-Content-Length",
        "content": {
            "application/json": {"schema": _REQUEST},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
    return operation


_BINARY = {"type": "string", "format": "binary"}


def _energy() -> dict[str, Any]:
    """What a board that measures energy is offered."""
    whole = _json({"type": "object"})
    zeros = {"description": "zeros", "content": {"application/octet-stream": {"schema": _BINARY}}}
    repeat = _infer([*_MODEL, *_in_path("seconds")])
    repeat["summary"] = "an inference again and again for so many seconds"
    repeat["responses"]["200"] = _json(_REPEATED)
    return {
        "/v2/splitwatt": {"get": _operation("what is offered here", _json(_OFFERS))},
        "/v2/splitwatt/echo/{bytes}": {
            "post": _operation("so many bytes back", zeros, _in_path("bytes"))
        },
        "/v2/splitwatt/repeat/{model}/{seconds}": {"post": repeat},
        "/v2/splitwatt/energy/begin": {"post": _operation("sample the server's power", whole)},
        "/v2/splitwatt/energy/end/{trace}": {
            "post": _operation("the trace of its power", whole, _in_path("trace"))
        },
    }


_OFFERS = {
    "type": "object",
    "required": ["offers"],
    "properties": {"offers": {"type": "array", "items": {"enum": ["stages", "energy"]}}},
}
_REPEATED = {
    "type": "object",
    "required": ["repetitions", "start_s", "end_s"],
    "properties": {
        "repetitions": {"type": "integer", "minimum": 1},
        "start_s": {"type": "number"},
        "end_s": {"type": "number"},
    },
}
