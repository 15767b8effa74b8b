"""Photographs for training, from Debian packages of free ones, a part of them held out; and crops of them.

A photograph is training data or held out as a whole, by the hash of the first file that shows it:
files whose 16x16 outlines nearly agree count as one photograph. Cut-out pictures with a transparent
background ("stamps") are pasted onto training photographs and never held out. docs/photographs.md names
the packages and their licences.
"""

import hashlib
import io
import math
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.pipeline.image import decode_image, image_names


def _each(pattern: str, names: str) -> tuple[str, ...]:
    return tuple(pattern.format(name) for name in names.split())


# Package -> files to take, as patterns under its root. Qt's resource files (.rcc) hold several.
PACKAGES = {
    "gcompris-qt-data": _each(
        "usr/share/gcompris-qt/rcc/{}.rcc",
        "categorization details erase explore_farm_animals explore_monuments "
        "explore_world_animals explore_world_music clickgame",
    ),
    "lomiri-wallpapers-16.04": ("usr/share/backgrounds/*.jpg",),
    "mate-backgrounds": ("usr/share/backgrounds/mate/nature/*.jpg",),
    "palapeli-data": ("usr/share/palapeli/collection/*.jpg",),
    "opencv-doc": _each(
        "usr/share/doc/opencv-doc/examples/data/{}.jpg",
        "aero1 aloeL apple baboon board building butterfly fruits home leuvenA licenseplate_motion "
        "messi5 orange squirrel_cls stuff",
    ),
    "plasma-workspace-wallpapers": _each(
        "usr/share/wallpapers/{}/contents/images/*1920x1080.jpg",
        "BytheWater ColdRipple DarkestHour EveningGlow FallenLeaf Grey Kite OneStandsOut Path "
        "summer_1am",
    ),
}
STAMPS = {"tuxpaint-stamps-default": ("usr/share/tuxpaint/stamps/**/*.png",)}
_NO_PHOTOGRAPH = re.compile(r"cartoon|symbols|alphabet|people|flags|mirror|outline|naturalforces")
# The least bytes of a stamp's file: a smaller one is a drawing.
_STAMP_BYTES = 40_000
_LONGEST, _SHORTEST = 640, 180
_HELD_OUT_OF = 4
_SAME_BITS = 24
# Area and shape of a random crop; how often a stamp is pasted onto it, and the stamp's size.
_AREA, _SHAPE = (0.2, 1.0), 4 / 3
_STAMPED, _STAMP_SIDE = 0.35, (0.4, 0.95)
WEBP = re.compile(rb"RIFF(....)WEBPVP8", re.DOTALL)


@dataclass(frozen=True)
class Photograph:
    """Its name, package/file[#number]; uint8 (H, W, 3), or (H, W, 4) of a stamp; its split."""

    name: str
    pixels: np.ndarray
    held_out: bool


def fetch(folder: Path) -> None:
    """Download and unpack the packages that `folder` lacks; needs Debian's apt-get and dpkg-deb.

    Raises:
        UsageError: these tools are missing, or a package cannot be downloaded.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise UsageError(
            "the training photographs are Debian packages, and this system has no apt-get",
            "run it on Debian or Ubuntu, or give photographs of your own with --images DIR",
        )
    for package in (*PACKAGES, *STAMPS):
        place = folder / package
        if place.is_dir():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["apt-get", "download", "-q", package], cwd=folder, capture_output=True, text=True
        )
        files = sorted(folder.glob(f"{package}_*.deb"))
        if done.returncode != 0 or not files:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UsageError(
                f"apt-get cannot download {package}: {reason}", "run 'apt-get update' first"
            )
        unpacked = folder / f"{package}.part"
        subprocess.run(["dpkg-deb", "-x", files[-1], unpacked], check=True)
        unpacked.rename(place)
        files[-1].unlink()


def load(folder: Path) -> tuple[list[Photograph], list[Photograph]]:
    """The photographs of fetched packages, in the order of their names, and the stamps."""
    photographs: list[Photograph] = []
    outlines: list[np.ndarray] = []
    for package, patterns in PACKAGES.items():
        for name, data in _files(folder / package, patterns):
            image = Image.open(io.BytesIO(data))
            if min(image.size) < _SHORTEST:
                continue
            outline = _outline(image)
            same = [
                i for i, o in enumerate(outlines) if np.count_nonzero(o != outline) < _SAME_BITS
            ]
            held_out = photographs[same[0]].held_out if same else _is_held_out(data)
            outlines.append(outline)
            photographs.append(Photograph(f"{package}/{name}", _small(image, "RGB"), held_out))
    stamps = [
        Photograph(f"{package}/{name}", _small(Image.open(io.BytesIO(data)), "RGBA"), False)
        for package, patterns in STAMPS.items()
        for name, data in _files(folder / package, patterns)
        if len(data) >= _STAMP_BYTES and not _NO_PHOTOGRAPH.search(name)
    ]
    return photographs, stamps


def own(folder: Path) -> list[Photograph]:
    """The photographs of a user's folder and of those below it, upright.

    Raises:
        UsageError: no such folder, or fewer than eight.
        ImageError: a damaged file.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "give the photographs' with --images DIR")
    photographs = []
    for place, _, _ in sorted(os.walk(folder)):
        for path in (Path(place, name) for name in image_names(place)):
            pixels = _small(Image.fromarray(decode_image(path)), "RGB")
            held_out = _is_held_out(path.read_bytes())
            photographs.append(Photograph(str(path.relative_to(folder)), pixels, held_out))
    if sum(not p.held_out for p in photographs) < 4 or not any(p.held_out for p in photographs):
        raise UsageError(
            f"{folder} has {len(photographs)} photographs: too few to train with and to hold out",
            "give at least eight, better some hundred",
        )
    return photographs


def _files(root: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        data = path.read_bytes()
        if path.suffix != ".rcc":
            yield str(path.relative_to(root / "usr/share")), data
            continue
        for number, match in enumerate(WEBP.finditer(data)):
            (size,) = struct.unpack("<I", match.group(1))
            yield f"{path.stem}#{number}", data[match.start() : match.start() + 8 + size]


def _is_held_out(data: bytes) -> bool:
    return hashlib.sha256(data).digest()[0] % _HELD_OUT_OF == 0


def _outline(image: Image.Image) -> np.ndarray:
    """Where the picture, at 16x16, gets brighter to the right: bool (16, 16)."""
    grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX), np.int16)
    return np.diff(grey, axis=1) > 0


def _small(image: Image.Image, mode: str) -> np.ndarray:
    image.draft("RGB", (_LONGEST, _LONGEST))
    image = image.convert(mode)
    scale = _LONGEST / max(image.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def random_crop(
    photographs: Sequence[Photograph],
    stamps: Sequence[Photograph],
    random: np.random.Generator,
    side: int,
) -> np.ndarray:
    """uint8 (side, side, 3), flipped half of the time, with a stamp a third of the time."""
    pixels = photographs[random.integers(len(photographs))].pixels
    crop = _cut(pixels, random, _AREA, _SHAPE).resize((side, side), Image.Resampling.BICUBIC)
    if stamps and random.random() < _STAMPED:
        _lay(crop, stamps[random.integers(len(stamps))].pixels, random)
    ready = np.asarray(crop)
    return ready[:, ::-1] if random.random() < 0.5 else ready


def fixed_crops(photograph: Photograph, number: int, side: int) -> list[Image.Image]:
    """Square crops of a photograph: its middle, then others of at least 30 % of that area."""
    height, width = photograph.pixels.shape[:2]
    least = min(height, width)
    left, top = (width - least) // 2, (height - least) // 2
    image = Image.fromarray(photograph.pixels)
    crops = [image.crop((left, top, left + least, top + least))]
    random = np.random.default_rng(len(photograph.name))
    square = np.s_[:least, :least]
    for _ in range(number - 1):
        top, left = random.integers(height - least + 1), random.integers(width - least + 1)
        crops.append(_cut(photograph.pixels[top:, left:][square], random, (0.3, 0.9), 1.0))
    return [crop.resize((side, side), Image.Resampling.BICUBIC) for crop in crops]


def _cut(
    pixels: np.ndarray, random: np.random.Generator, area: tuple[float, float], shape: float
) -> Image.Image:
    """A random rectangle whose width by height is between 1 / shape and shape."""
    height, width = pixels.shape[:2]
    share = random.uniform(*area) * height * width
    ratio = math.exp(random.uniform(-math.log(shape), math.log(shape))) if shape > 1 else 1.0
    w, h = (max(1, round(math.sqrt(own))) for own in (share * ratio, share / ratio))
    w, h = min(width, w), min(height, h)
    top, left = random.integers(height - h + 1), random.integers(width - w + 1)
    return Image.fromarray(pixels[top : top + h, left : left + w])


def _lay(crop: Image.Image, stamp: np.ndarray, random: np.random.Generator) -> None:
    side = crop.width
    image = Image.fromarray(stamp)
    scale = random.uniform(*_STAMP_SIDE) * side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = random.integers(side - width + 1), random.integers(side - height + 1)
    crop.paste(image, (int(left), int(top)), image)
