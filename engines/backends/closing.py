"""Objects that release their resources: `close()`, and `with`."""

from typing import TypeVar

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
