"""Under what conditions a run went: sessions that differ from its start, clocks that jumped, a link
off its rate, an older server.

None of it stops a run. Samples are timed on the board's monotonic clock alone and stay valid; what is
not valid, such as a stage's place on the other end's clock, is left out where it is read.
"""

from typing import Any, Dict, List, Optional, Sequence

from splitwatt.profiler.analyse.waterfall import jumps
from splitwatt.profiler.config.config import Config
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.blocks import NO_SERVER, ClockEstimate, LinkRate

# Of the board's state, what does not change from minute to minute.
_STATE = ("machine", "cpu_model", "cpus", "nvpmodel", "governors", "cpu_max_khz")
_SERVER = ("url", "started_by_profile", "name", "version", "backend")
# A link this far off the rate that was asked for is reported.
_TOLERANCE = 0.05


def network_notes(
    document: Dict[str, Any],
    config: Config,
    estimates: Sequence[ClockEstimate],
    rates: Sequence[LinkRate],
) -> List[str]:
    """What was odd about a run's network: sentences, each once.

    Args:
        document: run.json.
        config: the run's.
        estimates, rates: every line of clock.jsonl and of links.jsonl.
    """
    notes = _versions(document)
    notes += [e.why_not for e in estimates if e.why_not and e.why_not != NO_SERVER]
    notes += jumps(estimates)
    for link in measured_links(config):
        for rate in rates:
            sentence = deviation(rate, link)
            if sentence:
                notes.append("%s, %s: %s" % (rate.block, rate.when, sentence))
    return sorted(set(notes), key=notes.index)


def quota_note(document: Dict[str, Any]) -> Optional[str]:
    """A sentence on the CPU quota that stands in for a slower board; None without one.

    Args:
        document: run.json.
    """
    facts = [row.get("quota") for row in [document] + list(document.get("resumed") or [])]
    shares = [fact["measured_share"] for fact in facts if fact and fact["measured_share"]]
    first = facts[0]
    if first is None or not shares:
        return None
    had = " to ".join("%.3g" % share for share in sorted({min(shares), max(shares)}))
    return (
        "quota: the board's process had %s of %d processor%s (%g asked for), a stand-in for a slower "
        "board" % (had, first["cpus"], "" if first["cpus"] == 1 else "s", first["share"])
    )


def measured_links(config: Config) -> List[Link]:
    """The link that samples are taken over, where the config has one."""
    return [link for link in config.links if link.measured][:1]


def deviation(rate: LinkRate, link: Link) -> Optional[str]:
    """A sentence where the link's rate is not the one that was asked for, or None."""
    odd: List[str] = []
    for way, measured, asked in (
        ("uplink", rate.uplink_kbit_s, link.rate_kbit_s),
        ("downlink", rate.downlink_kbit_s, link.downlink_kbit_s),
    ):
        if measured and asked and abs(measured / asked - 1.0) > _TOLERANCE:
            word = "faster" if measured > asked else "slower"
            odd.append("the %s has %.4g kbit/s, %s than the %.4g asked for"
                       % (way, measured, word, asked))  # fmt: skip
    return "; ".join(odd) or None


def other_conditions(document: Dict[str, Any], row: Dict[str, Any]) -> List[str]:
    """In what a resume differs from the run's start, a phrase each.

    Args:
        document: run.json.
        row: of its `resumed`.
    """
    phrases = _differ(document.get("versions"), row.get("versions"))
    phrases += _differ(document.get("board_state"), row.get("board_state"), _STATE)
    phrases += _differ(document.get("sensors"), row.get("sensors"))
    began = dict(document.get("server") or {})
    now = dict(row.get("server") or {})
    if began.get("started_by_profile") and now.get("started_by_profile"):
        began["url"] = now["url"] = None  # a free port
    return phrases + ["server's " + phrase for phrase in _differ(began, now, _SERVER)]


def _differ(began: Any, now: Any, names: Any = None) -> List[str]:
    if not began or not now:
        return []
    return [
        "%s %s (it was %s)" % (name, now[name], began[name])
        for name in names or sorted(began)
        if name in began and name in now and began[name] != now[name]
    ]


def _versions(document: Dict[str, Any]) -> List[str]:
    """A sentence per session in which the board and a splitwatt server had different versions."""
    notes = []
    for session in [document] + list(document.get("resumed") or []):
        server = session.get("server") or {}
        theirs, own = server.get("version"), (session.get("versions") or {}).get("splitwatt")
        if server.get("name") == "splitwatt" and theirs and own and theirs != own:
            notes.append("the server is splitwatt %s and the board %s" % (theirs, own))
    return notes
