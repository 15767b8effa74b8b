"""Every image that Pillow's own tests use, against Pillow's pixels."""

import glob
import os
import subprocess
import sys
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.pipeline.image import decode_image

# Values that Pillow would clip, or whose range no file states: docs/formats.md says what they become.
RANGE_UNKNOWN = {"F", "LAB"}
SIGNED = {
    "16_bit_binary_pgm.tiff",
    "16bit.s.tif",
    "8bit.s.tif",
    "separate_planar_extra_samples.tiff",
}
DEEP_GREY = {"I", "I;16", "I;16B"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The image files in Pillow's source distribution, whose licence is MIT-CMU."""
    folder = tmp_path_factory.mktemp("pillow")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pillow"]
    subprocess.run([*command, "-d", str(folder), "pillow==11.3.0"], check=True)
    with tarfile.open(glob.glob(str(folder / "*.tar.gz"))[0]) as archive:
        wanted = [m for m in archive.getmembers() if "/Tests/images/" in m.name and m.isfile()]
        archive.extractall(folder, members=wanted, filter="data")
    paths = [os.path.join(d, name) for d, _, names in os.walk(folder) for name in names]
    return sorted(path for path in paths if "/Tests/images/" in path)


def pillows(path):
    """Pillow's mode and values, or None where Pillow does not decode the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = ImageOps.exif_transpose(Image.open(path))
            deep = image.mode in DEEP_GREY
            return image.mode, np.asarray(image if deep else image.convert("RGB"))
    except Exception:
        return None


def test_all_images_of_pillows_tests(images):
    assert len(images) > 1000
    counts = {"equal": 0, "scaled": 0, "refused": 0}
    for path in images:
        try:
            ours = decode_image(path)
        except ImageError as error:
            assert "\n" not in str(error)
            counts["refused"] += 1
            theirs = pillows(path) if "of a known format" not in str(error) else None
            assert theirs is None or theirs[0] in RANGE_UNKNOWN or os.path.basename(path) in SIGNED
            continue
        theirs = pillows(path)
        assert theirs is not None, path
        mode, values = theirs
        assert mode not in RANGE_UNKNOWN, path
        if mode in DEEP_GREY:
            bits = 12 if os.path.basename(path).startswith("12bit") else 16
            white = 511 << 7 if path.endswith("9bit.j2k") else (1 << bits) - 1
            wanted = np.floor(values * 255.0 / white + 0.5)[..., None].repeat(3, axis=2)
            assert np.array_equal(ours, wanted), path
            counts["scaled"] += 1
        else:
            assert np.array_equal(ours, values), path
            counts["equal"] += 1
    assert counts["equal"] >= 650 and counts["scaled"] >= 18, counts
