"""From an RGB image to a graph's input, as the manifest's `preprocess` says.

All filters give what torchvision gives (tests hold them side by side), with NumPy and Pillow:

- `pillow-bilinear`, `pillow-bicubic`: `torchvision.transforms.Resize` on a PIL image, antialiased;
- `bilinear`: `torchvision.models.detection.transform.GeneralizedRCNNTransform`, that is
  `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, not antialiased.
"""

import math
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.bundle.manifest import Preprocess, Resize

Size = Tuple[int, int]

# Of any graph's input (8K UHD fits), and of one whose longer side the preprocessing leaves open: they
# bound the memory that a bundle or an image can ask for.
MAX_INPUT_PIXELS = 1 << 25
_MAX_OPEN_PIXELS = 1 << 22

_STRIP_PIXELS = 1 << 15


class Preprocessed(NamedTuple):
    """A graph's input and the sizes that its answer is read with; every size is (height, width).

    tensor: float32 (1, 3, H, W), normalised, zero where padded.
    image_size: of the image. valid_size: of the tensor without padding. input_size: (H, W).
    """

    tensor: np.ndarray
    image_size: Size
    valid_size: Size
    input_size: Size


class Plan(NamedTuple):
    """The sizes of one image on its way; every size is (height, width)."""

    image: Size
    resized: Size
    crop_at: Size
    valid: Size
    input: Size


def preprocess(
    rgb: np.ndarray, spec: Preprocess, image_size: Optional[Size] = None
) -> Preprocessed:
    """Resize, crop, normalise and pad one image.

    Args:
        rgb: uint8 (H, W, 3).
        spec: the manifest's.
        image_size: of the image in its file, where `rgb` is smaller (see `decode_reduced`).

    Raises:
        ImageError: not such an array, or an image that this resizing makes empty or too large.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ImageError("an image must be uint8 (H, W, 3), not %s %s" % (rgb.dtype, rgb.shape))
    pixels = rgb.shape[0], rgb.shape[1]
    image_size = image_size or pixels
    sizes = plan(image_size, spec)._replace(image=pixels)
    height, width = sizes.valid
    if sizes.valid == sizes.input:
        tensor = np.empty((1, 3) + sizes.input, np.float32)
    else:
        tensor = np.zeros((1, 3) + sizes.input, np.float32)
    target = tensor[0, :, :height, :width]
    if spec.resize.filter == "bilinear":
        _interpolate(rgb, sizes, spec, target)
    else:
        _pillow(rgb, sizes, spec, target)
    return Preprocessed(tensor, image_size, sizes.valid, sizes.input)


def plan(image: Size, spec: Preprocess) -> Plan:
    """The sizes that `spec` gives an image of (height, width) `image`.

    Raises:
        ImageError: a side would become 0, smaller than the crop, or the input too large.
    """
    resized = _resized(image, spec.resize)
    crop_at, valid = (0, 0), resized
    if spec.crop is not None:
        valid = (spec.crop[0], spec.crop[1])
        # torchvision's rounding, which is Python's: halves to even
        crop_at = (
            int(round((resized[0] - valid[0]) / 2.0)),
            int(round((resized[1] - valid[1]) / 2.0)),
        )
    multiple = spec.pad_multiple or 1
    padded = (-(-valid[0] // multiple) * multiple, -(-valid[1] // multiple) * multiple)
    too_small = min(resized) < 1 or min(crop_at) < 0
    # Of a resized image only what the crop keeps is made.
    largest = max(padded[0] * padded[1], 0 if spec.crop else resized[0] * resized[1])
    if too_small or largest > max_input_pixels(spec):
        raise ImageError(
            "an image of %d x %d pixels becomes %d x %d after resizing, which is too %s"
            % (image[1], image[0], resized[1], resized[0], "narrow" if too_small else "large"),
            "crop it to a less extreme shape",
        )
    return Plan(image, resized, crop_at, valid, padded)


def max_input_pixels(spec: Preprocess) -> int:
    """The most pixels that an input has after this preprocessing, whatever the image is."""
    resize = spec.resize
    if spec.crop is not None:
        largest = tuple(spec.crop)
    elif not isinstance(resize.size, int):
        largest = tuple(resize.size)
    elif resize.max_size is not None:
        largest = (resize.size, resize.max_size)
    else:
        return _MAX_OPEN_PIXELS
    multiple = spec.pad_multiple or 1
    height, width = (-(-side // multiple) * multiple for side in largest)
    return min(height * width, MAX_INPUT_PIXELS)


def _resized(image: Size, resize: Resize) -> Size:
    if not isinstance(resize.size, int):
        return resize.size[0], resize.size[1]
    short, long = min(image), max(image)
    if resize.filter == "bilinear":
        # interpolate(recompute_scale_factor=True): one scale for both sides, rounded down
        scale = resize.size / short
        if resize.max_size is not None:
            scale = min(scale, resize.max_size / long)
        return int(math.floor(image[0] * scale)), int(math.floor(image[1] * scale))
    new_short, new_long = resize.size, int(resize.size * long / short)
    if resize.max_size is not None and new_long > resize.max_size:
        new_short, new_long = int(resize.max_size * new_short / new_long), resize.max_size
    return (new_short, new_long) if image[0] <= image[1] else (new_long, new_short)


def _pillow(rgb: np.ndarray, sizes: Plan, spec: Preprocess, target: np.ndarray) -> None:
    """Resize with Pillow, crop, then normalise into `target` (3, h, w)."""
    (top, left), (height, width) = sizes.crop_at, sizes.valid
    resample: int = getattr(Image, spec.resize.filter[len("pillow-") :].upper())
    # A reduced image is no larger than the one at hand.
    largest = max(MAX_INPUT_PIXELS, sizes.image[0] * sizes.image[1])
    if sizes.resized[0] * sizes.resized[1] > largest:
        rgb = _resampled_crop(rgb, sizes, resample)
    else:
        if sizes.resized != sizes.image:
            image = Image.fromarray(np.ascontiguousarray(rgb))
            rgb = np.asarray(image.resize(sizes.resized[::-1], resample))
        rgb = rgb[top : top + height, left : left + width]
    # torchvision's operations in their order, each of them in the graph's own input.
    for channel in range(3):
        plane = target[channel]
        np.divide(rgb[..., channel], np.float32(255), out=plane, dtype=np.float32)
        plane -= np.float32(spec.mean[channel])
        plane /= np.float32(spec.std[channel])


def _resampled_crop(rgb: np.ndarray, sizes: Plan, resample: int) -> np.ndarray:
    """The crop of Pillow's resized image, uint8 (h, w, 3), without the rest of that image.

    A narrow image whose shorter side is made larger has a longer side of a million pixels. One value
    in some thousands is one level off, because Pillow takes the box as float32.
    """
    cuts, box = [], []
    for axis in (1, 0):
        side, scale = rgb.shape[axis], sizes.image[axis] / sizes.resized[axis]
        start, length = sizes.crop_at[axis] * scale, sizes.valid[axis] * scale
        reach = math.ceil(2 * max(scale, 1)) + 1  # how far Pillow's filters look
        first, last = max(0, int(start) - reach), min(side, math.ceil(start + length) + reach)
        cuts.append(slice(first, last))
        box.append((start - first, min(start + length, last) - first))
    part = Image.fromarray(np.ascontiguousarray(rgb[cuts[1], cuts[0]]))
    (left, right), (top, bottom) = box
    return np.asarray(part.resize(sizes.valid[::-1], resample, box=(left, top, right, bottom)))


def _interpolate(rgb: np.ndarray, sizes: Plan, spec: Preprocess, target: np.ndarray) -> None:
    """Bilinear interpolation into `target` (3, h, w), one axis after the other.

    torchvision normalises first. The weights of an interpolation add up to 1, so normalising the
    smaller result is the same to rounding, and there is less to normalise.
    """
    (top, left), (height, width) = sizes.crop_at, sizes.valid
    above, below, down = _taps(sizes.image[0], sizes.resized[0], top, height)
    before, after, right = _taps(sizes.image[1], sizes.resized[1], left, width)
    first = int(before[0])
    rgb = rgb[:, first : int(after[-1]) + 1]
    before, after = before - first, after - first
    shift = np.float32(255) * np.asarray(spec.mean, np.float32)[:, None]
    scale = np.float32(255) * np.asarray(spec.std, np.float32)[:, None]
    # In strips that a processor's cache holds: half the time of the whole image at once.
    step = max(8, _STRIP_PIXELS // max(width, rgb.shape[1]))
    for start in range(0, height, step):
        strip = slice(start, start + step)
        near, far = rgb[above[strip]], rgb[below[strip]]
        rows = _mix(near.astype(np.float32), far.astype(np.float32), down[strip])
        # With columns first, both gathers copy whole rows of memory.
        columns = np.ascontiguousarray(rows.transpose(1, 2, 0))
        mixed = _mix(columns[before], columns[after], right)
        mixed -= shift
        mixed /= scale
        target[:, strip] = mixed.transpose(1, 2, 0)


def _mix(near: np.ndarray, far: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """near + (far - near) * weight along the first axis, in `near` and `far` themselves."""
    far -= near
    far *= weight[:, None, None]
    near += far
    return near


def _taps(source: int, resized: int, start: int, count: int) -> List[np.ndarray]:
    """For `count` pixels from `start` of an axis: both neighbours and the second's weight.

    PyTorch computes the position in float32 with one fused multiply-add, rounded once; float64
    holds the product exactly, so rounding its difference gives the same.
    """
    scale = np.float64(np.float32(source) / np.float32(resized))
    pixels = np.arange(start, start + count, dtype=np.float64)
    at = np.maximum(scale * (pixels + 0.5) - 0.5, 0).astype(np.float32)
    near = np.minimum(at.astype(np.int64), source - 1)
    far = np.minimum(near + 1, source - 1)
    return [near, far, at - near.astype(np.float32)]
