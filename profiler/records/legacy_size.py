"""The data size that sc2bench reports for a payload, so that older papers stay comparable.

For latents sc2bench's `FileSizeAnalyzer` takes `sys.getsizeof(pickle.dumps(x))` of what its
bottleneck's `compress` returns: `{"strings": [[payload]], "shape": torch.Size([height, width])}`, and
of a hyperprior `{"strings": [[latent's], [side latent's]], "shape": the side latent's}`. The same is
pickled here, with a stand-in for torch's class, by pickle protocol 4, the default of Python 3.8 and later.

For images it takes the size of the file. Feature maps as JPEG, and eight-bit latents, it pickles with
torch's tensors in them, whose pickle differs between versions of torch and between runs: they have
no size here.
"""

import io
import pickle
import sys
from typing import Any, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.codecs.hyperprior import MAGIC as HYPERPRIOR
from splitwatt.engines.codecs.hyperprior import unframe
from splitwatt.engines.rangecoder.container import parse

# How files of PNG, JPEG, WebP, BPG and HEIC begin.
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BPG\xfb", b"\x00\x00\x00")


class _Size(tuple):  # type: ignore[type-arg]
    """Pickled as `torch.Size` is."""

    def __reduce__(self) -> Tuple[Any, ...]:
        return _Size, (tuple(self),)


_InPython: Any = getattr(pickle, "_Pickler")  # noqa: B009


class _Pickler(_InPython):  # type: ignore[misc]
    def save_global(self, obj: Any, name: Optional[str] = None) -> None:
        """The name of torch's class in place of the stand-in's."""
        self.save("torch")
        self.save("Size")
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


def pickled_bytes(lengths: Sequence[int], height: int, width: int) -> int:
    """`sys.getsizeof(pickle.dumps(...))` of strings of these lengths, and a shape."""
    pickled = io.BytesIO()
    strings = [[bytes(length)] for length in lengths]
    _Pickler(pickled, 4).dump({"strings": strings, "shape": _Size((height, width))})
    return sys.getsizeof(pickled.getvalue())


def legacy_bytes(payload: bytes) -> Optional[int]:
    """The same of a codec's bytes, whose first bytes say their kind; None for a kind without such a
    size."""
    if payload.startswith(_IMAGES):
        return len(payload)
    strings = [payload]
    try:
        if payload[:1] == bytes([HYPERPRIOR]):
            _, side, latent = unframe(payload)
            strings = [latent, side]
        header = parse(strings[-1])
    except BitstreamError:
        return None
    return pickled_bytes([len(one) for one in strings], header.height, header.width)
