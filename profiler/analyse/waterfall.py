"""An image's stages across both ends, on the board's clock.

The board's stages are on its monotonic clock, the server's on its own; clock.jsonl has the offset
between them and how sure it is.
"""

from typing import List, NamedTuple, Optional, Sequence

from splitwatt.profiler.records.blocks import ClockEstimate
from splitwatt.profiler.records.sample import Request, Sample, same_session

# What two clocks may drift apart: crystals within 100 ppm at each end.
DRIFT = 200e-6
# A wall clock that was set by more than this is reported.
WALL_JUMP_S = 1.0


class Bar(NamedTuple):
    """A stage of an image.

    Attributes:
        stage: its name in the sample; `SLOT.uplink` and `SLOT.downlink` are the two ways of
            `SLOT.network`, separated where both ends are on one clock.
        end: "board", "link" or "server".
        start_s, seconds: since the image's start, on the board's clock.
        uncertainty_s: the most that `start_s` can be wrong by; 0 for a time that does not depend on
            the server's clock, None if the clocks were not compared: then the two ways are taken as equal.
    """

    stage: str
    end: str
    start_s: float
    seconds: float
    uncertainty_s: Optional[float]


def waterfall(sample: Sample, estimates: Sequence[ClockEstimate]) -> List[Bar]:
    """The stages of one image in the order in which they ran; empty for one that failed."""
    if not sample.ok:
        return []
    slots = [stage.split(".")[0] for stage in sample.stages if stage.endswith(".network")]
    bars: List[Bar] = []
    at, requests = 0.0, dict(zip(slots, sample.requests))
    for stage, seconds in sample.stages.items():
        slot = stage.split(".")[0]
        if ".server." in stage or stage.endswith(".network"):
            request = requests.pop(slot, None)
            if request is not None:
                bars += _round_trip(sample, slot, request, at, estimates)
                at = bars[-1].start_s + bars[-1].seconds
            continue
        bars.append(Bar(stage, "board", at, seconds, 0.0))
        at += seconds
    return bars


def _round_trip(
    sample: Sample, slot: str, request: Request, at: float, estimates: Sequence[ClockEstimate]
) -> List[Bar]:
    server_s, sent_s = request.server_monotonic_s, request.sent_monotonic_s
    network_s = sample.stages[slot + ".network"]
    up_s, sure_s = network_s / 2, None
    clock = None if sent_s is None else offset_at(estimates, sent_s, session=sample.session)
    if clock is not None and server_s is not None and sent_s is not None:
        up_s = min(max(0.0, server_s - (clock.offset_s or 0.0) - sent_s), network_s)
        sure_s = clock.uncertainty_s
    bars = [Bar(slot + ".uplink", "link", at, up_s, 0.0)]
    at += up_s
    for stage, seconds in sample.stages.items():
        if stage.startswith(slot + ".server."):
            bars.append(Bar(stage, "server", at, seconds, sure_s))
            at += seconds
    bars.append(Bar(slot + ".downlink", "link", at, network_s - up_s, sure_s))
    return bars


def jumps(estimates: Sequence[ClockEstimate]) -> List[str]:
    """Sentences on clocks that jumped between two estimates, as after a server's restart.

    The samples' own times are on the board's monotonic clock, which nobody sets: they stay valid.
    """
    sentences = []
    for before, after in zip(estimates, estimates[1:]):
        passed_s = after.monotonic_s - before.monotonic_s
        place = _between(before, after)
        if passed_s < 0:
            sentences.append("the board's monotonic clock started again %s" % place)
            continue
        if abs(after.wall_s - before.wall_s - passed_s) > WALL_JUMP_S + DRIFT * passed_s:
            sentences.append("the board's wall clock was set %s" % place)
    known = [e for e in estimates if e.offset_s is not None]  # it may have been gone in between
    for before, after in zip(known, known[1:]):
        passed_s = after.monotonic_s - before.monotonic_s
        if passed_s >= 0 and not _run_on(before, after, passed_s):
            sentences.append("the server's clock jumped %s" % _between(before, after))
    return sentences


def _between(before: ClockEstimate, after: ClockEstimate) -> str:
    return "between %s (%s) and %s (%s)" % (before.block, before.when, after.block, after.when)


def offset_at(
    estimates: Sequence[ClockEstimate],
    monotonic_s: float,
    block: Optional[str] = None,
    session: Optional[int] = None,
) -> Optional[ClockEstimate]:
    """The estimate to use at a time in a session: of the two around it the one of less uncertainty.

    None where there is no estimate, or where the server's clock jumped between the two around it.
    """
    known = [e for e in estimates if e.offset_s is not None and block in (None, e.block)]
    known = [e for e in known if same_session(e.session, session)]
    before = [e for e in known if e.monotonic_s <= monotonic_s]
    after = [e for e in known if e.monotonic_s > monotonic_s]
    around = before[-1:] + after[:1]
    if len(around) == 2:
        passed_s = around[1].monotonic_s - around[0].monotonic_s
        if not _run_on(around[0], around[1], passed_s):
            return None
    return min(around, key=lambda e: e.uncertainty_s or 0.0) if around else None


def _run_on(before: ClockEstimate, after: ClockEstimate, passed_s: float) -> bool:
    """Whether both clocks can have run without a jump between two estimates."""
    if before.offset_s is None or after.offset_s is None:
        return True
    sure = (before.uncertainty_s or 0.0) + (after.uncertainty_s or 0.0)
    return abs(after.offset_s - before.offset_s) <= sure + DRIFT * abs(passed_s) + 1e-4
