"""Published mean data sizes: what a paper's own logs say its systems send per image.

`published.csv` holds the sizes of every released Ladon model, from the logs in the paper's public
repository. They are means over a data set and count sc2bench's pickled object, a little more than
the bitstream. A simulated link is charged with them only where a config says `payload: published`,
and never are they printed as measurements. Entropic Student's have not been published: see `estimated.py`.
"""

import csv
import os
from typing import Dict, Optional

# The data set whose preprocessing is the runtime's: the detection transform, all tasks at once.
DATASET = "coco2017"
_KILOBYTE = 1024
_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "published.csv")
_MODELS = {("ladon", "resnet50"): "ladon_r50", ("ladon", "resnest269e"): "ladon_resnest269e"}


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
