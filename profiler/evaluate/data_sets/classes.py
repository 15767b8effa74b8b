"""Data sets with a folder per class: ImageNet's, and your own."""

import os
import unicodedata
from collections import Counter
from typing import Dict, List

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import suggestion
from splitwatt.engines.labels import labels
from splitwatt.profiler.evaluate.data_sets.data_set import (
    CLASSIFICATION,
    Classes,
    DataSet,
    Item,
    first_of,
    folders_in,
    images_below,
    own_name,
)


def imagenet(folder: str, classes: Classes) -> DataSet:
    """A folder per class named by its WordNet id, as ILSVRC 2012's validation set is kept."""
    synsets = labels("imagenet1k_synsets")
    if classes.total not in (None, len(synsets)):
        raise UsageError(
            "the bundle has %d classes and ImageNet-1k has %d" % (classes.total, len(synsets)),
            "give a data set of the bundle's classes, as classes:DIR",
        )
    numbered = set(enumerate(labels("imagenet1k")))
    of_imagenet = {name for _, name in numbered}
    for number, name in enumerate(classes.names or ()):
        if name in of_imagenet and (number, name) not in numbered:
            raise UsageError(
                "the bundle's class %d is '%s', which has another number in ImageNet-1k"
                % (number, name),
                "give a data set with the bundle's class names, as classes:DIR",
            )
    root = first_of(folder, ("val", "validation"))
    known = {name: index for index, name in enumerate(synsets)}
    items = _items(root, known, "WordNet ids as n01440764; classes:DIR takes class names")
    return DataSet("imagenet", "ilsvrc2012", CLASSIFICATION, items)


def own_classes(folder: str, classes: Classes) -> DataSet:
    """A folder per class, as torchvision's ImageFolder, named as the bundle's classes are.

    Where the bundle has no names, the folders in their order are its classes, as ImageFolder counts
    them; then there must be a folder for every class, since one that is missing moves all after it.
    """
    root = first_of(folder, ("val", "validation", "test"))
    names = folders_in(root) if classes.names is None else list(classes.names)
    if classes.total not in (None, len(names)) and names:
        raise UsageError(
            "%s holds %d folders, and the bundle has %d classes without names"
            % (root, len(names), classes.total),
            "export the bundle with --labels FILE, or make a folder for every class",
        )
    counts = Counter(names)
    known = {name: index for index, name in enumerate(names) if counts[name] == 1}
    items = _items(root, known, "the bundle's classes, each of which has a name of its own")
    return DataSet("classes", own_name(folder), CLASSIFICATION, items, own=True)


def _items(root: str, known: Dict[str, int], named_by: str) -> List[Item]:
    layout = "it must hold one folder per class, named by " + named_by
    present = folders_in(root)
    if not present:
        raise UsageError("%s holds no folder of a class" % root, layout)
    # macOS encodes the accented letters of a folder's name in another way.
    label_of = {unicodedata.normalize("NFC", name): label for name, label in known.items()}
    labels_of = {name: label_of.get(unicodedata.normalize("NFC", name)) for name in present}
    for name, label in labels_of.items():
        if label is None:
            near = suggestion(name, known)
            raise UsageError(
                "%s holds the folder '%s', which is not a class" % (root, name),
                "; ".join(filter(None, (layout, near))),
            )
    return [
        Item(os.path.relpath(path, root), path, label)
        for name, label in labels_of.items()
        for path in images_below(os.path.join(root, name))
    ]
