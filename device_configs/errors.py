"""Every error that splitwatt raises on purpose. A command prints it as one sentence."""


class SplitwattError(Exception):
    """What went wrong and what to do about it, in one sentence each. A command exits with 1.

    Args:
        message: what is wrong, naming the file and the key where there is one.
        remedy: what to do; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        # It may quote a text with line breaks, from a file or a library.
        self.message, self.remedy = _one_line(message), _one_line(remedy)
        super().__init__(self.message)

    def __str__(self) -> str:
        return "%s; %s" % (self.message, self.remedy) if self.remedy else self.message


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


class UsageError(SplitwattError):
    """The command line or a name in it is wrong. A command exits with 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A YAML file is wrong: names the file, the key, and what was expected."""


class TargetError(SplitwattError):
    """A machine cannot do what was asked."""


class ImageError(SplitwattError):
    """A photograph cannot be decoded, or is too large."""


class BundleError(SplitwattError):
    """A bundle is missing, truncated, changed, or of another format."""


class CheckpointError(SplitwattError):
    """Weights do not fit the model."""


class ExportError(SplitwattError):
    """A graph does not compute what PyTorch computes, or its target cannot run it."""


class EngineError(SplitwattError):
    """A backend is missing or failed."""


class BitstreamError(SplitwattError):
    """The bytes are not a valid bitstream."""


class DesyncError(BitstreamError):
    """The bytes arrived complete, but tables or indexes differ between the two ends."""


class ServerError(SplitwattError):
    """The server cannot be reached, refused, or sent an invalid answer."""


class RunError(SplitwattError):
    """A run folder cannot be written, read or resumed."""


class SensorError(SplitwattError):
    """A power rail cannot be read."""
