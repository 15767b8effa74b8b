"""The models of a server: the bundles of a folder, loaded on demand, unloaded to make room."""

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psutil

from splitwatt.device_configs.errors import ServerError, SplitwattError, UsageError
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.device_configs.names import check_known
from splitwatt.engines.bundle.bundle import MANIFEST, MANIFEST_LIMIT_BYTES, Bundle
from splitwatt.engines.pipeline.batching import BatchPipeline
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.profiler.server.inference.tensors import metadata


def process_bytes() -> int:
    """The resident memory of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)


class UnknownModelError(ServerError):
    """The server has no such model."""


class Usage(NamedTuple):
    """What is loaded now, and what was done for it since the start."""

    models: int
    bytes: int
    loads: int
    evictions: int


class _Engines(EngineStore):
    """The engines of all models: a part that several of them have, as the body of all rates of a JPEG
    system, is loaded once, and closed with the last model that has it.
    """

    def keep(self, parts: set[str]) -> None:
        """Close every engine whose part's SHA-256 is not among `parts`."""
        for key in list(self._engines):
            if key[0] not in parts:
                self._engines.pop(key).close()


class _Loaded:
    """A model that is loaded or being loaded; `users` counts the inferences that run on it."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        # A codec runs parts of both ends, too.
        self.parts = {part.sha256 for part in manifest.parts if part.placement != "board"}
        self.bytes = sum(part.bytes for part in manifest.placed("server"))
        self.users = 0
        self.pipeline: BatchPipeline | None = None


class Models:
    """Server pipelines by model name; its methods may be called from several threads at once.

    Args:
        bundles: a folder with a folder a bundle, or model -> its bundle's folder.
        backend: what runs the parts.
        threads: per inference; None: the backend's default.
        budget_bytes: of the loaded models' parts, as their files' sizes; the model that was
            used longest ago is unloaded first.
        resident_bytes: what the process takes. A model takes several times its files (weights laid
            out again, tensors of large images): idle ones go while this is over the budget.
    """

    def __init__(
        self,
        bundles: str | dict[str, str],
        backend: str,
        threads: int | None,
        budget_bytes: int = sys.maxsize,
        resident_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._places = bundles
        self._backend = backend
        self._threads = threads
        self.budget_bytes = budget_bytes
        self._resident_bytes = resident_bytes
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._loading = threading.Lock()
        self._bundles: dict[str, Bundle] = {}
        self._split: dict[str, tuple[int, bool]] = {}  # name -> its manifest's time, and whether
        self._engines = _Engines()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._leaving: set[_Loaded] = set()
        self._loads = 0
        self._evictions = 0

    def names(self) -> list[str]:
        """The models whose server's parts this can run. A damaged bundle is among them: a
        request for it gets the error.
        """
        return [name for name in self._there() if self._is_split(name)]

    def _there(self) -> list[str]:
        places = self._places
        if isinstance(places, str):
            names = os.listdir(places) if os.path.isdir(places) else []
        else:
            names = list(places)
        return sorted(name for name in names if self._manifest(name))

    def _manifest(self, name: str) -> str | None:
        """The path of a bundle's manifest; None where there is no bundle of that name."""
        if isinstance(self._places, str):
            folder = os.path.join(self._places, name)
            inside = name not in ("", ".", "..") and "/" not in name
        else:
            folder, inside = self._places.get(name, ""), name in self._places
        path = os.path.join(folder, MANIFEST)
        return path if inside and os.path.isfile(path) else None

    def _is_split(self, name: str) -> bool:
        try:
            path = self._manifest(name) or ""
            changed = os.stat(path).st_mtime_ns
            if self._split.get(name, (None, True))[0] != changed:
                document = read_json(path, MANIFEST_LIMIT_BYTES)
                self._split[name] = changed, document["codec"] is not None
            return self._split[name][1]
        except (OSError, SplitwattError, KeyError, TypeError):
            return True

    def is_there(self, name: str) -> bool:
        """Whether there is a bundle of this name, damaged or not."""
        return name in self._bundles or self._manifest(name) is not None

    def is_loaded(self, name: str) -> bool:
        """Whether a model is loaded now."""
        loaded = self._loaded.get(name)
        return loaded is not None and loaded.pipeline is not None

    def usage(self) -> Usage:
        """What is loaded."""
        with self._changed:
            return Usage(len(self._loaded), self._bytes(), self._loads, self._evictions)

    def bundle(self, name: str) -> Bundle:
        """A model's bundle, its server's files checked when it is first asked for.

        Raises:
            UnknownModelError: there is no such bundle, or it is of a local model.
            BundleError: it is damaged.
        """
        with self._opening:
            if name not in self._bundles:
                try:
                    check_known("model", name, self._there())
                except UsageError as error:
                    raise UnknownModelError(error.message, error.remedy)
                bundle = Bundle.open(os.path.dirname(self._manifest(name) or name), "server")
                if not bundle.manifest.split:
                    raise UnknownModelError("the model '%s' runs on the board alone" % name)
                self._bundles[name] = bundle
            return self._bundles[name]

    @contextmanager
    def use(self, name: str) -> Iterator[BatchPipeline]:
        """A model's pipeline, loaded where it is not, and kept for as long as it is in use.

        Raises:
            UnknownModelError, BundleError: as `bundle`.
            SplitwattError: it is larger than the budget, or cannot be loaded.
        """
        loaded = self._take(name, self.bundle(name))
        try:
            yield self._pipeline(name, loaded)
        finally:
            self._give_back(loaded)

    def load(self, name: str) -> None:
        """Load a model now; raises as `use`."""
        with self.use(name):
            pass

    def unload(self, name: str) -> None:
        """Unload a model, once nothing runs on it; one that is not loaded is ignored."""
        with self._changed:
            self._release(name)
        with self._opening:
            self._bundles.pop(name, None)

    def metadata(self, name: str) -> dict[str, Any]:
        """What the protocol's model metadata says; raises as `bundle`."""
        return metadata(name, self.bundle(name))

    def close(self) -> None:
        """Unload every model."""
        with self._changed:
            for name in list(self._loaded):
                self._release(name)

    def _take(self, name: str, bundle: Bundle) -> _Loaded:
        new = _Loaded(bundle)
        with self._changed:
            if new.bytes > self.budget_bytes:
                raise SplitwattError(
                    "the parts of %s have %d MB and the server's memory budget is %d MB"
                    % (name, -(-new.bytes // 10**6), self.budget_bytes // 10**6),
                    "start it with a larger --memory-mb",
                )
            while name not in self._loaded and not self._room(new.bytes):
                self._changed.wait()  # until a model that is in use leaves
            loaded = self._loaded.setdefault(name, new)
            self._loaded.move_to_end(name)
            loaded.users += 1
            return loaded

    def _room(self, size: int) -> bool:
        for name in [n for n, loaded in self._loaded.items() if not loaded.users]:
            if max(self._bytes(), self._resident_bytes()) + size <= self.budget_bytes:
                break
            self._release(name)
            self._evictions += 1
        return self._bytes() + size <= self.budget_bytes

    def _bytes(self) -> int:
        return sum(one.bytes for one in (*self._loaded.values(), *self._leaving))

    def _pipeline(self, name: str, loaded: _Loaded) -> BatchPipeline:
        if loaded.pipeline is not None:
            return loaded.pipeline
        with self._loading:
            if loaded.pipeline is None:
                try:
                    loaded.pipeline = BatchPipeline(
                        loaded.bundle, self._backend, self._threads, self._engines
                    )
                except BaseException:
                    with self._changed:
                        if self._loaded.get(name) is loaded:
                            self._release(name)
                    raise
                self._loads += 1
            return loaded.pipeline

    def _give_back(self, loaded: _Loaded) -> None:
        with self._changed:
            loaded.users -= 1
            if not loaded.users and loaded in self._leaving:
                self._leaving.remove(loaded)
                self._close_unused()
            self._changed.notify_all()

    def _release(self, name: str) -> None:
        loaded = self._loaded.pop(name, None)
        if loaded is not None and loaded.users:
            self._leaving.add(loaded)
        self._close_unused()
        self._changed.notify_all()

    def _close_unused(self) -> None:
        models = (*self._loaded.values(), *self._leaving)
        self._engines.keep({part for one in models for part in one.parts})
