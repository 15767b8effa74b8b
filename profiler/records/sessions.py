"""Sessions of a run: its start and each resume. What a resume goes on with is kept beside what the run
began with, and what differs is told.
"""

import time
from typing import Any, Dict, List, Optional

from splitwatt.profiler.board.state import board_state
from splitwatt.profiler.board.versions import machine_id, versions

# Of the board's state, what does not change from minute to minute.
_STATE = ("machine", "cpu_model", "cpus", "nvpmodel", "governors", "cpu_max_khz")
_SERVER = ("url", "started_by_profile", "name", "version", "backend")


def session_of(document: Dict[str, Any]) -> int:
    """Which session of a run writes to it now: 0 for its start, n for its n-th resume.

    Args:
        document: run.json, in which a resume has listed itself.
    """
    return len(document.get("resumed") or [])


def resume_row(wall: str, sensors: Dict[str, Any]) -> Dict[str, Any]:
    """What run.json's `resumed` keeps of a resume; the server is filled in when it was met."""
    return {
        "wall": wall,
        "monotonic_s": time.monotonic(),
        "machine": machine_id(),
        "versions": versions(),
        "board_state": board_state(),
        "sensors": sensors,
        "server": None,
    }


def last_server(document: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """The server that a run was last taken on with, as run.json keeps it; None without one."""
    later = [row["server"] for row in document.get("resumed") or [] if row.get("server")]
    return later[-1] if later else document.get("server")


def other_conditions(document: Dict[str, Any], row: Dict[str, Any]) -> List[str]:
    """In what a resume differs from the run's start, a phrase each.

    Args:
        document: run.json.
        row: of its `resumed`.
    """
    found = _differ(document.get("versions"), row.get("versions"))
    found += _differ(document.get("board_state"), row.get("board_state"), _STATE)
    found += _differ(document.get("sensors"), row.get("sensors"))
    began = dict(document.get("server") or {})
    now = dict(row.get("server") or {})
    if began.get("started_by_profile") and now.get("started_by_profile"):
        began["url"] = now["url"] = None  # a free port
    return found + ["server's " + phrase for phrase in _differ(began, now, _SERVER)]


def _differ(began: Any, now: Any, names: Any = None) -> List[str]:
    if not began or not now:
        return []
    return [
        "%s %s (it was %s)" % (name, now[name], began[name])
        for name in names or sorted(began)
        if name in began and name in now and began[name] != now[name]
    ]
