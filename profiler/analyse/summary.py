"""The short table at the end of a profile; `splitwatt report` makes the real ones."""

from functools import partial
from itertools import product
from typing import Dict, List, Optional, Sequence

from splitwatt.device_configs.printable import table
from splitwatt.profiler.analyse.conditions import other_conditions, quota_note
from splitwatt.profiler.analyse.statistics import quantile, relative_width, spread
from splitwatt.profiler.analyse.times import end_to_end_s, local_s, network_s, server_s
from splitwatt.profiler.records.blocks import throttled_blocks
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.sample import Sample
from splitwatt.profiler.records.samples import Samples


def short_table(run: Run) -> str:
    """Medians of each configuration and backend, as text in columns; "-" where nothing is known."""
    flows = {row.block: row.images_per_s for row in run.throughput}
    header = ["config", "backend", "ok", "failed", "open s", "first ms", "board ms", "server ms",
              "network ms", "total ms", "+- %"]  # fmt: skip
    header += ["images/s"] if flows else []
    header += ["payload B"] + ["at %s, s" % link.name for link in run.config.links]
    both = product(run.config.configurations, run.config.backends)
    rows = [header] + [_row(run, row.id, backend, flows) for row, backend in both]
    return table(rows, _drop(header))


# The least important columns of the short table, where a terminal has no room for all.
_DROP = ["open s", "first ms", "network ms", "server ms", "board ms", "payload B", "backend"]


def _drop(header: List[str]) -> List[str]:
    """What to leave out of the short table: links go last, from the right."""
    links = [name for name in header if name.startswith("at ")]
    return _DROP[:-1] + links[:0:-1] + ["images/s", "+- %"] + _DROP[-1:]


def remarks(run: Run) -> List[str]:
    """What a reader of the table must know, a sentence each."""
    quota = quota_note(run.document)
    sentences = [] if quota is None else [quota]
    for row in run.document.get("resumed") or []:
        differing = other_conditions(run.document, row)
        if differing:
            sentences.append(
                "resumed %s under other conditions: %s" % (row["wall"], "; ".join(differing))
            )
    hot = throttled_blocks(run.samples)
    blocks = run.samples.by(lambda sample: sample.block) if hot else {}
    for block in sorted(hot - run.replaced):
        signs = [sign for sign in blocks[block].by(lambda s: s.throttled_by) if sign]
        sentences.append("%s: the board throttled (%s)" % (block, signs[0] if signs else "no sign"))
    if hot & run.replaced:
        sentences.append("%d throttled blocks ran again and do not count" % len(hot & run.replaced))
    lost = sorted(
        {id for row in run.document.get("resumed") or [] for id in row.get("repeated") or {}}
    )
    if lost:
        sentences.append("measured again because records were lost: %s" % ", ".join(lost))
    cold = sorted({start.block for start in run.starts if start.steady is False} - run.replaced)
    if cold:
        sentences.append("not stable when the warm-up reached its cap: %s" % ", ".join(cold))
    for text in sorted({"%s: %s" % (s.config, text) for s in run.starts for text in s.fallbacks}):
        sentences.append(text)
    built = {"%s: %s" % (s.config, text) for s in run.starts for text in s.built or []}
    sentences += sorted(text for text in built if " and not " in text)
    for text, of in (
        ("outliers, which count: %s (3 interquartile ranges outside quartiles)", _outliers),
        ("took more than one request, which counts in their time: %s", _repeated),
    ):
        counts = [
            "%s on %s %d" % (row.id, backend, of(run.measured(row.id, backend)))
            for row, backend in product(run.config.configurations, run.config.backends)
            if of(run.measured(row.id, backend))
        ]
        sentences += [text % ", ".join(counts)] if counts else []
    sentences += _too_wide(run)
    failed = [row for row in run.throughput if row.failed]
    sentences += ["%s: %d images failed in throughput" % (row.block, row.failed) for row in failed]
    return sentences


def _outliers(samples: Samples) -> int:
    known = spread(samples.known(_total).tolist())
    return (known.outliers or 0) if known else 0


def _repeated(samples: Samples) -> int:
    """Samples with a request that was sent more than once."""
    more = samples.each(lambda sample: sum(request.attempts - 1 for request in sample.requests))
    return int((more > 0).sum())


def _too_wide(run: Run) -> List[str]:
    """Where the median is less well known than the config asks for."""
    until, sentences = run.config.until, []
    if until is None or until.relative_width is None or not run.finished:
        return []
    for config, backend in product(run.config.configurations, run.config.backends):
        times = run.measured(config.id, backend).known(_total)
        width = relative_width(times.tolist(), until.level)
        if width is None or width > until.relative_width:
            shown = "not known" if width is None else "known to +-%.1f %%" % (100 * width)
            sentences.append(
                "%s on %s: the median is %s, not +-%.1f %%, when the limit was met"
                % (config.id, backend, shown, 100 * until.relative_width)
            )
    return sentences


def _row(run: Run, config: str, backend: str, flows: Dict[str, Optional[float]]) -> List[str]:
    good = run.measured(config, backend)
    tried = run.samples.where(lambda s: (s.config, s.backend, s.warmup) == (config, backend, False))
    # Until a process was ready to run, and its first inference: in no other figure.
    starts = [row for row in run.starts if (row.config, row.backend) == (config, backend)]
    ready = [(s.cuda_init_s or 0.0) + s.open_s + (s.server_load_s or 0.0) for s in starts]
    firsts = [start.first_inference_s for start in starts]
    cells = [config, backend, str(len(good)), str(len(tried) - len(good))]
    cells += [_median(ready, "%.2f"), _median(firsts, "%.1f", 1000)]
    for of in (local_s, server_s, network_s, _total):
        cells.append(_median(good.known(of).tolist(), "%.1f", 1000))
    cells.append(_median([relative_width(good.known(_total).tolist())], "%.1f", 100))
    if flows:
        blocks = good.by(lambda sample: sample.block)
        cells.append(_median([flows.get(block) for block in blocks], "%.2f"))
    # What links carry: the published size where it is charged, else the bytes made here.
    cells.append(_median(good.known(_charged).tolist(), "%d"))
    for link in run.config.links:
        cells.append(_median(good.known(partial(end_to_end_s, link=link)).tolist(), "%.3f"))
    return cells


def _total(sample: Sample) -> Optional[float]:
    return sample.total_s


def _charged(sample: Sample) -> Optional[int]:
    published = sample.published_payload_bytes
    return sample.payload_bytes if published is None else published


def _median(values: Sequence[Optional[float]], shown: str, scale: float = 1.0) -> str:
    """The median of the known values as text; "-" without any."""
    known = [value for value in values if value is not None]
    return shown % (scale * quantile(known, 0.5)) if known else "-"
