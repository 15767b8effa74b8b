"""Many samples in little memory: a million take about 0.3 GB, where objects would take 1.7 GB.

What is not a number in a sample (its texts, the names of its stages, which fields are null) is the same
in most samples of a block. It is kept once, as their kind. Of each sample only its kind, its image
and its numbers are kept.

Figures of many samples are computed on columns: a `Sample` in which each number is an array, with an
entry for each sample of one kind. Code that adds, multiplies and compares with None works on both.
"""

from array import array
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence, Tuple

import numpy as np

from splitwatt.profiler.records.sample import Request, Sample

_IMAGE = Sample._fields.index("image")


class _Kind:
    """What samples of one kind share, and the numbers of each of them, one sample after the other."""

    def __init__(self, shared: Tuple[Any, ...], example: Sample) -> None:
        self.shared = shared
        self.example = example
        self.numbers = array("d")
        self.count = 0

    def columns(self) -> np.ndarray:
        """The numbers (samples, numbers of a sample), float64."""
        return np.frombuffer(self.numbers).reshape(self.count, -1)


class _Store:
    """Samples in the order in which they were made."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.kinds: List[_Kind] = []
        numbers_of: Dict[Tuple[Any, ...], int] = {}
        images: Dict[str, int] = {}
        kind_of, row_of = array("i"), array("i")
        for sample in samples:
            numbers: List[float] = []
            values = list(sample)
            values[_IMAGE] = images.setdefault(sample.image, len(images))
            shared = tuple([_apart(value, numbers) for value in values])
            number = numbers_of.get(shared)
            if number is None:
                number = numbers_of[shared] = len(self.kinds)
                self.kinds.append(_Kind(shared, sample))
            kind = self.kinds[number]
            kind.numbers.extend(numbers)
            kind_of.append(number)
            row_of.append(kind.count)
            kind.count += 1
        self.kind_of = np.array(kind_of, dtype=np.int32)
        self.row_of = np.array(row_of, dtype=np.int32)
        self.images = np.array([*images, ""], dtype=object)[:-1]

    def sample(self, at: int) -> Sample:
        """One sample."""
        kind, row = self.kinds[self.kind_of[at]], int(self.row_of[at])
        width = len(kind.numbers) // kind.count
        numbers = iter(kind.numbers[row * width : (row + 1) * width])
        return self._made(kind, numbers, int)

    def columns(self, kind: _Kind, rows: np.ndarray) -> Sample:
        """Samples of one kind as one, each of whose numbers is an array."""
        whole = len(rows) == kind.count and bool((np.diff(rows) == 1).all())
        columns = kind.columns()
        numbers = iter((columns if whole else columns[rows]).T)  # no copy of all of them
        return self._made(kind, numbers, lambda column: column.astype(np.int64))

    def _made(self, kind: _Kind, numbers: Iterator[Any], integers: Callable[[Any], Any]) -> Sample:
        values = [_whole(one, numbers, integers) for one in kind.shared]
        values[_IMAGE] = self.images[values[_IMAGE]]
        return Sample._make(values)


class Samples(Sequence[Sample]):
    """An ordered collection of samples. A sample is made when it is accessed; slices, arrays of
    indices and masks select some.
    """

    def __init__(self, store: _Store, at: np.ndarray) -> None:
        self._store = store
        self._at = at

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Samples":
        """The samples that an iterable gives."""
        store = _Store(samples)
        return cls(store, np.arange(len(store.kind_of)))

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, (slice, np.ndarray)):
            return Samples(self._store, self._at[at])
        return self._store.sample(int(self._at[at]))

    def __iter__(self) -> Iterator[Sample]:
        for at in self._at:
            yield self._store.sample(at)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def where(self, holds: Callable[[Sample], Any]) -> "Samples":
        """The samples for which `holds` is true; called per kind, it must not use images or numbers."""
        return Samples(self._store, self._at[self._codes(lambda sample: bool(holds(sample)))])

    def by(self, key: Callable[[Sample], Any]) -> Dict[Any, "Samples"]:
        """Key -> the samples of that key, as `where`."""
        keys: Dict[Any, int] = {}
        codes = self._codes(lambda sample: keys.setdefault(key(sample), len(keys)))
        names = list(keys)
        return {names[code]: Samples(self._store, self._at[at]) for code, at in _groups(codes)}

    def columns(self) -> Iterator[Tuple[np.ndarray, Sample]]:
        """Per kind: positions among these samples, and those samples as one sample of columns."""
        store = self._store
        for number, places in _groups(store.kind_of[self._at]):
            rows = store.row_of[self._at[places]]
            yield places, store.columns(store.kinds[number], rows)

    def each(self, figure: Callable[[Sample], Any], unknown: Any = np.nan) -> np.ndarray:
        """A figure of each sample, `unknown` where it is None; `figure` is given columns."""
        values = np.full(len(self), unknown)
        for places, sample in self.columns():
            value = figure(sample)
            if value is not None:
                values[places] = value
        return values

    def known(self, figure: Callable[[Sample], Any]) -> np.ndarray:
        """A figure of each sample that has it, float64."""
        values = self.each(figure)
        known: np.ndarray = values[~np.isnan(values)]
        return known

    def latest(self) -> "Samples":
        """The last sample per key, in the place of the first."""
        blocks: Dict[Any, int] = {}
        of_block = self._codes(lambda s: blocks.setdefault((s.block, s.warmup), len(blocks)))
        keys = of_block * 2**32 + self.each(lambda sample: sample.inference).astype(np.int64)
        _, first = np.unique(keys, return_index=True)
        _, last = np.unique(keys[::-1], return_index=True)
        return Samples(self._store, self._at[::-1][last[np.argsort(first)]])

    def _codes(self, code: Callable[[Sample], int]) -> np.ndarray:
        """A whole number or truth value of each sample; `code` is called once per kind."""
        codes = np.array([code(kind.example) for kind in self._store.kinds] or [0])
        of_each: np.ndarray = codes[self._store.kind_of[self._at]]
        return of_each


def _apart(value: Any, numbers: List[float]) -> Any:
    """What a value shares with those of its kind; the numbers in it are appended to `numbers`."""
    kind = type(value)
    if kind is float or kind is int:
        numbers.append(value)
        return kind
    if kind is dict:
        return kind, tuple(value), tuple([_apart(one, numbers) for one in value.values()])
    if kind is list or kind is Request:
        return kind, (), tuple([_apart(one, numbers) for one in value])
    return value


def _whole(shared: Any, numbers: Iterator[Any], integers: Callable[[Any], Any]) -> Any:
    """The value of which `_apart` made `shared` and `numbers`."""
    if shared is float:
        return next(numbers)
    if shared is int:
        return integers(next(numbers))
    if not isinstance(shared, tuple):
        return shared
    kind, names, parts = shared
    values = [_whole(one, numbers, integers) for one in parts]
    if kind is dict:
        return dict(zip(names, values))
    return Request._make(values) if kind is Request else values


def _groups(codes: np.ndarray) -> List[Tuple[int, np.ndarray]]:
    """Each code and the positions that have it, in the order of first occurrence."""
    order = np.argsort(codes, kind="mergesort")  # which is stable in every version of numpy
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    places = sorted(np.split(order, ends), key=lambda own: own[:1].tolist())
    return [(int(codes[own[0]]), own) for own in places if len(own)]
