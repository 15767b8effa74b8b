"""The run folder of `splitwatt run --out`: frames as samples, what was chosen as a timeline.

Each configuration of the policy is a block, whose frames lie between those of others.
"""

import os
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import ServerError
from splitwatt.device_configs.files import sha256_file
from splitwatt.profiler.board.memory import SOURCE_PROCESS, BoardMeter, process_peak_bytes
from splitwatt.profiler.board.state import board_state
from splitwatt.profiler.board.versions import machine_id, versions
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.config.bundles import describe, slot
from splitwatt.profiler.config.config import LOCAL, SPLIT, from_document
from splitwatt.profiler.deploy.flow import Flow, Result
from splitwatt.profiler.deploy.policy import Policy
from splitwatt.profiler.deploy.runnable import Runnable
from splitwatt.profiler.deploy.sources import Source
from splitwatt.profiler.execute.power import BlockPower
from splitwatt.profiler.execute.prepare import describe_server, wall
from splitwatt.profiler.records.blocks import INFERENCES, Block, Chosen, Window
from splitwatt.profiler.records.document import FORMAT, digests
from splitwatt.profiler.records.fields import plain_text
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import (
    MEMORY_FILE,
    SAMPLES_FILE,
    TIMELINE_FILE,
    WINDOWS_FILE,
)
from splitwatt.profiler.records.sample import FAILED, OK, Request, Sample


class Record:
    """Writes a run while it goes on; a context manager.

    Args:
        path: of the folder, which must not hold a run yet.
        policy, points: what may run.
        source: where frames come from.
        endpoint: of the server; None without one.

    Raises:
        RunError, SplitwattError: the folder holds a run, or cannot be written.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        points: List[Runnable],
        source: Source,
        endpoint: Optional[Endpoint],
    ) -> None:
        self._points = points
        self._blocks = [
            Block("%s.%s.0" % (p.point.config, p.point.backend), p.point.config, p.point.backend, 0)
            for p in points
        ]
        self._counts = [0] * len(points)
        self._document = _document(policy, points, source, self._blocks, endpoint)
        self._folder = RunFolder.create(path, self._document)
        self._samples = self._folder.appender(SAMPLES_FILE)
        self._timeline = self._folder.appender(TIMELINE_FILE)
        self._alone = not self._document["same_machine"]
        self._began_s = time.monotonic()
        self._meter = BoardMeter()
        self._meter.watch(os.getpid())
        self._power = self._open_power(endpoint) if self._alone and len(points) == 1 else None
        if self._power is None:
            why = "the server runs on the same machine"
            if self._alone:
                why = "configurations alternate: their joules cannot be separated"
            self._document["power"] = {"why_not": [why], "server_why_not": []}
        self.flow: Optional[Flow] = None

    def __enter__(self) -> "Record":
        self._meter.__enter__()
        if self._power is not None:
            self._power.__enter__()
        self._began_s = time.monotonic()
        return self

    def add(self, result: Result) -> None:
        """Append a frame."""
        at = result.at
        block, inference = self._blocks[at], self._counts[at]
        self._counts[at] += 1
        self._samples.append(_as_json(self._sample(result, block, inference)))
        choice = result.choice
        counts = self.flow.counts.to_json() if self.flow is not None else {}
        dropped = sum(count for name, count in counts.items() if name.startswith("dropped"))
        row = Chosen(
            block.config, block.id, result.frame.number, inference, result.frame.captured_s,
            result.latency_s, self._blocks[choice.at or 0].config, choice.why, choice.predicted_s,
            choice.rate_kbit_s, self._points[at].point.quality, result.hedged, dropped, 0,
        )  # fmt: skip
        self._timeline.append(_as_json(row))

    def __exit__(self, *error: Any) -> None:
        ended_s = time.monotonic()
        if self._power is not None:
            self._power.__exit__(*error)
            self._document["power"] = {
                "why_not": [plain_text(text) for text in self._power.why_not],
                "server_why_not": [plain_text(text) for text in self._power.server_why_not],
            }
        self._meter.__exit__(*error)
        with self._folder:
            self._samples.close()
            self._timeline.close()
            used = [block for block, count in zip(self._blocks, self._counts) if count]
            with self._folder.appender(WINDOWS_FILE) as windows:
                for block in used:
                    windows.append(_as_json(_window(INFERENCES, block, self._began_s, ended_s)))
            with self._folder.appender(MEMORY_FILE) as memory:
                for block in used:
                    memory.append(self._memory(block))
            if self.flow is not None:
                self._document["deployed"]["counts"] = self.flow.counts.to_json()
            self._document["finished_wall"] = wall()
            self._document["files"] = digests(self._folder.path)
            self._folder.write_document(self._document)

    def _open_power(self, endpoint: Optional[Endpoint]) -> BlockPower:
        block = self._blocks[0]

        def window(name: str, start_s: float, end_s: float) -> None:
            with self._folder.appender(WINDOWS_FILE) as windows:
                windows.append(_as_json(_window(name, block, start_s, end_s)))

        target = self._document["targets"]["board"]
        return BlockPower(self._folder.path, block.id, target, window, server=endpoint)

    def _sample(self, result: Result, block: Block, inference: int) -> Sample:
        point = self._points[result.at]
        prefix = slot(point.bundle.manifest.tasks)
        stages = {"%s.%s" % (prefix, name): value for name, value in result.stages.items()}
        waited_s = result.latency_s - sum(result.stages.values())
        stages["%s.wait" % prefix] = max(0.0, waited_s)
        sent = result.request
        requests = []
        if sent is not None:
            requests = [Request(
                point.model, sent.payload_bytes, sent.wire_up_bytes, sent.wire_down_bytes, None, 1,
                sent.sent_s, sent.received_s, sent.server_at_s, None,
            )]  # fmt: skip
        error = None if result.error is None else plain_text(result.error)
        return Sample(
            config=block.config, image=plain_text(result.frame.name), repeat=0, inference=inference,
            backend=block.backend, block=block.id, warmup=False,
            status=OK if error is None else FAILED, reason=error,
            failed_by=None if error is None else "server" if not point.local else "engine",
            total_s=result.latency_s if error is None else None, stages=stages if not error else {},
            payload_bytes=sent.payload_bytes if sent else None,
            wire_up_bytes=sent.wire_up_bytes if sent else None,
            wire_down_bytes=sent.wire_down_bytes if sent else None, requests=requests,
            published_payload_bytes=None, published_payload_source=None,
            started_monotonic_s=result.frame.captured_s, session=0,
        )  # fmt: skip

    def _memory(self, block: Block) -> Dict[str, Any]:
        return {
            "config": block.config, "backend": block.backend, "block": block.id,
            "process_peak_bytes": process_peak_bytes(),
            "board_peak_bytes": self._meter.peak_bytes if self._alone else None,
            "gpu_process_peak_bytes": self._meter.gpu_process_peak_bytes,
            "gpu_peak_bytes": self._meter.gpu_peak_bytes if self._alone else None,
            "source": SOURCE_PROCESS + ", of the one process of all configurations",
        }  # fmt: skip


def _document(
    policy: Policy,
    points: List[Runnable],
    source: Source,
    blocks: List[Block],
    endpoint: Optional[Endpoint],
) -> Dict[str, Any]:
    rows = {
        p.point.config: {LOCAL if p.local and not p.bundle.manifest.split else SPLIT: [p.model]}
        for p in points
    }
    backends = list(dict.fromkeys(p.point.backend for p in points))
    config = from_document(
        {"format": 1, "name": "deployed", "warmup": 0, "inferences": 1, "backends": backends,
         "links": [{"kind": "none"}], "configurations": rows}, "the policy",
    )  # fmt: skip
    file = source.text if os.path.isfile(source.text) else None
    name = (
        os.path.basename(os.path.normpath(source.text)) if os.path.exists(source.text) else "frames"
    )
    manifests = [p.bundle.manifest for p in points]
    document: Dict[str, Any] = {
        "format": FORMAT,
        "id": "deployed-%s" % time.strftime("%Y%m%d-%H%M%S"),
        "name": config.name,
        "config": config.to_json(),
        "started_wall": wall(),
        "started_monotonic_s": time.monotonic(),
        "finished_wall": None,
        "resumed": [],
        "targets": {
            "board": manifests[0].target,
            "server": next((m.server_target for m in manifests if m.server_target), None),
        },
        "same_machine": False,
        "machine": machine_id(),
        "threads": None,
        "bundles_folder": None,
        "bundles": {p.model: describe(p.bundle) for p in points},
        "versions": versions(),
        "board_state": board_state(),
        "server": None,
        "sensors": None,
        "power": None,
        "images_folder": os.path.dirname(os.path.abspath(source.text)) if file else None,
        "images": [{"file": plain_text(name), "sha256": sha256_file(file) if file else None}],
        "blocks": [dict(block._asdict()) for block in blocks],
        "deployed": {
            "source": plain_text(source.shown),
            "deadline_s": policy.deadline_s,
            "quality_of": plain_text(policy.quality_of),
            "counts": {},
        },
    }
    if endpoint is not None:
        document["server"] = {"url": endpoint.url, "started_by_profile": False}
        try:
            with Client(endpoint, 5.0, ()) as client:
                document["server"] = describe_server(client, document, False)
        except ServerError:  # it may come later
            pass
        document["same_machine"] = document["server"].get("same_machine", False)
    return document


def _window(name: str, block: Block, start_s: float, end_s: float) -> Window:
    return Window(name, block.config, block.backend, block.id, start_s, end_s, 0)


def _as_json(row: Any) -> Dict[str, Any]:
    values = dict(row._asdict())
    if "requests" in values:
        values["requests"] = [dict(one._asdict()) for one in values["requests"]]
    return values
