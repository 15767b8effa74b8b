"""The interface of every engine: the public method checks, the private one computes."""

from typing import Dict, Mapping, NamedTuple, Optional, Sequence, TypeVar

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.device_configs.names import suggestion
from splitwatt.engines.bundle.manifest import Port

_Self = TypeVar("_Self", bound="Closing")


class Closing:
    """A context manager that closes itself at the end."""

    def close(self) -> None:
        """Release the resources; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Built(NamedTuple):
    """The runtime that built an engine on this machine ("tensorrt 8.2.1"), and the precision."""

    runtime: str
    precision: str


class Engine(Closing):
    """A part that a backend has loaded. Thread-safe if the backend says so.

    A backend's subclass defines `_run` and `_close`, and passes `inputs` and `outputs` to this class.

    Attributes:
        name: the file name of the graph, for errors.
        inputs, outputs: the graph's ports by name.
        fallback: the rule and its reason, if another backend runs the part by a recorded rule.
        built: the runtime and precision of an engine that was built before it runs.
        device_s: time of the last run on the accelerator by its own clock, s; None without one.
    """

    fallback: Optional[str] = None
    built: Optional[Built] = None
    device_s: Optional[float] = None

    def __init__(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        self.name = name
        self.inputs = {port.name: port for port in inputs}
        self.outputs = {port.name: port for port in outputs}
        self._closed = False

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Run the graph once.

        Args:
            feeds: one array per input, of the port's dtype and rank.

        Returns:
            One C-contiguous array per output.

        Raises:
            EngineError: an input is missing, unknown or has another dtype or shape; the engine is
                closed; or the backend failed.
        """
        if self._closed:
            raise EngineError("the engine %s is closed" % self.name)
        for name in feeds:
            if name not in self.inputs:
                raise EngineError(
                    "the engine %s has no input '%s'" % (self.name, name),
                    suggestion(name, self.inputs),
                )
        for name, port in self.inputs.items():
            if name not in feeds:
                raise EngineError("the engine %s needs its input '%s'" % (self.name, name))
            _check(self.name, port, feeds[name])
        outputs = self._run(feeds)
        return {name: np.ascontiguousarray(outputs[name]) for name in self.outputs}

    def close(self) -> None:
        """Release the backend's resources; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Run the graph on checked inputs; EngineError if it fails."""
        raise NotImplementedError

    def _close(self) -> None:
        """Release the backend's resources; called once."""
        raise NotImplementedError


def fits(port: Port, array: np.ndarray) -> bool:
    """Whether an array has a port's dtype, its rank and its fixed sides."""
    return (
        array.dtype.name == port.dtype
        and array.ndim == len(port.shape)
        and all(fixed is None or fixed == size for fixed, size in zip(port.shape, array.shape))
    )


def _check(engine: str, port: Port, array: np.ndarray) -> None:
    if isinstance(array, np.ndarray) and fits(port, array):
        return
    actual = type(array).__name__
    if isinstance(array, np.ndarray):
        actual = "%s %s" % (array.dtype.name, array.shape)
    form = "%s (%s)" % (port.dtype, ", ".join("?" if d is None else str(d) for d in port.shape))
    raise EngineError(
        "the input '%s' of %s must be an array %s, not %s" % (port.name, engine, form, actual)
    )
