"""The data size that sc2bench reports for a payload, so that older papers stay comparable.

For latents sc2bench's `FileSizeAnalyzer` takes `sys.getsizeof(pickle.dumps(x))` of what its
bottleneck's `compress` returns: `{"strings": [[payload]], "shape": torch.Size([height, width])}`, and
of a hyperprior `{"strings": [[latent's], [side latent's]], "shape": the side latent's}`. Around the
strings that is a fixed text and a few lengths, added up here: nothing is pickled, torch is not
needed. It holds for pickle protocol 4, the default of Python 3.8 and later.

For images it takes the size of the file. Feature maps as JPEG, and eight-bit latents, it pickles with
torch's tensors in them, whose own text differs from one version of torch to the next, and from run to
run: they have no size here.
"""

from typing import Optional, Sequence

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.codecs.hyperprior import MAGIC as HYPERPRIOR
from splitwatt.engines.codecs.hyperprior import unframe
from splitwatt.engines.rangecoder.container import parse

_BYTES_OBJECT = 33  # sys.getsizeof(b"") on 64-bit CPython
_FIXED = 54  # the pickle of no strings with both sizes of the shape below 256, frames left out
_EACH = 7  # a string's list, its short length, its place in the memo
_SHORT = 255  # a longer string's length takes four bytes, not one
_LONGER = 3
# What pickle puts out goes into frames, each with nine bytes before it. One that has reached 64 KiB
# ends before the next object; a string of that size is written between two frames; one below four bytes has no frame.
_FRAME = 65536
_LEAST_FRAME = 4
_FRAME_HEAD = 9
# Of a frame: what comes before the first string's list, begins and ends each, and follows the last
# up to the end of the shape's height.
_BEFORE, _BEGIN, _END, _AFTER = 15, 2, 2, 27

# How files of PNG, JPEG, WebP, BPG and HEIC begin.
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BPG\xfb", b"\x00\x00\x00")


def pickled_bytes(lengths: Sequence[int], height: int, width: int) -> int:
    """`sys.getsizeof(pickle.dumps(...))` of strings and a shape, nine bytes too many where two strings
    both end within a few bytes of where a frame does.

    Args:
        lengths: bytes of each string, none of them empty where there are several.
        height: of the shape.
        width: of the shape.
    """
    wide_height, wide_width = int(height > _SHORT), int(width > _SHORT)
    size = _BYTES_OBJECT + _FIXED + wide_height + wide_width
    frames, held = 1, _BEFORE
    for length in lengths:
        own = _EACH + length + (_LONGER if length > _SHORT else 0)
        size += own
        held += _BEGIN
        if length >= _FRAME:
            frames += int(held >= _LEAST_FRAME)
            held = _END
            continue
        held += own - _BEGIN
        if held + _END >= _FRAME:
            frames += 1
            held = 0
    frames += int(held + _AFTER + wide_height >= _FRAME)
    return size + _FRAME_HEAD * frames


def legacy_bytes(payload: bytes) -> Optional[int]:
    """The same of a codec's bytes, which say by themselves what they are; None where it has none."""
    if payload[:1] == bytes([HYPERPRIOR]):
        return _of_hyperprior(payload)
    if payload.startswith(_IMAGES):
        return len(payload)
    try:
        header = parse(payload)
    except BitstreamError:
        return None
    return pickled_bytes([len(payload)], header.height, header.width)


def _of_hyperprior(payload: bytes) -> Optional[int]:
    try:
        _, side, latent = unframe(payload)
        header = parse(side)
    except BitstreamError:
        return None
    return pickled_bytes([len(latent), len(side)], header.height, header.width)
