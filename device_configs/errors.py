"""Every error that splitwatt raises on purpose, drawn as a tree.

SplitwattError                a command prints it as one sentence and exits 1
|-- UsageError                exits 2: an unknown name, a missing argument
|   `-- ConfigError           a YAML file: which file, which key, what was expected
|-- TargetError               a machine cannot do what is asked of it
|-- ImageError                a photograph that cannot be decoded
|-- BundleError               a bundle is missing, truncated, tampered with or of another format
|-- CheckpointError           weights that do not fit the model
|-- ExportError               a graph that is not what PyTorch computes, or that a target cannot run
|-- EngineError               a backend that is missing or failed
|-- BitstreamError            bytes that are not a valid bitstream
|   `-- DesyncError           valid bytes that do not fit these tables or indexes
|-- ServerError               the server is gone, refused, or answered nonsense
|-- RunError                  a run folder that cannot be written, read or resumed
`-- SensorError               a power rail that cannot be read
"""


class SplitwattError(Exception):
    """What went wrong and what to do about it, in one sentence each.

    Args:
        message: what is wrong, naming the file and the key where there is one.
        remedy: what to do; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        # A text of a file or a library that is quoted in it may have line breaks.
        self.message, self.remedy = _one_line(message), _one_line(remedy)
        super().__init__(self.message)

    def __str__(self) -> str:
        return "%s; %s" % (self.message, self.remedy) if self.remedy else self.message


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


class UsageError(SplitwattError):
    """The command line or a name in it is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file is wrong."""


class TargetError(SplitwattError):
    """The target cannot do what is asked."""


class ImageError(SplitwattError):
    """An image file is not one, or is beyond the limits."""


class BundleError(SplitwattError):
    """A bundle does not hold what its manifest says."""


class CheckpointError(SplitwattError):
    """A checkpoint does not fit the model."""


class ExportError(SplitwattError):
    """An exported part is not what PyTorch computes, or its target cannot run it."""


class EngineError(SplitwattError):
    """A backend is missing or failed."""


class BitstreamError(SplitwattError):
    """The bytes are not a valid bitstream."""


class DesyncError(BitstreamError):
    """The bytes arrived whole, but tables or indexes differ between the two ends."""


class ServerError(SplitwattError):
    """The server cannot be reached, refused, or answered something else than was agreed."""


class RunError(SplitwattError):
    """A run folder cannot be written, read or resumed."""


class SensorError(SplitwattError):
    """A power rail cannot be read."""
