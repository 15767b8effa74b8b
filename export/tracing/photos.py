"""The packaged photographs after the boards' own preprocessing."""

import functools
import os
from collections.abc import Iterable

import numpy as np

from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.export.spec import Photo, shorter

# Parity is checked on these two photographs of different shapes, which the bundle contains.
SAMPLES = ("raccoon", "astronaut")
CLASSIFIERS = shorter(256, crop=(224, 224))


@functools.cache
def _decoded(path: str) -> np.ndarray:
    return decode_image(path)


def photos(spec: Preprocess, names: Iterable[str] | None = None) -> list[Photo]:
    """The packaged photographs (or those of `names`, in that order), preprocessed by `spec`."""
    paths = {os.path.splitext(os.path.basename(path))[0]: path for path in default_photos()}
    made = []
    for name in paths if names is None else names:
        ready = preprocess(_decoded(paths[name]), spec)
        made.append(Photo(name, paths[name], ready.tensor, ready.valid_size, ready.input_size))
    return made


def samples(spec: Preprocess) -> list[Photo]:
    """The photographs that a bundle carries, preprocessed by `spec`; the first is 640x480."""
    return photos(spec, SAMPLES)


def squares(spec: Preprocess = CLASSIFIERS) -> np.ndarray:
    """The packaged photographs as classifiers see them: float32 (photographs, 3, side, side)."""
    return np.concatenate([photo.tensor for photo in photos(spec)])
