"""What a run's files hold: every field's type, unit and meaning, and the check of a record."""

import math
from typing import Any, Dict, NamedTuple, Tuple

from splitwatt.device_configs.errors import RunError

_TYPES: Dict[str, Tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "mapping": (dict,),
    "list": (list,),
}


class Field(NamedTuple):
    """One field of a record.

    Attributes:
        type: "text", "integer", "number", "boolean", "mapping" (text -> number) or "list".
        unit: "s", "B", "MAC", ... or "" where there is none.
        description: what it means.
        nullable: whether it may be null: not measured, or not there to be measured.
        later: runs of earlier versions lack it; reading one gives null.
    """

    type: str
    unit: str
    description: str
    nullable: bool = False
    later: bool = False


_CONFIG = Field("text", "", "the configuration, as LC1")
_BACKEND = Field("text", "", "what ran the board's parts")
_BLOCK = Field("text", "", "the block: one process, one configuration, one backend")
SESSION = Field("integer", "", "0 from the run's start, n from its n-th resume on, which may be on "
                "another clock", True, True)  # fmt: skip

SAMPLE_FIELDS = {
    "config": _CONFIG,
    "image": Field("text", "", "file name of the image, as run.json lists it"),
    "repeat": Field("integer", "", "which of a configuration's blocks, from 0"),
    "inference": Field("integer", "", "place in the block, from 0; warm-up counts by itself"),
    "backend": _BACKEND,
    "block": _BLOCK,
    "warmup": Field("boolean", "", "ran before those that count"),
    "status": Field("text", "", "ok or failed"),
    "reason": Field("text", "", "why it failed", True),
    "failed_by": Field("text", "", "whose failure: image, server, engine or process", True),
    "total_s": Field("number", "s", "wall time of the sample on the board's machine; server and "
                     "real network included, simulated link excluded", True),
    "stages": Field("mapping", "s", "SLOT.STAGE -> seconds; stages add up to total_s"),
    "payload_bytes": Field("integer", "B", "what the codec made, all requests together", True),
    "wire_up_bytes": Field("integer", "B", "HTTP requests: lines, headers, JSON, payload", True),
    "wire_down_bytes": Field("integer", "B", "HTTP responses: lines, headers, JSON, answers", True),
    "requests": Field("list", "", "one entry per request to the server; empty in local computing"),
    "published_payload_bytes": Field("integer", "B", "where the config says payload: published, "
                                     "the mean that a simulated link is charged with", True),
    "published_payload_source": Field("text", "", "where that comes from: published, or estimated "
                                      "where nobody has published it for one of the models", True),
    "started_monotonic_s": Field("number", "s", "start on the machine's monotonic clock"),
    "device_s": Field("mapping", "s", "SLOT.PART -> seconds by the accelerator's own clock, copies "
                      "apart, which are a part of that stage; null where it has none", True, True),
    "board": Field("mapping", "", "the board as last read, at the sample's end: cpuN_khz, gpu_hz, "
                   "ZONE_c (degrees Celsius), states of cooling devices that slow it down; null "
                   "where it tells none", True, True),
    "throttled": Field("boolean", "", "whether the board throttled since the sample before; null "
                       "where it cannot tell", True, True),
    "throttled_by": Field("text", "", "the signs of that", True, True),
    "session": SESSION,
}  # fmt: skip

REQUEST_FIELDS = {
    "model": Field("text", "", "the model of the request"),
    "payload_bytes": Field("integer", "B", "what the codec made"),
    "wire_up_bytes": Field("integer", "B", "the HTTP request, every attempt counted"),
    "wire_down_bytes": Field("integer", "B", "the HTTP response"),
    "legacy_pickled_bytes": Field("integer", "B", "the size that sc2bench reports for it; null where that hangs on the version of torch", True),
    "attempts": Field("integer", "", "1, or more where the server was not reached at once"),
    "sent_monotonic_s": Field("number", "s", "when its sending began, on the board's monotonic "
                              "clock", True, True),
    "received_monotonic_s": Field("number", "s", "when its answer was there, on the board's "
                                  "monotonic clock", True, True),
    "server_monotonic_s": Field("number", "s", "when the server had all of it, on the server's own "
                                "monotonic clock", True, True),
    "drain_s": Field("number", "s", "spent before it on emptying a shaped link's token bucket; not "
                     "in total_s", True, True),
}  # fmt: skip

WINDOW_FIELDS = {
    "name": Field("text", "", "what the interval holds: idle, warmup or inferences"),
    "config": _CONFIG,
    "backend": _BACKEND,
    "block": _BLOCK,
    "start_s": Field("number", "s", "start on the machine's monotonic clock"),
    "end_s": Field("number", "s", "end on the machine's monotonic clock"),
    "session": SESSION,
}

STAGE_FIELDS = {
    "config": _CONFIG,
    "backend": _BACKEND,
    "block": Field("text", "", "the stage block, as LC1.cpu.stages"),
    "stage": Field("text", "", "SLOT.STAGE: what was repeated, alone"),
    "start_s": Field("number", "s", "start on the board's monotonic clock", True),
    "end_s": Field("number", "s", "end on the board's monotonic clock", True),
    "repetitions": Field("integer", "", "how often it ran in between", True),
    "images": Field("integer", "", "on so many images in turn"),
    "status": Field("text", "", "ok or failed"),
    "reason": Field("text", "", "why it failed", True),
    "session": SESSION,
}

MEMORY_FIELDS = {
    "config": _CONFIG,
    "backend": _BACKEND,
    "block": _BLOCK,
    "process_peak_bytes": Field("integer", "B", "largest resident memory of its process", True),
    "board_peak_bytes": Field("integer", "B", "largest memory in use on the board, background "
                              "included; null with the server on the same machine", True),
    "source": Field("text", "", "where the figures come from"),
    "gpu_process_peak_bytes": Field("integer", "B", "largest GPU memory of its process, sampled "
                                    "while it ran", True, True),
    "gpu_peak_bytes": Field("integer", "B", "largest GPU memory in use on the board, background "
                            "included; null with the server on the same machine", True, True),
}  # fmt: skip

START_FIELDS = {
    "config": _CONFIG,
    "backend": _BACKEND,
    "block": _BLOCK,
    "cuda_init_s": Field("number", "s", "making the GPU's context, before anything else; null "
                         "where the backend needs none", True),
    "open_s": Field("number", "s", "checking the bundles' files and opening the engines"),
    "server_load_s": Field("number", "s", "until the server had loaded the models; null in local "
                           "computing", True),
    "first_inference_s": Field("number", "s", "total_s of the warm-up's first inference; "
                               "null where it failed, and without a warm-up", True),
    "warmups": Field("integer", "", "inferences of the warm-up, the first included"),
    "steady": Field("boolean", "", "whether the warm-up's rule was met; null without one", True),
    "fallbacks": Field("list", "", "parts that another backend runs by a recorded rule, and why"),
    "built": Field("list", "", "parts that were built on the board: with which TensorRT, in which "
                   "precision, and the bundle's where that is another", True, True),
}  # fmt: skip

THROUGHPUT_FIELDS = {
    "config": _CONFIG,
    "backend": _BACKEND,
    "block": _BLOCK,
    "pipelined": Field("boolean", "", "each image was prepared while the one before was sent and "
                       "answered; false in local computing: one after the other"),
    "images": Field("integer", "", "images that got an answer"),
    "failed": Field("integer", "", "images that got none"),
    "duration_s": Field("number", "s", "from the first image file to the last answer"),
    "images_per_s": Field("number", "1/s", "images over duration; null without any", True),
}  # fmt: skip

DERIVED_FIELDS = {
    "uplink_payload_s": Field("number", "s", "8 * payload bytes / rate, as the Ladon paper", True),
    "uplink_wire_s": Field("number", "s", "the same of all that the wire carries: HTTP, Ethernet, "
                           "IPv4 and TCP headers around each 1448 bytes", True),
    "uplink_s": Field("number", "s", "a simulated uplink's time: payload or wire, latency, loss", True),
    "downlink_s": Field("number", "s", "a simulated downlink's; 0 where it is not charged", True),
    "end_to_end_s": Field("number", "s", "total_s, and a simulated link's time; over a measured "
                          "link total_s alone", True),
    "local_s": Field("number", "s", "stages on the board", True),
    "server_s": Field("number", "s", "stages on the server", True),
    "network_s": Field("number", "s", "HTTP round trips less the server's time", True),
}  # fmt: skip

SPREAD_FIELDS = {
    "samples": Field("integer", "", "the samples of a configuration that count"),
    "p50_s": Field("number", "s", "their median"),
    "p90_s": Field("number", "s", "what 90 % of them stay below"),
    "p99_s": Field("number", "s", "what 99 % of them stay below"),
    "p50_low_s": Field("number", "s", "lower end of the median's 95 % interval, an order statistic; "
                       "null of fewer than 6", True),
    "p50_high_s": Field("number", "s", "upper end of the same", True),
    "p50_relative_width": Field("number", "", "half the interval's width over the median", True),
    "p90_bound_s": Field("number", "s", "what the true p90 stays below with 99 % confidence, as "
                         "MLPerf's early stopping has it; null of fewer than 64", True),
    "p99_bound_s": Field("number", "s", "the same of p99; null of fewer than 662", True),
    "outliers": Field("integer", "", "further than three interquartile ranges outside the "
                      "quartiles (Tukey's far out); they count; null of fewer than 8", True),
}  # fmt: skip

ENERGY_FIELDS = {
    "inferences": Field("integer", "", "the images of the window that the joules are divided by"),
    "provenance": Field("text", "", "what was read: measured, generated (a made-up load) or "
                        "replayed", True),
    "joules_per_image": Field("number", "J", "gross, over a block's window of inferences; of each "
                              "rail and of those that make the board's total", True),
    "net_joules_per_image": Field("number", "J", "the same less idle power x time", True),
    "idle_watts": Field("number", "W", "mean power of the block's idle windows", True),
    "waiting_joules": Field("number", "J", "idle power x the link's time: estimated, and in no "
                            "other figure", True),
    "why_not": Field("text", "", "why there are no joules", True),
}  # fmt: skip

FIELDS: Dict[str, Field] = dict(DERIVED_FIELDS)
FIELDS.update(ENERGY_FIELDS)
_STORED = (MEMORY_FIELDS, WINDOW_FIELDS, START_FIELDS, THROUGHPUT_FIELDS)
for _fields in (STAGE_FIELDS, SPREAD_FIELDS) + _STORED + (REQUEST_FIELDS, SAMPLE_FIELDS):
    FIELDS.update(_fields)


def check_record(record: Any, fields: Dict[str, Field], where: str) -> Dict[str, Any]:
    """`record` if it has these fields, of these types; fields of a later version may be there too.

    Args:
        record: parsed JSON.
        fields: one of the registries here.
        where: file and line, for the sentence.

    Raises:
        RunError: it is no such record.
    """
    if not isinstance(record, dict):
        raise RunError("%s is no JSON object" % where)
    for name, field in fields.items():
        if name not in record and field.later:
            record[name] = None
        elif name not in record:
            raise RunError("%s lacks the field '%s'" % (where, name))
        value = record[name]
        if value is None and field.nullable:
            continue
        if field.nullable and isinstance(value, float) and not math.isfinite(value):
            record[name] = None  # NaN: it was not measured
            continue
        kinds = _TYPES[field.type]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise RunError("%s: '%s' must be of type %s, not %r" % (where, name, field.type, value))
        if isinstance(value, dict) and not all(_is_number(one) for one in value.values()):
            raise RunError("%s: '%s' must hold numbers alone, not %r" % (where, name, value))
    return record


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
