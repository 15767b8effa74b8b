"""What was run: board, server, images, versions; and what is missing or unusual."""

from typing import Any

from splitwatt.profiler.analyse.summary import remarks
from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Run, Series, board_of, runs_of
from splitwatt.reports.load.values import ranges, unique
from splitwatt.reports.metrics.energy import board_energy

# The title of the list of these sentences.
SHORTFALLS = "What is missing or unusual"


def run_facts(run: Run) -> dict[str, Any]:
    """A run's own facts, as its run.json states them."""
    document = run.document
    config = run.config
    return {
        "path": str(run.path),
        "id": run.id,
        "name": run.name,
        "started": document.get("started_wall"),
        "finished": document.get("finished_wall"),
        "board": board_of(run),
        "server": document["targets"].get("server"),
        "same_machine": run.same_machine,
        "backends": list(config.backends),
        "server_backend": config.server_backend,
        "payload": config.payload,
        "configuration_file": config.name,
        "configurations": len(config.configurations),
        "images": [dict(image) for image in document.get("images", [])],
        **{key: getattr(config, key) for key in ("warmup", "inferences", "repeats", "seed")},
        "versions": document.get("versions") or {},
        "board_state": document.get("board_state") or {},
        "server_facts": document.get("server") or {},
    }


def facts_for_people(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """The same, in words: name and text of each."""
    server = f"{facts['server']}, backend {facts['server_backend']}"
    if facts["same_machine"]:
        server += ", on the same machine as the board"
    sizes = unique(f"{i.get('width')}x{i.get('height')}" for i in facts["images"])
    images = f"{len(facts['images'])} ({', '.join(sizes[:4])}{', ...' if len(sizes) > 4 else ''})"
    counts = (
        f"{facts['inferences']} inferences, {facts['repeats']} block(s), "
        f"{facts['warmup']} warm-up inferences each, order seed {facts['seed']}"
    )
    return [
        ("Run", f"{facts['name']} (`{facts['id']}`), started {facts['started']}, "
                f"finished {facts['finished'] or 'never'}"),
        ("Board", f"{facts['board']}, backend {', '.join(facts['backends'])}"),
        ("Server", server),
        ("Configurations", f"{facts['configurations']}, from {facts['configuration_file']}"),
        ("Payload on simulated links", facts["payload"]),
        ("Photographs", images),
        ("For each configuration", counts),
        ("Board's state", _pairs(facts["board_state"])),
        ("Server's state", _pairs(facts["server_facts"])),
        ("Versions", _pairs(facts["versions"])),
    ]  # fmt: skip


def shortfalls(series: list[Series]) -> list[str]:
    """A sentence on everything that is missing, with its reason, and on everything unusual in the
    records: throttling, an unsteady warm-up, outliers, clocks and links.
    """
    lines: list[str] = []
    for run in runs_of(series):
        if not run.finished:
            lines.append(
                f"{run.name}: the run is not finished; "
                f"`splitwatt profile --resume {run.path}` goes on with it."
            )
        odd = [*run.damaged, *remarks(run), *(run.document.get("network_notes") or [])]
        lines += [f"{run.name}: {sentence}." for sentence in odd]
    for s in series:
        for entry in s.entries:
            if entry.failed or entry.missing:
                lines.append(f"{s.label}: {entry.label}: {entry.counts}.")
    lines += _differing(series)
    if all(not s.run.power for s in series):
        lines.append('Energy: no run has a power sensor\'s records, so energy prints as "-".')
    lines += _without_energy(series)
    if any(s.run.same_machine for s in series):
        lines.append(
            "Board-wide memory and energy: board and server shared one machine, so the board's own "
            'share is not known and prints as "-".'
        )
    return lines


def accuracy_shortfalls(accuracy: Accuracy) -> list[str]:
    """A sentence on missing or damaged accuracy."""
    if not accuracy.results and not accuracy.problems:
        return [
            "Accuracy: no run has an accuracy.json (`splitwatt evaluate` writes it), so there is "
            "no accuracy table and no rate-distortion figure."
        ]
    return list(accuracy.problems)


def _without_energy(series: list[Series]) -> list[str]:
    """Which configurations of a run with a sensor have no joules, by reason."""
    lines = []
    for s in (s for s in series if s.run.power and not s.run.same_machine):
        reasons: dict[str, list[str]] = {}
        for entry in s.entries:
            why = board_energy(entry).gross_j.why
            if why and entry.samples:
                reasons.setdefault(why, []).append(entry.label)
        lines += [
            f"{s.label}: no energy of {ranges(labels)}: {why}." for why, labels in reasons.items()
        ]
    return lines


def _differing(series: list[Series]) -> list[str]:
    """Configurations that have one id and different models in different runs."""
    models: dict[str, set[tuple[str, ...]]] = {}
    labels = {}
    for entry in (e for s in series for e in s.entries):
        models.setdefault(entry.id, set()).add(entry.models)
        labels[entry.id] = entry.label
    return [
        f"{labels[id]} runs different models in different runs: compare its rows with care."
        for id, digests in models.items()
        if len(digests) > 1
    ]


def _pairs(values: dict[str, Any]) -> str:
    known = {key: value for key, value in values.items() if value not in (None, "", {}, [])}
    return ", ".join(f"{key} {_short(value)}" for key, value in known.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return str(value)
