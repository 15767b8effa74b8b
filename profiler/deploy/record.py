"""The run folder of `splitwatt run --out`: frames as samples, what was chosen as a timeline.

Each configuration of the policy is a block, whose frames lie between those of others.
"""

import os
import time
from typing import Any, Dict, List, Optional

from splitwatt.device_configs.errors import ServerError
from splitwatt.device_configs.files import sha256_file
from splitwatt.profiler.board.memory import BoardMeter, process_peak_bytes
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.config.bundles import slot
from splitwatt.profiler.config.config import LOCAL, SPLIT, from_document
from splitwatt.profiler.deploy.flow import Flow, Result
from splitwatt.profiler.deploy.policy import Policy
from splitwatt.profiler.deploy.runnable import Runnable
from splitwatt.profiler.deploy.sources import Source
from splitwatt.profiler.execute.power import BlockPower
from splitwatt.profiler.execute.prepare import describe_server, first_document, wall
from splitwatt.profiler.records.blocks import INFERENCES, Block, Chosen, Window
from splitwatt.profiler.records.document import digests
from splitwatt.profiler.records.fields import plain_text
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import MEMORY_FILE, SAMPLES_FILE, TIMELINE_FILE, WINDOWS_FILE
from splitwatt.profiler.records.sample import FAILED, OK, Sample

_ALTERNATE = "configurations alternate: their joules cannot be separated"


class Record:
    """Writes a run while it goes on; a context manager.

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
        self.flow: Optional[Flow] = None
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
        self._meter = BoardMeter()
        self._meter.watch(os.getpid())
        why = None if len(points) == 1 else _ALTERNATE
        if not self._alone:
            why = "the server runs on the same machine"
        target = self._document["targets"]["board"]
        block = self._blocks[0]
        self._power = BlockPower(self._folder, block, target, server=endpoint, unless=why)

    def __enter__(self) -> "Record":
        self._meter.__enter__()
        self._power.__enter__()
        self._began_s = time.monotonic()
        return self

    def add(self, result: Result) -> None:
        """Append a frame."""
        at = result.at
        block, inference = self._blocks[at], self._counts[at]
        self._counts[at] += 1
        self._samples.append(self._sample(result, block, inference))
        choice = result.choice
        dropped = self.flow.counts.dropped if self.flow is not None else 0
        row = Chosen(
            block.config, block.id, result.frame.number, inference, result.frame.captured_s,
            result.latency_s, self._blocks[choice.at or 0].config, choice.why, choice.predicted_s,
            choice.rate_kbit_s, self._points[at].point.quality, result.hedged, dropped, 0,
        )  # fmt: skip
        self._timeline.append(dict(row._asdict()))

    def __exit__(self, *error: Any) -> None:
        ended_s = time.monotonic()
        self._power.__exit__(*error)
        self._document["power"] = self._power.reasons()
        self._meter.__exit__(*error)
        with self._folder:
            self._samples.close()
            self._timeline.close()
            for block in [block for block, n in zip(self._blocks, self._counts) if n]:
                of_block = INFERENCES, block.config, block.backend, block.id
                self._folder.append(WINDOWS_FILE, Window(*of_block, self._began_s, ended_s, 0))
                shared = ", of the one process of all configurations"
                peaks = self._meter.record(block, self._alone, process_peak_bytes(), shared)
                self._folder.append(MEMORY_FILE, peaks)
            if self.flow is not None:
                self._document["deployed"]["counts"] = self.flow.counts.to_json()
            self._document["finished_wall"] = wall()
            self._document["files"] = digests(self._folder.path)
            self._folder.write_document(self._document)

    def _sample(self, result: Result, block: Block, inference: int) -> Dict[str, Any]:
        point = self._points[result.at]
        prefix = slot(point.bundle.manifest.tasks)
        stages = {"%s.%s" % (prefix, name): value for name, value in result.stages.items()}
        waited_s = result.latency_s - sum(result.stages.values())
        stages["%s.wait" % prefix] = max(0.0, waited_s)
        values: Dict[str, Any] = dict.fromkeys(Sample._fields)
        values.update(
            config=block.config, image=plain_text(result.frame.name), repeat=0,
            inference=inference, backend=block.backend, block=block.id, warmup=False, requests=[],
            started_monotonic_s=result.frame.captured_s, session=0,
        )  # fmt: skip
        if result.error is None:
            values.update(status=OK, total_s=result.latency_s, stages=stages)
        else:
            failed_by = "engine" if point.local else "server"
            reason = plain_text(result.error)
            values.update(status=FAILED, reason=reason, failed_by=failed_by, stages={})
        sent = result.request
        if sent is not None:
            values.update(
                payload_bytes=sent.payload_bytes,
                wire_up_bytes=sent.wire_up_bytes,
                wire_down_bytes=sent.wire_down_bytes,
                requests=[dict(sent._asdict())],
            )
        return values


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
    document = first_document(
        config,
        points[0].bundle.manifest.target,
        {p.model: p.bundle for p in points},
        blocks,
        images_folder=os.path.dirname(os.path.abspath(source.text)) if file else None,
        images=[{"file": plain_text(name), "sha256": sha256_file(file) if file else None}],
        deployed={
            "source": plain_text(source.shown),
            "deadline_s": policy.deadline_s,
            "quality_of": plain_text(policy.quality_of),
            "counts": {},
        },
    )
    if endpoint is not None:
        document["server"] = {"url": endpoint.url, "started_by_profile": False}
        try:
            with Client(endpoint, 5.0, ()) as client:
                document["server"] = describe_server(client, document, False)
        except ServerError:  # it may come later
            pass
        document["same_machine"] = document["server"].get("same_machine", False)
    return document
