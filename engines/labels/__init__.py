"""Class names: one text file a label set, one name a line, the line number being the class id."""

import os
from typing import Dict, List

from splitwatt.device_configs.errors import BundleError

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_loaded: Dict[str, List[str]] = {}


def labels(name: str) -> List[str]:
    """The class names of a label set (`imagenet1k`, `coco91`, `voc21`), by class id.

    `coco91` and `voc21` hold the background as class 0; ids that COCO never used are "N/A".

    Raises:
        BundleError: there is no such label set.
    """
    if name not in _loaded:
        path = os.path.join(_FOLDER, name + ".txt")
        try:
            with open(path, encoding="utf-8") as stream:
                _loaded[name] = stream.read().splitlines()
        except OSError:
            raise BundleError("there is no label set '%s' in %s" % (name, _FOLDER))
    return _loaded[name]
