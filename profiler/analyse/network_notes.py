"""What was odd about a run's network: clocks that jumped, a link off its rate, an older server.

None of it stops a run. Samples are timed on the board's monotonic clock alone and stay sound; what
is not, as a stage's place on the other end's clock, is left out where it is read.
"""

from typing import Any, Dict, List

from splitwatt.profiler.analyse.waterfall import jumps
from splitwatt.profiler.config.config import Config
from splitwatt.profiler.execute.link_probe import deviation
from splitwatt.profiler.links.link import NONE, SHAPED, Link
from splitwatt.profiler.records.network import NO_SERVER
from splitwatt.profiler.records.run import read_clock, read_rates


def network_notes(path: str, document: Dict[str, Any], config: Config) -> List[str]:
    """Sentences, each once.

    Args:
        path: the run folder.
        document: its run.json.
        config: the run's.
    """
    notes = _version(document)
    estimates, rates = read_clock(path), read_rates(path)
    notes += [e.why_not for e in estimates if e.why_not and e.why_not != NO_SERVER]
    notes += jumps(estimates)
    for link in measured_links(config):
        for rate in rates:
            sentence = deviation(rate, link)
            if sentence:
                notes.append("%s, %s: %s" % (rate.block, rate.when, sentence))
    return sorted(set(notes), key=notes.index)


def measured_links(config: Config) -> List[Link]:
    """The link that samples are taken over, where the config says something of it."""
    return [link for link in config.links if link.kind in (SHAPED, NONE)][:1]


def _version(document: Dict[str, Any]) -> List[str]:
    """Of each session in which a server of ours was of another version than the board."""
    notes = []
    for session in [document] + list(document.get("resumed") or []):
        server = session.get("server") or {}
        theirs, own = server.get("version"), (session.get("versions") or {}).get("splitwatt")
        if server.get("name") == "splitwatt" and theirs and own and theirs != own:
            notes.append("the server is splitwatt %s and the board %s" % (theirs, own))
    return notes
