"""The short table at the end of a profile; `splitwatt report` makes the real ones."""

from typing import Any, List, Optional

from profiler.records import Run, Sample, end_to_end_s, local_s, network_s, read_run, server_s


def short_table(path: str) -> str:
    """Medians of each configuration and backend, as text in columns; "-" where nothing is known."""
    run = read_run(path)
    header = [
        "config",
        "backend",
        "ok",
        "failed",
        "board ms",
        "server ms",
        "network ms",
        "total ms",
    ]
    header += ["payload B"] + ["at %s, s" % link.name for link in run.config.links]
    rows = [header] + [
        _row(run, row.id, backend)
        for row in run.config.configurations
        for backend in run.config.backends
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )


def _row(run: Run, config: str, backend: str) -> List[str]:
    good = run.measured(config, backend)
    tried = [s for s in run.samples if (s.config, s.backend, s.warmup) == (config, backend, False)]
    cells = [config, backend, str(len(good)), str(len(tried) - len(good))]
    cells += [_ms(good, local_s), _ms(good, server_s), _ms(good, network_s), _ms(good, _total)]
    payload = _median([s.payload_bytes for s in good])
    cells.append("-" if payload is None else "%d" % payload)
    for link in run.config.links:
        seconds = _median([end_to_end_s(sample, link) for sample in good])
        cells.append("-" if seconds is None else "%.3f" % seconds)
    return cells


def _total(sample: Sample) -> Optional[float]:
    return sample.total_s


def _ms(samples: List[Sample], of: Any) -> str:
    seconds = _median([of(sample) for sample in samples])
    return "-" if seconds is None else "%.1f" % (1000 * seconds)


def _median(values: List[Any]) -> Optional[float]:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    middle = len(known) // 2
    return float(known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2)
