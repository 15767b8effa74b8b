"""Mean data sizes: what a paper's own logs say its systems send per image, and estimates from these.

`published.csv` holds the sizes of every released Ladon model, from the logs in the paper's public
repository. They are means over a data set and count sc2bench's pickled object, a little more than
the bitstream. A simulated link is charged with them only if a config says `payload: published`.
They are never printed as measurements.

Those of Entropic Student are not published as numbers; they are estimated from Ladon's.
Ladon with ResNet-50 and Entropic Student with ResNet-50 have the same encoder (24 latent channels,
the last convolution's grid) and entropy bottleneck, trained for the same kind of objective:
distortion and, weighted by beta, the rate. So we assume that they spend the same number of bits per
element of the latent at the same beta:

1. Ladon's bits per element = its published mean bytes over COCO * 8 / (24 * 79 * 103), the latent
   of a 640x480 photograph, which its preprocessing makes 320x416 pixels.
2. Betas that Ladon does not have are interpolated linearly in (log beta, log bits) between its own.
3. Times the elements of Entropic Student's latent for the same photograph: 224x224 pixels for
   classification, 800x1088 (padded) for detection, 513x684 for segmentation.

What the estimate ignores: Entropic Student's own training; that a photograph enlarged to 800x1088 has less
detail per element (so detection is likely overestimated) and one cropped to 224x224 more; that
COCO's photographs are not all 640x480; sc2bench's pickled object, which is what was published, is
about a hundred bytes larger than the bitstream. A size from here is never called published.
"""

import csv
import math
import os
from typing import Dict, List, Optional, Tuple

# The data set whose preprocessing is the runtime's: the detection transform, all tasks at once.
DATASET = "coco2017"
_KILOBYTE = 1024
_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "published.csv")
_MODELS = {("ladon", "resnet50"): "ladon_r50", ("ladon", "resnest269e"): "ladon_resnest269e"}

_CHANNELS = 24
_LADON = "ladon_r50@%s"
# As text, because they are parts of models' names.
_BETAS = ("0.32", "1.28", "5.12", "10.24", "20.48")
_LADON_ELEMENTS = _CHANNELS * 79 * 103
# Latent elements at a 640x480 photograph, by model.
_ELEMENTS = {
    "entropic_student_ic": _CHANNELS * 55 * 55,
    "entropic_student_od": _CHANNELS * 199 * 271,
    "entropic_student_ss": _CHANNELS * 128 * 170,
}


def published_bytes(model: str) -> Optional[int]:
    """The published mean payload of a model with its rate (`ladon_r50@0.32`); None without one."""
    return _table().get(model)


def _table() -> Dict[str, int]:
    sizes = {}
    with open(_FILE, encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            name = _MODELS.get((row["system"], row["backbone"]))
            if name and row["dataset"] == DATASET and row["data_size_kb_mean"]:
                size = int(round(float(row["data_size_kb_mean"]) * _KILOBYTE))
                sizes["%s@%s" % (name, row["beta"])] = size
    return sizes


def estimated_bytes(model: str) -> Optional[int]:
    """The estimated payload of a model with its rate (`entropic_student_od@0.64`) for a 640x480
    photograph; None for other models, and outside of Ladon's betas: nothing is extrapolated.
    """
    name, _, rate = model.partition("@")
    elements = _ELEMENTS.get(name)
    bits = None if elements is None else bits_per_element(float(rate))
    return None if elements is None or bits is None else int(round(elements * bits / 8))


def bits_per_element(beta: float) -> Optional[float]:
    """Bits per element of Ladon R50's latent over COCO at a beta; None outside of its betas."""
    known = _known()
    for (low, bits), (high, more) in zip(known, known[1:]):
        if low <= beta <= high:
            part = math.log(beta / low) / math.log(high / low)
            return bits * math.pow(more / bits, part)
    return None


def _known() -> List[Tuple[float, float]]:
    """Ladon's betas in ascending order with their bits per element."""
    sizes = [(float(beta), published_bytes(_LADON % beta)) for beta in _BETAS]
    return [(beta, 8.0 * size / _LADON_ELEMENTS) for beta, size in sizes if size is not None]
