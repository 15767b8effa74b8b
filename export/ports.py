"""The inputs and outputs that parts of the same kind share."""

from splitwatt.engines.bundle.manifest import Port

_MAP = (1, 3, None, None)


def image(size: tuple[int, ...] | None = None) -> Port:
    """The normalised image, of any or a fixed (height, width)."""
    return Port("image", "float32", _MAP if size is None else (1, 3, *size))


DETECTIONS = (
    Port("boxes", "float32", (None, 4)),
    Port("labels", "int64", (None,)),
    Port("scores", "float32", (None,)),
)
INPUT_SIZE = Port("input_size", "int64", (2,))
VALID_SIZE = Port("valid_size", "int64", (2,))
MASK = Port("mask", "int32", (1, None, None))


def logits(classes: int = 1000) -> Port:
    """A classifier's answer."""
    return Port("logits", "float32", (1, classes))


def maps(name: str, channels: int) -> Port:
    """Feature maps of any size."""
    return Port(name, "float32", (1, channels, None, None))


def batched(port: Port) -> Port:
    """The same port for any number of images: of server parts, which then may share a run."""
    return port._replace(shape=(None, *port.shape[1:]))
