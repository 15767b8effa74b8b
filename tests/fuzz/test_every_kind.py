"""`python -m tests.fuzz` runs: every kind of file, a few changes each, and what a change may take."""

import io

import numpy as np
from PIL import Image

from splitwatt.engines.pipeline.image import decode_image
from tests.fuzz.__main__ import SHARES, Peak, rows


def test_the_fuzzer_runs_on_every_kind():
    done = [(kind, faults) for kind, _, (_, faults, _), _ in rows(20, 1)]
    assert [kind for kind, _ in done] == list(SHARES) and not any(faults for _, faults in done)


def test_an_image_takes_no_more_than_twice_its_pixels():
    """Grey of 16 bits once took 18 bytes a pixel, in a file of 890 bytes that states 68 megapixels."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((5000, 4000), np.uint16)).save(stream, "TIFF")
    data = stream.getvalue()
    with Peak() as peak:
        decode_image(data)
    assert peak.bytes < 2 * 4 * 5000 * 4000
