"""The data size that sc2bench reports for a payload, so that older papers stay comparable.

sc2bench's `FileSizeAnalyzer` takes `sys.getsizeof(pickle.dumps(x))` of what its bottleneck's
`encode` returns, `{"strings": [[payload]], "shape": torch.Size([height, width])}`. Around the
payload that is a fixed text and a few lengths, added up here: nothing is pickled, torch is not
needed. It holds for pickle protocol 4, the default of Python 3.8 and later.
"""

from typing import Optional

from device_configs.errors import BitstreamError
from engines.rangecoder.container import parse

_BYTES_OBJECT = 33  # sys.getsizeof(b"") on 64-bit CPython
_FIXED = 70  # the pickle of an empty payload with both sizes of the shape below 256
_SHORT = 255  # a longer payload's length takes four bytes, not one
_FRAME = 65536  # pickle closes a frame that reaches this size, and opens another for what follows
_AROUND_PAYLOAD = 52  # what the frame holds besides, up to the end of the shape's height
_NEW_FRAME = 9


def pickled_bytes(payload_bytes: int, height: int, width: int) -> int:
    """`sys.getsizeof(pickle.dumps(...))` of a payload.

    Args:
        payload_bytes: what the codec made.
        height: of the latent.
        width: of the latent.
    """
    wide_sides = sum(1 for side in (height, width) if side > 255)
    size = _BYTES_OBJECT + _FIXED + payload_bytes + wide_sides
    if payload_bytes > _SHORT:
        size += 3
    if payload_bytes + _AROUND_PAYLOAD + int(height > 255) >= _FRAME:
        size += _NEW_FRAME
    return size


def legacy_bytes(payload: bytes) -> Optional[int]:
    """The same of a codec's bytes; None of a codec whose bytes sc2bench would not have pickled."""
    try:
        header = parse(payload)
    except BitstreamError:
        return None
    return pickled_bytes(len(payload), header.height, header.width)
