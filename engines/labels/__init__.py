"""Class names: one text file a label set, one name a line, the line number being the class id."""

import os
from typing import Any, Sequence, Union

from splitwatt.device_configs.errors import BundleError

_FOLDER = os.path.dirname(os.path.abspath(__file__))


class _Numbers:
    def __getitem__(self, label: int) -> str:
        return str(label)


def labels(name: Union[str, Sequence[str], None]) -> Any:
    """The class names by class id: what the manifest's key `postprocess.TASK.labels` names.

    Args:
        name: a label set (`imagenet1k`, `coco91`, `voc21`); a list of names, which is returned; or
            None, for numbers as names.

    `coco91` and `voc21` hold the background as class 0; ids that COCO never used are "N/A".

    Raises:
        BundleError: there is no such label set.
    """
    if name is None:
        return _Numbers()
    if not isinstance(name, str):
        return name
    # A bundle names it, which may be a stranger's: only what is in the folder is opened.
    if name + ".txt" not in os.listdir(_FOLDER):
        raise BundleError("there is no label set '%s' in %s" % (name, _FOLDER))
    with open(os.path.join(_FOLDER, name + ".txt"), encoding="utf-8") as stream:
        return stream.read().splitlines()
