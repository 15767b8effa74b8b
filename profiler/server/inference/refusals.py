"""Errors as the protocol's object: a status, one sentence, and when to come back."""

import json
import logging
import re
from typing import Any

from starlette.responses import Response

from splitwatt.device_configs.errors import BitstreamError, ServerError, SplitwattError
from splitwatt.profiler.server.inference.models import UnknownModelError

log = logging.getLogger("splitwatt.server")
# A path, absolute or not, in quotes or brackets or neither; its last name is kept.
_PATH = re.compile(r"[^\s'\"()<>,;:=]*/([^\s'\"()<>,;:=/]*)")
STATUS_OF = {
    404: "there is nothing at this address",
    405: "this method is not supported here",
}


class Refused(Exception):  # noqa: N818  (not an error of ours: an answer)
    """A request is answered with a status and one sentence; a 503 says when to try again, s."""

    def __init__(self, status: int, sentence: str, retry_after_s: int = 1) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after_s = retry_after_s


def stopped() -> Response:
    """The answer for a request that the end of the server cuts off."""
    return object_of(503, "the server stops before this request could run")


def refusal(error: Exception, what: str) -> Response:
    """The answer for whatever a handler raised.

    Args:
        error: a known kind is reported as it is, without this machine's folders; any other is
            logged, and the answer says only that the server failed.
        what: was asked, for the log: no payload, and of the client's text only the path.
    """
    if isinstance(error, Refused):
        return object_of(error.status, error.sentence, error.retry_after_s)
    if isinstance(error, UnknownModelError):
        return object_of(404, str(error))
    if isinstance(error, (ServerError, BitstreamError)):
        return object_of(400, str(error))
    if isinstance(error, SplitwattError):
        log.warning("%s: %s", what, error)
        return object_of(503, without_paths(str(error)))
    log.error("%s failed", what, exc_info=error)
    return object_of(503, "the server failed at this request (%s)" % type(error).__name__)


def object_of(status: int, sentence: str, retry_after_s: int = 1) -> Response:
    """A response with the protocol's error object."""
    headers = {"Retry-After": str(retry_after_s)} if status == 503 else {}
    return json_response({"error": sentence}, status, headers)


def json_response(
    document: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response with a JSON document."""
    return Response(json.dumps(document), status, headers=headers, media_type="application/json")


def without_paths(sentence: str) -> str:
    """A sentence without the folders of this machine, which clients need not know."""
    return _PATH.sub(r"\1", " ".join(sentence.split()))
