"""Figures worked out anew from the raw lines, by other code than that which reports use."""

import math
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.profiler.check import order
from splitwatt.profiler.check.raw import Check, Raw, Row, nothing, place, verdict
from splitwatt.profiler.links.link import SIMULATED
from splitwatt.profiler.records.run import (
    Run,
    end_to_end_s,
    spread,
    uplink_payload_s,
    uplink_wire_s,
)

# Stages are additive by construction; what lies between two calls is missing.
_MISSING_PART, _MISSING_S = 0.02, 0.5e-3
# Of a single sample: for so long a busy machine runs something else between two stages.
_TAKEN_S = 0.02
_CLOSE = 1e-9


def checks(raw: Raw, run: Run) -> List[Check]:
    """The checks of this page."""
    return [_stages(raw), _bytes(raw), _nulls(raw), _links(raw, run), _summary(raw, run),
            _throughput(raw), _starts(raw)]  # fmt: skip


def _stages(raw: Raw) -> Check:
    wrong = []
    blocks: Dict[str, List[float]] = {}
    for row in raw.good():
        stages, total = row["stages"], row["total_s"]
        if not isinstance(total, (int, float)) or total <= 0:
            wrong.append("%s took %r s" % (place(row), total))
            continue
        odd = [name for name, value in stages.items() if not _is_time(value)]
        if odd:
            wrong.append("%s: the stage %s took %r s" % (place(row), odd[0], stages[odd[0]]))
            continue
        off = total - sum(stages.values())
        if not -_MISSING_S <= off <= max(_MISSING_PART * total, _TAKEN_S):
            wrong.append("%s: its stages lack %.3g s of %.3g" % (place(row), off, total))
        blocks.setdefault(row["block"], []).append(off / max(_MISSING_PART * total, _MISSING_S))
    wrong += [
        "%s: the stages of half of its samples lack more than 2 %% and 0.5 ms" % block
        for block, parts in blocks.items()
        if sorted(parts)[len(parts) // 2] > 1
    ]
    return verdict(
        "stages add up to the total",
        wrong,
        "%d samples, medians within 2 %% or 0.5 ms" % len(raw.good()),
    )


def _bytes(raw: Raw) -> Check:
    name = "bytes add up"
    sent = [row for row in raw.good() if row["requests"]]
    if not sent:
        return nothing(name, "nothing was sent")
    wrong = []
    for row in sent:
        for field in ("payload_bytes", "wire_up_bytes", "wire_down_bytes"):
            total = sum(request[field] for request in row["requests"])
            if row[field] != total:
                wrong.append("%s: %s is %r, its requests have %d"
                             % (place(row), field, row[field], total))  # fmt: skip
        for request in row["requests"]:
            if not 0 < request["payload_bytes"] < request["wire_up_bytes"]:
                wrong.append("%s: a request is no larger than its payload" % place(row))
    return verdict(name, wrong, "%d samples and their requests" % len(sent))


def _nulls(raw: Raw) -> Check:
    """What was not measured is null, and what was is not."""
    split = {id for id, row in raw.document["config"]["configurations"].items() if "split" in row}
    wrong = []
    for row in raw.rows["samples"]:
        ok = row["status"] == "ok"
        if row["status"] not in ("ok", "failed"):
            wrong.append("%s has the status %r" % (place(row), row["status"]))
        if ok != (row["total_s"] is not None) or ok != (row["reason"] is None):
            wrong.append("%s is %s and has a total of %r and the reason %r"
                         % (place(row), row["status"], row["total_s"], row["reason"]))  # fmt: skip
        sent = ok and row["config"] in split
        for field in ("payload_bytes", "wire_up_bytes", "wire_down_bytes"):
            if sent != (row[field] is not None):
                wrong.append("%s: %s is %r" % (place(row), field, row[field]))
        if sent != bool(row["requests"]):
            wrong.append("%s has %d requests" % (place(row), len(row["requests"])))
    return verdict("what was not measured is null", wrong, "%d samples" % len(raw.rows["samples"]))


def _links(raw: Raw, run: Run) -> Check:
    name = "link times follow from bytes and rates"
    rated = [link for link in run.config.links if link.rate_kbit_s]
    if not rated or not any(sample.requests for sample in run.samples):
        return nothing(name, "nothing was sent over a link with a rate")
    rows = {(r["block"], r["warmup"], r["inference"]): r for r in raw.rows["samples"]}
    wrong = []
    for sample in run.samples:
        if not sample.ok or not sample.requests:
            continue
        row = rows.get(sample.key)
        if row is None:  # its line cannot be read, which another check tells
            continue
        for link in rated:
            payload_s, wire_s = _by_hand(row, link.rate_kbit_s)
            found = uplink_payload_s(sample, link), uplink_wire_s(sample, link)
            if not _same(found[0], payload_s) or not _same(found[1], wire_s):
                wrong.append("%s at %s" % (place(row), link.name))
            plain = link.kind == SIMULATED and not (
                link.latency_ms or link.loss or link.downlink_kbit_s
            )
            expected = row["total_s"] if link.measured else None
            if plain:
                expected = row["total_s"] + (payload_s if link.bytes == "payload" else wire_s)
            if expected is not None and not _same(end_to_end_s(sample, link), expected):
                wrong.append("%s, end to end at %s" % (place(row), link.name))
    return verdict(name, wrong, "%d links" % len(rated))


def _by_hand(row: Row, rate_kbit_s: float) -> Tuple[float, float]:
    """Payload bits over the rate; the same with 66 bytes of framing to each 1448 of a request."""
    charged = row["published_payload_bytes"]
    more = 0 if charged is None else charged - row["payload_bytes"]
    wire = 0
    for number, request in enumerate(row["requests"]):
        content = request["wire_up_bytes"] + (more if number == 0 else 0)
        wire += content + 66 * int(math.ceil(content / 1448.0))
    return (row["payload_bytes"] + more) * 8 / (rate_kbit_s * 1000), wire * 8 / (rate_kbit_s * 1000)


def _summary(raw: Raw, run: Run) -> Check:
    """Every figure of each configuration's row on each backend."""
    wrong = []
    groups: Dict[Any, Dict[Any, float]] = {}
    for row in raw.rows["samples"]:
        if not row["warmup"] and row["block"] not in run.replaced:
            own = groups.setdefault((row["config"], row["backend"]), {})
            key = row["block"], row["inference"]
            own.pop(key, None)
            if row["status"] == "ok":
                own[key] = row["total_s"]
    for (config, backend), by_key in groups.items():
        times = list(by_key.values())
        known = [s.total_s or 0.0 for s in run.measured(config, backend)]
        told = spread(known)
        if len(times) != len(known) or (told is None) != (not times):
            wrong.append("%s on %s has %d samples, not %d"
                         % (config, backend, len(times), len(known)))  # fmt: skip
        elif told is not None:
            for name, expected in order.summary(times).items():
                if not _same(getattr(told, name), expected):
                    wrong.append("%s of %s on %s" % (name, config, backend))
    return verdict("the summary follows from the samples", wrong, "%d rows of it" % len(groups))


def _throughput(raw: Raw) -> Check:
    name = "throughput is images over time"
    rows = raw.rows["throughput"]
    wrong = []
    for row in rows:
        expected = row["images"] / row["duration_s"] if row["images"] else None
        if not _same(row["images_per_s"], expected):
            wrong.append("%s says %r a second" % (row["block"], row["images_per_s"]))
    return (
        verdict(name, wrong, "%d blocks" % len(rows)) if rows else nothing(name, "none was asked")
    )


def _starts(raw: Raw) -> Check:
    name = "blocks started as they say"
    rows = raw.rows["starts"]
    known = {row["id"] for row in raw.document["blocks"]}
    wrong = []
    for row in rows:
        times = [row["cuda_init_s"], row["open_s"], row["server_load_s"], row["first_inference_s"]]
        if row["block"] not in known:
            wrong.append("%s is no block of the run" % row["block"])
        if any(value is not None and value < 0 for value in times):
            wrong.append("%s has a time below 0" % row["block"])
        firsts = [s["total_s"] for s in raw.rows["samples"]
                  if (s["block"], s["warmup"], s["inference"]) == (row["block"], True, 0)]  # fmt: skip
        once = len(rows) == len(known) and bool(firsts)
        if once and not any(_same(row["first_inference_s"], first) for first in firsts):
            wrong.append("%s: its first inference took another time" % row["block"])
    return verdict(name, wrong, "%d processes" % len(rows)) if rows else nothing(name, "none tells")


def _is_time(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _same(a: Optional[float], b: Optional[float]) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= _CLOSE * max(1.0, abs(a), abs(b))
