"""A run folder as an auditor sees it: each line checked by itself, nothing merged or left out."""

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from splitwatt.device_configs.errors import RunError
from splitwatt.profiler.records.document import read_document
from splitwatt.profiler.records.reading import open_file, whole_lines
from splitwatt.profiler.records.run import FILES, parse_row
from splitwatt.profiler.records.sample import Sample
from splitwatt.profiler.records.samples import Samples

# A check names at most this many faults and counts the rest.
_SHOWN = 3


class Check(NamedTuple):
    """A named check.

    Attributes:
        name: what holds where it is met.
        met: whether it is; None where the run gives nothing to check.
        said: what was looked at, or what is wrong.
    """

    name: str
    met: Optional[bool]
    said: str


class Raw(NamedTuple):
    """A run's files.

    Attributes:
        path: the folder.
        document: run.json.
        rows: name of a .jsonl file -> its records, of the lines that can be read.
        damaged: sentences on lines that cannot.
    """

    path: str
    document: Dict[str, Any]
    rows: Dict[str, Any]
    damaged: List[str]

    @property
    def samples(self) -> Samples:
        """Every line of samples.jsonl."""
        samples: Samples = self.rows["samples"]
        return samples

    def good(self) -> Samples:
        """Samples that gave an answer, warm-up included."""
        return self.samples.where(lambda sample: sample.ok)

    @property
    def finished(self) -> bool:
        """Whether the run says that it has come to its end."""
        return self.document.get("finished_wall") is not None


def read_raw(path: str) -> Raw:
    """Read every line of a run.

    Raises:
        RunError: there is no run at all.
    """
    document = read_document(path)
    damaged: List[str] = []
    rows: Dict[str, Any] = {}
    for name, cls in FILES.items():
        own = _rows(path, name, cls, damaged)
        rows[name[: -len(".jsonl")]] = Samples.of(own) if cls is Sample else list(own)
    return Raw(path, document, rows, damaged)


def verdict(name: str, wrong: List[str], looked_at: str) -> Check:
    """A check that is met where nothing is wrong."""
    if not wrong:
        return Check(name, True, looked_at)
    more = "; and %d more" % (len(wrong) - _SHOWN) if len(wrong) > _SHOWN else ""
    return Check(name, False, "; ".join(wrong[:_SHOWN]) + more)


def nothing(name: str, why: str) -> Check:
    """A check for which the run gives nothing."""
    return Check(name, None, why)


def place(sample: Sample) -> str:
    """A sample, for sentences."""
    kind = "warm-up" if sample.warmup else "inference"
    return "%s %s %s" % (sample.block, kind, sample.inference)


def _rows(path: str, name: str, cls: Any, damaged: List[str]) -> Iterator[Any]:
    file = os.path.join(path, name)
    size = 0
    try:
        for number, line in whole_lines(file):
            size += len(line)
            try:
                row = parse_row(line, cls, "%s, line %d" % (name, number))
            except RunError as error:
                damaged.append(error.message)
                continue
            yield row
        if os.path.lexists(file):
            with open_file(file) as stream:
                if stream.seek(0, os.SEEK_END) > size:
                    damaged.append("%s: its last line is cut off" % name)
    except RunError as error:
        damaged.append(error.message)
