"""Engines that several pipelines share: an encoder that is in three bundles is loaded once."""

from typing import Dict, Optional, Tuple

from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.backends.closing import Closing
from splitwatt.engines.backends.strips import StripEngine, runs_on_strips
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part


class EngineStore(Closing):
    """Engines by the SHA-256 of their part's file, backend and threads; `close` closes all."""

    def __init__(self) -> None:
        self._engines: Dict[Tuple[str, str, Optional[int]], Engine] = {}

    def get(self, bundle: Bundle, part: Part, backend: str, threads: Optional[int]) -> Engine:
        """The engine of a part, loaded when it is first asked for; errors as in `load_engine`."""
        key = (part.sha256, backend, threads)
        if key not in self._engines:
            engine = load_engine(backend, bundle.part_path(part.name), threads)
            if part.strips and runs_on_strips(engine, part.strips):
                engine = StripEngine(engine, part.strips)
            self._engines[key] = engine
        return self._engines[key]

    def close(self) -> None:
        """Close every engine."""
        while self._engines:
            self._engines.popitem()[1].close()
