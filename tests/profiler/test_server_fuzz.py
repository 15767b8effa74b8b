"""The HTTP interface under a fuzzer that reads its OpenAPI document, and under bad clients."""

import pytest
from hypothesis import HealthCheck, settings

from splitwatt.profiler.server.inference.models import Models
from splitwatt.profiler.server.inference.runner import Runner
from splitwatt.profiler.server.web.app import Server
from tests.profiler.openapi import document
from tests.profiler.test_server import MODEL, ask

schemathesis = pytest.importorskip("schemathesis")
# What the server says of itself, with a model that is there among those that are not.
DOCUMENT = document("0")
for path in DOCUMENT["paths"].values():
    for operation in path.values():
        for parameter in operation.get("parameters", []):
            known = [MODEL, "tiny_local", "1", "2"]
            parameter["schema"] = {"anyOf": [{"enum": known}, {"type": "string"}]}
schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_it(case, server):
    response = case.call(base_url=server.url, timeout=20)
    assert response.status_code < 500 or response.status_code == 503, response.content
    if response.status_code >= 400 and case.method != "HEAD":
        assert list(response.json()) == ["error"], response.content
        assert response.headers["content-type"] == ["application/json"]
    case.validate_response(
        response,
        checks=(
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.content_type_conformance,
        ),
    )


def test_the_document_is_that_of_the_routes(server):
    assert ask(server.url, "GET", "/openapi.json")[0] == 404  # for these tests alone
    runner = Runner(Models("/nowhere", "cpu", 1))
    routes = {route.path for route in Server(runner)._routes.routes}
    runner.close()
    assert routes == set(document("0")["paths"])
