"""The Ladon paper's Tables 1 to 3 for the machines, models and configurations of these runs."""

from typing import Any

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.targets import load_target
from splitwatt.reports.load.accuracy import MAIN_METRIC, Accuracy
from splitwatt.reports.load.model import Entry, Series, board_of, runs_of
from splitwatt.reports.load.values import MIB, Value, exact, missing, unique
from splitwatt.reports.papers.published import rows as printed
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import Column, Row, Table, percent, whole

GIB = 1024**3
_SLOTS = {"classification": "IC", "detection": "OD", "segmentation": "SS"}


def devices_table(series: list[Series]) -> Table:
    """Table 1: the machines of the runs, as they describe themselves, and the paper's."""
    columns = [
        Column("role", "Role", number=False),
        Column("target", "Target", number=False),
        Column("device", "Device", number=False),
        Column("cpu", "CPU", number=False),
        Column("gpu", "GPU", number=False),
        Column("cores", "Cores", text=whole),
        Column("ram_gib", "RAM", "GiB"),
        Column("mode", "Power mode", number=False),
        Column("paper", "In the paper's Table 1", number=False),
    ]
    rows: list[Row] = []
    for run in runs_of(series):
        same = " and server" if run.same_machine else ""
        state = run.document.get("board_state") or {}
        rows.append(_machine(f"board{same}", board_of(run), state))
        if not run.same_machine:
            server = run.document.get("server")
            target = str(run.document["targets"].get("server") or "server")
            rows.append(_machine("server", target, server if isinstance(server, dict) else {}))
    kept = list({tuple(str(cell) for cell in row.values()): row for row in rows}.values())
    under = ['What a machine did not report prints as "-".']
    return Table("devices", "Devices (Table 1)", columns, kept, under, "target")


def _machine(role: str, target: str, state: dict[str, Any]) -> Row:
    paper = next((row for row in printed("devices") if row["target"] == target), None)
    memory, cores = state.get("memory_total_bytes"), state.get("cpus")
    return {
        "role": role,
        "target": target,
        "device": _title(target),
        "cpu": str(state.get("cpu_model") or ""),
        "gpu": str(state.get("gpu") or ""),
        "cores": exact(cores, "measured", why="the machine did not report it"),
        "ram_gib": exact(memory and memory / GIB, "measured", why="the machine did not report it"),
        "mode": str(state.get("nvpmodel") or ""),
        "paper": f"{paper['cpu']}; {paper['gpu']}; {paper['ram_gb']} GB" if paper else "",
    }


def _title(target: str) -> str:
    try:
        return load_target(target).title
    except SplitwattError:  # a user's own file, which is not here
        return ""


def models_table(series: list[Series], accuracy: Accuracy) -> Table:
    """Table 2: the local models of the runs, counted from their graphs, and the paper's."""
    columns = [
        Column("task", "Task", number=False),
        Column("index", "Index", number=False),
        Column("model", "Model", number=False),
        Column("params_m", "Parameters", "M"),
        Column("size_mib", "Graph", "MiB"),
        Column("input", "Input", number=False),
        Column("metric", "Metric", number=False),
        Column("ours_percent", "Evaluated", "%", interval=True, text=percent),
        Column("published_params_m", "Paper: parameters", "M"),
        Column("published_size_mb", "Paper: size", "MB"),
        Column("published_percent", "Paper", "%", text=percent),
    ]
    stated = {row["model"]: row for row in printed("baselines")}
    bundles = _local_bundles(series)
    order = [*(m for m in stated if m in bundles), *(m for m in bundles if m not in stated)]
    rows: list[Row] = []
    for model in order:
        paper = stated.get(model, {})
        parts = [p for p in bundles[model].get("parts", []) if p.get("placement") == "board"]
        evaluated = next((r for r in accuracy.results if r.model == model and r.metrics), None)
        task = paper.get("task") or (evaluated.task if evaluated else "")
        rows.append(
            {
                "task": _SLOTS.get(task, task),
                "index": paper.get("index", ""),
                "model": model,
                "params_m": _sum(parts, "params", 1e6),
                "size_mib": _sum(parts, "bytes", MIB),
                "input": ", ".join(unique(_shape(part) for part in parts if _shape(part))),
                "metric": MAIN_METRIC[task][0].removesuffix("_percent") if task else "",
                "ours_percent": evaluated.main if evaluated else missing("no accuracy.json has it"),
                "published_params_m": _stated(paper, "params_m"),
                "published_size_mb": _stated(paper, "size_mb"),
                "published_percent": _stated(paper, "value"),
            }
        )
    under = [
        "Parameters and files are of the exported graphs, batch norms folded; Input: where their "
        "operations were counted. The paper's columns are its Table 2."
    ]
    return Table("models", "Local models (Table 2)", columns, rows, under, "model")


def _local_bundles(series: list[Series]) -> dict[str, dict[str, Any]]:
    models = [m for s in series for e in s.entries if not e.split for m in e.models]
    known: dict[str, dict[str, Any]] = {}
    for run in runs_of(series):
        known.update({m: run.bundles[m] for m in models if m in run.bundles})
    return known


def _sum(parts: list[dict[str, Any]], key: str, unit: float) -> Value:
    values = [part.get(key) for part in parts]
    if not values or None in values:
        return missing("the bundle does not state it")
    return exact(sum(float(v) for v in values if v is not None) / unit, "measured")


def _shape(part: dict[str, Any]) -> str:
    shapes = (part.get("gmac_at") or {}).values()
    return ", ".join(
        "x".join(str(size) for size in shape[1:]) for shape in shapes if len(shape) == 4
    )


def _stated(paper: dict[str, str], key: str) -> Value:
    text = paper.get(key)
    return exact(float(text) if text else None, "published", why="not in the paper's Table 2")


def configurations_table(series: list[Series]) -> Table:
    """Table 3: which models each configuration of the runs runs for one image."""
    columns = [
        Column("config", "Config.", number=False),
        Column("kind", "Where", number=False),
        Column("models", "Models", number=False),
        Column("runs", "Runs", number=False, quiet=True),
        Column("assumed", "Assumed", number=False, quiet=True),
    ]
    alike: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    for entry in (entry for s in series for entry in s.entries):
        alike.setdefault((entry.id, entry.models), []).append(entry)
    rows: list[Row] = [
        {
            "config": own[-1].marked,
            "kind": "split" if own[-1].split else "local",
            "models": ", ".join(own[-1].models),
            "runs": ", ".join(unique(entry.run.name for entry in own)),
            "assumed": "yes" if own[-1].assumed else "",
        }
        for own in alike.values()
    ]
    under = ["Local: on the board alone, one model after the other.", *notes.assumed(series)]
    return Table("configurations", "Configurations (Table 3)", columns, rows, under)
