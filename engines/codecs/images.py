"""Image files as codecs: PNG, JPEG, WebP, BPG and HEIC of the board's resized and cropped image.

Both ends have the image before normalisation, with its levels divided by 255. As in sc2bench's input
compression, the order is: resize and crop, codec, normalise; the server's graph does the last. Two
libraries may decode a lossy format to levels that differ slightly.
"""

import io
import warnings
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import BitstreamError, BundleError, EngineError
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.codecs.base import Codec, EngineOf, Tensors

Size = Tuple[int, int]

# Less than half a step of 1/255, more than float32 loses when a level is divided by 255 and multiplied
# again. Fractions are cut off, as in sc2bench's conversion of a resized float image.
_LOST = 2.0**-12

# How many levels two libraries' files of one image may differ by, on average.
_LIBRARIES = 1.0


class ImageCodec(Codec):
    """Codes `image`, float32 (1, 3, H, W) from 0 to 1, as a file; one subclass per library.

    Padding is not coded: `valid_size` is the size without it, and decoding pads with zeros.

    Attributes:
        name: the format's name for errors.
        qualities: the lowest and the highest quality; None for a format without qualities.
        lossless: whether the format is lossless, at least when no quality is given.
    """

    takes = ("image", "valid_size")
    gives = ("image",)
    name = ""
    qualities: Optional[Tuple[int, int]] = None
    lossless = False

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        self._quality = spec.quality
        self.drifts = spec.quality is not None
        if self.qualities is None or spec.quality is None:
            valid = self.lossless and spec.quality is None
        else:
            valid = self.qualities[0] <= spec.quality <= self.qualities[1]
        if not valid:
            raise BundleError(
                "the manifest's key 'codec.quality' is %s, which is not a quality of %s"
                % (spec.quality, self.name),
                "export the bundle again",
            )
        self.require()

    def require(self) -> None:
        """Raise EngineError if this machine cannot write and read the format."""

    def write(self, image: Image.Image, quality: Optional[int]) -> bytes:
        """The file of an RGB image."""
        raise NotImplementedError

    def read(self, payload: bytes, limit: Size) -> Image.Image:
        """The RGB image of a file; BitstreamError if larger than `limit` (height, width)."""
        raise NotImplementedError

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        image = tensors["image"]
        if image.ndim != 4 or image.shape[:2] != (1, 3):
            raise BitstreamError("an image must be (1, 3, H, W), not %s" % (image.shape,))
        height, width = (int(size) for size in tensors["valid_size"])
        return self.write(Image.fromarray(pixels(image[0, :, :height, :width])), self._quality)

    def decode(self, payload: bytes, input_size: Size) -> Tensors:
        """See `Codec.decode`."""
        rgb = np.asarray(self.read(payload, input_size))
        if rgb.shape[0] > input_size[0] or rgb.shape[1] > input_size[1] or rgb.shape[2:] != (3,):
            raise self._larger((rgb.shape[1], rgb.shape[0]), input_size)
        tensor = np.zeros((1, 3) + tuple(input_size), np.float32)
        levels = rgb.transpose(2, 0, 1).astype(np.float32)
        tensor[0, :, : rgb.shape[0], : rgb.shape[1]] = levels / np.float32(255)
        return {"image": tensor}

    def alike(self, decoded: Tensors, due: Tensors) -> Tuple[bool, str]:
        """See `Codec.alike`: the two ends may have different libraries."""
        if decoded["image"].shape != due["image"].shape:
            return False, "images of another size"
        gap = np.abs(decoded["image"] - due["image"]) * 255
        detail = "another %s library: %.2f of 255 levels apart on average, at most %.0f"
        return bool(gap.mean() <= _LIBRARIES), detail % (self.name, gap.mean(), gap.max())

    def _larger(self, size: Size, limit: Size) -> BitstreamError:
        return BitstreamError(
            "the %s image of %d x %d pixels does not come from an input of %d x %d"
            % (self.name, size[0], size[1], limit[1], limit[0])
        )

    def _unsound(self, reason: Any) -> BitstreamError:
        text = str(reason).split("\n")[0].rstrip(".")
        return BitstreamError("the payload is not a valid %s image: %s" % (self.name, text))


class PillowCodec(ImageCodec):
    """A format that Pillow, or a plugin of it, writes and reads."""

    format = ""
    options: Dict[str, Any] = {}

    def write(self, image: Image.Image, quality: Optional[int]) -> bytes:
        """See `ImageCodec.write`."""
        options = dict(self.options)
        if quality is not None:
            options["quality"] = quality
        elif self.qualities is not None:
            options["lossless"] = True
        stream = io.BytesIO()
        image.save(stream, self.format, **options)
        return stream.getvalue()

    def read(self, payload: bytes, limit: Size) -> Image.Image:
        """See `ImageCodec.read`."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(io.BytesIO(payload), formats=(self.format,)) as image:
                    self._check(image, limit)
                    image.load()
                    loaded: Image.Image = image.copy()
                    return loaded
        except BitstreamError:
            raise
        except Exception as error:  # a decoder may raise anything on damaged bytes
            known = "cannot identify" in str(error)
            raise self._unsound("it is of another format, or damaged" if known else error)

    def _check(self, image: Image.Image, limit: Size) -> None:
        if image.format != self.format or getattr(image, "n_frames", 1) != 1:
            raise self._unsound("it is an animation or a sequence")
        if image.width > limit[1] or image.height > limit[0]:
            raise self._larger((image.width, image.height), limit)
        if image.mode != "RGB":
            raise self._unsound("its pixels are %s, not RGB" % image.mode)


class PngCodec(PillowCodec):
    """PNG: lossless."""

    name, format, lossless = "PNG", "PNG", True


class JpegCodec(PillowCodec):
    """JPEG with Pillow's own choice of subsampling, as in sc2bench."""

    name, format, qualities = "JPEG", "JPEG", (1, 100)


class WebpCodec(PillowCodec):
    """WebP, lossless if no quality is given."""

    name, format, qualities, lossless = "WebP", "WEBP", (0, 100), True


class HeicCodec(PillowCodec):
    """HEVC-intra in a HEIF file, with libheif: an alternative where BPG's tools are missing."""

    name, format, qualities = "HEIC", "HEIF", (0, 100)
    options = {"chroma": 444}

    def require(self) -> None:
        """See `ImageCodec.require`."""
        try:
            import pillow_heif  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise EngineError(
                "the codec heic needs the package pillow-heif, which is not installed",
                "pip install pillow-heif",
            )
        pillow_heif.register_heif_opener()

    def read(self, payload: bytes, limit: Size) -> Image.Image:
        """See `ImageCodec.read`: a HEIF file may also hold AV1, JPEG or raw pixels."""
        if payload[4:8] != b"ftyp" or payload[8:12] not in (b"heic", b"heix"):
            raise self._unsound("it is of another format, or damaged")
        return super().read(payload, limit)


def pixels(image: np.ndarray) -> np.ndarray:
    """float32 (3, H, W) in 0 to 1 as uint8 (H, W, 3), contiguous; BitstreamError if not finite."""
    levels = image * np.float32(255)
    if not np.isfinite(levels).all():
        raise BitstreamError("an image with NaN or infinities cannot be coded")
    cut = np.floor(np.clip(levels, 0, 255) + np.float32(_LOST))
    return np.ascontiguousarray(cut.astype(np.uint8).transpose(1, 2, 0))
