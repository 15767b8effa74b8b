"""The server's own power while a block runs: begun before it, fetched after it, kept in the run."""

import base64
import json
import zlib
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import ServerError, SplitwattError
from splitwatt.device_configs.files import write_atomic
from splitwatt.energy.trace.files import metadata_path
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.remote import ENERGY, Offset, Remote
from splitwatt.profiler.records.fields import check_text, parse
from splitwatt.profiler.records.traces import TraceFacts

_LARGEST_BYTES = 512 << 20


class RemotePower:
    """The server's rails during one block; where it has none, `why_not` says why.

    The trace goes to the CSV file `path`. It is on the server's clock; its JSON has the clocks' offset
    under `clock`.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float, path: str, session: int) -> None:
        self.why_not: List[str] = []
        self.about: Optional[TraceFacts] = None
        self._path = path
        self._session = session
        self._remote = Remote(endpoint, timeout_s)
        self._trace = ""
        self._before: Optional[Offset] = None

    def begin(self) -> None:
        """Have the server sample from here on."""
        try:
            if ENERGY not in self._remote.offers():
                self.why_not = ["the server samples no power: 'splitwatt serve --energy' does"]
                return
            begun = self._remote.begin_power()
            self._before = self._remote.offset()
            self._trace, self.about = str(begun.get("trace")), sampled_rails(begun.get("about"))
        except SplitwattError as error:
            self.why_not = [str(error)]

    def end(self) -> None:
        """Fetch the trace and keep it."""
        try:
            if self.about is not None:
                after = self._remote.offset()
                self._keep(self._remote.end_power(self._trace), after)
        except SplitwattError as error:
            self.why_not = [str(error)]
        finally:
            self._remote.close()

    def _keep(self, ended: Dict[str, Any], after: Offset) -> None:
        about = ended.get("about")
        try:
            unpacker = zlib.decompressobj()
            packed = base64.b64decode(str(ended.get("csv")).encode("ascii"))
            text = unpacker.decompress(packed, _LARGEST_BYTES).decode("utf-8")
        except (ValueError, zlib.error) as error:
            raise ServerError("the server's trace cannot be read: %s" % error)
        if not isinstance(about, dict) or not text.startswith("t_s,") or unpacker.unconsumed_tail:
            raise ServerError("the server's trace is not a trace")
        offsets = [self._before, after] if self._before is not None else [after]
        about["clock"] = [dict(offset._asdict()) for offset in offsets]
        about["session"] = self._session
        check_text(about, "the server's trace", "about")
        parse(TraceFacts, about, "the server's trace")
        write_atomic(self._path, text)
        write_atomic(metadata_path(self._path), json.dumps(about, indent=1) + "\n")


def sampled_rails(about: Any) -> TraceFacts:
    """What a sampler says that it samples, when it begins.

    Raises:
        RunError: it is something else.
    """
    given = dict(about, format=1) if isinstance(about, dict) else about
    return parse(TraceFacts, given, "what the sampler says")
