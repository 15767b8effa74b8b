"""`/v2/clock`: when the server had a request and when it answered, on its monotonic clock."""

# board: no

# For NTP's exchange, and for the rate of a link: a request may carry bytes that nobody reads, and
# ask for an answer with so many more, which are blanks.

from __future__ import annotations

import json
import time

from starlette.requests import Request
from starlette.responses import Response

from splitwatt.profiler.server.inference.refusals import Refused
from splitwatt.profiler.server.web.answers import filled
from splitwatt.profiler.server.web.body import read_body

MOST_BYTES = 1 << 20


async def clock(request: Request) -> Response:
    """GET and POST /v2/clock, with ?bytes=N for so many more bytes back."""
    await read_body(dict(request.scope["headers"]), request.receive, None)
    received_s = time.monotonic()
    asked = request.query_params.get("bytes", "0")
    known = asked.isascii() and asked.isdigit() and len(asked) <= 7
    if not known or int(asked) > MOST_BYTES:
        raise Refused(400, "'bytes' must be a number of at most %d" % MOST_BYTES)
    document = {"received_s": received_s, "sent_s": time.monotonic()}
    return filled(json.dumps(document).encode(), b" ", int(asked), "application/json")
