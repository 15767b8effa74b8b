"""`run --view`: a page on loopback with the newest answer drawn, latency, bytes, rate, configuration."""

import io
import json
import threading
from typing import Any, Dict, List, Optional

from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.energy.endpoint.pages import PageHandler, PageServer
from splitwatt.profiler.deploy.answers import line_of, picture_of
from splitwatt.profiler.deploy.flow import Counts, Result
from splitwatt.profiler.deploy.runnable import Runnable

_WAIT_S = 5.0
_MOST_VIEWERS = 8
_MOST_WIDTH = 1280
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>splitwatt run</title>
<style>body{font:16px system-ui,sans-serif;margin:1em;background:#fff;color:#111}
img{max-width:100%;background:#ddd}td{padding:.1em 1em .1em 0}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}</style>
<img src="/live.mjpeg" alt="the newest answered frame"><table id="figures"></table>
<script>
const rows = [["configuration", "config"], ["model", "model"], ["chosen because", "why"],
  ["latency, ms", "latency_ms"], ["predicted, ms", "predicted_ms"], ["payload, B", "payload_bytes"],
  ["link rate, kbit/s", "rate_kbit_s"], ["answered", "answered"], ["in time", "in_time"],
  ["answered by the local model in place of the server", "hedged"], ["dropped", "dropped"]];
async function update() {
  const figures = await (await fetch("/figures.json")).json();
  const table = document.getElementById("figures");
  table.replaceChildren(...rows.map(([name, key]) => {
    const row = document.createElement("tr");
    for (const text of [name, figures[key] ?? "-"]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  }));
}
setInterval(() => update().catch(() => 0), 500);
</script></html>
"""


class _Handler(PageHandler):
    def do_GET(self) -> None:  # noqa: N802
        view: View = self.server.content
        # A page of another site must not read the picture through a name that leads to loopback.
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
            self.send(403, "text/plain", b"the page is at 127.0.0.1\n")
        elif self.path == "/":
            self.send(200, "text/html; charset=utf-8", _PAGE.encode("utf-8"))
        elif self.path == "/figures.json":
            self.send(200, "application/json", json.dumps(view.figures()).encode("utf-8"))
        elif self.path == "/live.mjpeg":
            self._live(view)
        else:
            self.send(404, "text/plain", b"there is only /\n")

    def _live(self, view: "View") -> None:
        if not view.viewers.acquire(blocking=False):
            self.send(503, "text/plain", b"too many viewers\n")
            return
        try:
            self.close_connection = True
            self.send_head(200, "multipart/x-mixed-replace; boundary=frame")
            number = -1
            while not view.closed:
                result = view.after(number, _WAIT_S)
                if result is None:
                    continue
                number = result.frame.number
                data = _jpeg(picture_of(result, view.points))
                head = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                self.wfile.write((head % len(data)).encode("ascii") + data + b"\r\n")
        finally:
            view.viewers.release()


class View:
    """The page, on a port of loopback (0 takes a free one); only while somebody looks is anything drawn.

    Raises:
        UsageError: the port is taken.
    """

    def __init__(self, port: int, points: List[Runnable], counts: Counts) -> None:
        self.points, self.closed = points, False
        self._changed = threading.Condition()
        self._newest: Optional[Result] = None
        self.viewers = threading.Semaphore(_MOST_VIEWERS)
        self._counts = counts
        try:
            self._server = PageServer(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UsageError("--view cannot listen on port %d: %s" % (port, error.strerror))
        self._server.content = self
        self.url = "http://127.0.0.1:%d/" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def put(self, result: Result) -> None:
        """Show a result, unless a newer one is shown already."""
        with self._changed:
            if self._newest is None or result.frame.number > self._newest.frame.number:
                self._newest = result
                self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> Optional[Result]:
        """A result newer than that frame, as soon as there is one; None where none comes in time."""

        def newer() -> Optional[Result]:
            newest = self._newest
            return newest if newest is not None and newest.frame.number > number else None

        with self._changed:
            return self._changed.wait_for(newer, timeout_s)

    def figures(self) -> Dict[str, Any]:
        """What the page shows next to the picture."""
        result = self.after(-1, 0.0)
        figures: Dict[str, Any] = dict(self._counts.to_json(), dropped=self._counts.dropped)
        if result is not None:
            line = line_of(result, self.points)
            del line["answer"], line["stages_s"]
            figures.update(line, latency_ms=round(1e3 * line["latency_s"], 1))
            known = line["predicted_s"]
            figures["predicted_ms"] = None if known is None else round(1e3 * known, 1)
        return figures

    def close(self) -> None:
        """Stop serving."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()


def _jpeg(picture: Any) -> bytes:
    image = Image.fromarray(picture)
    if image.width > _MOST_WIDTH:
        image = image.resize((_MOST_WIDTH, image.height * _MOST_WIDTH // image.width))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return stream.getvalue()
