"""BPG with libbpg's own tools, `bpgenc` and `bpgdec`, each started once per image."""

import os
import shutil
import subprocess
import tempfile
from typing import List, Optional, Tuple

from PIL import Image

from splitwatt.device_configs.errors import BitstreamError, EngineError
from splitwatt.engines.codecs.images import ImageCodec, Size

TOOLS = ("bpgenc", "bpgdec")
REMEDY = (
    "build libbpg (https://bellard.org/bpg) and put both on the PATH, or take heic@QUALITY: "
    "HEVC-intra through pillow-heif"
)
_MAGIC = b"BPG\xfb"
_TIMEOUT_S = 120.0


class BpgCodec(ImageCodec):
    """BPG in 4:4:4 YCbCr with 8 bits, as in sc2bench; the quality is the quantiser, 0 is best."""

    name, qualities = "BPG", (0, 51)

    def require(self) -> None:
        """See `ImageCodec.require`."""
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise EngineError(
                "the codec bpg needs libbpg's tools, and the PATH lacks %s" % " and ".join(missing),
                REMEDY,
            )

    def write(self, image: Image.Image, quality: Optional[int]) -> bytes:
        """See `ImageCodec.write`."""
        with tempfile.TemporaryDirectory() as folder:
            source, made = os.path.join(folder, "image.png"), os.path.join(folder, "image.bpg")
            image.save(source, "PNG", compress_level=1)
            options = ["-q", str(quality), "-f", "444", "-c", "ycbcr", "-b", "8"]
            failed = _run(["bpgenc", "-o", made] + options + [source])
            if failed is not None:
                raise BitstreamError("bpgenc failed: %s" % failed)
            with open(made, "rb") as stream:
                return stream.read()

    def read(self, payload: bytes, limit: Size) -> Image.Image:
        """See `ImageCodec.read`; the size in the file's header is checked before a tool sees it."""
        size = _size(payload)
        if size is None:
            raise self._unsound("it is of another format, or damaged")
        if size[0] > limit[1] or size[1] > limit[0]:
            raise self._larger(size, limit)
        with tempfile.TemporaryDirectory() as folder:
            source, made = os.path.join(folder, "image.bpg"), os.path.join(folder, "image.ppm")
            with open(source, "wb") as stream:
                stream.write(payload)
            failed = _run(["bpgdec", "-o", made, source])
            if failed is not None:
                raise self._unsound(failed)
            with Image.open(made, formats=("PPM",)) as image:
                decoded: Image.Image = image.convert("RGB")
                return decoded


def _run(command: List[str]) -> Optional[str]:
    """None where the tool did its work, else its last words."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    words = done.stdout.decode("utf-8", "replace").strip().split("\n")[-1]
    return words or "exit code %d" % done.returncode


def _size(payload: bytes) -> Optional[Tuple[int, int]]:
    """(width, height) of a BPG file's header, None where it has none.

    After the magic come two bytes of flags, then both sides in groups of seven bits.
    """
    if payload[:4] != _MAGIC or len(payload) < 8 or payload[5] & 0x01:  # the last bit: an animation
        return None
    sides = []
    at = 6
    for _ in range(2):
        value = 0
        for _ in range(5):
            if at >= len(payload):
                return None
            byte = payload[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                break
        else:
            return None
        sides.append(value)
    return (sides[0], sides[1]) if min(sides) > 0 else None
