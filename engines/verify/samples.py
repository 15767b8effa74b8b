"""A bundle's own photographs and the outputs expected for them, made as boards make them."""

import hashlib
import json
import os
from typing import Sequence

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import sha256_file, write_atomic, write_atomic_with
from splitwatt.engines.bundle.arrays import save_arrays
from splitwatt.engines.bundle.bundle import MANIFEST, Bundle
from splitwatt.engines.bundle.manifest import Manifest, Sample
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline


def make_samples(folder: str, photos: Sequence[str]) -> Manifest:
    """Copy photographs into a bundle, run them, and write down what comes out; returns the manifest.

    They are kept as PNG: two machines' JPEG decoders give pixels that differ by a few steps (libjpeg
    9 and libjpeg-turbo do), and a bundle's outputs are to be compared for the same pixels.

    The samples that the bundle had are replaced. The manifest is written last.

    Args:
        folder: the bundle, complete but for its samples.
        photos: paths of photographs; UsageError if two have the same file name.
    """
    names = {os.path.splitext(os.path.basename(photo))[0] for photo in photos}
    if len(names) != len(photos):
        raise UsageError("two of the sample photographs have the same file name")
    bundle = Bundle.open(folder)
    with WholePipeline(bundle, "cpu") as pipeline:
        samples = [_make_sample(folder, photo, pipeline) for photo in photos]
    manifest = bundle.manifest._replace(samples=samples)
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    text = json.dumps(manifest.to_json(), indent=1, allow_nan=False)
    write_atomic(os.path.join(folder, MANIFEST), text + "\n")


def _make_sample(folder: str, photo: str, pipeline: WholePipeline) -> Sample:
    """Write a photograph and its expected arrays: "TASK.FIELD" -> the answer's.

    For a split model also `payload` (uint8), its `payload_sha256` (its 64 digits as uint8 text), and
    `sizes` (int32 (6,)): with them the server's half can be checked where a board's rounding gives
    other bytes. And `decoded`, where other machines' libraries may decode it to other pixels.
    """
    name = os.path.splitext(os.path.basename(photo))[0]
    file, expected = "samples/%s.png" % name, "samples/%s.npz" % name
    rgb = decode_image(photo)
    outcome = pipeline.run(rgb)
    arrays = {
        "%s.%s" % (task, field): array
        for task, fields in outcome.answer.items()
        for field, array in fields.items()
    }
    if outcome.payload is not None and outcome.sizes is not None:
        digest = hashlib.sha256(outcome.payload).hexdigest()
        arrays["payload"] = np.frombuffer(outcome.payload, np.uint8)
        arrays["payload_sha256"] = np.frombuffer(digest.encode("ascii"), np.uint8)
        arrays["sizes"] = outcome.sizes
        if pipeline.codec.drifts:
            size = (int(outcome.sizes[4]), int(outcome.sizes[5]))
            image = pipeline.codec.decode(outcome.payload, size)["image"]
            arrays["decoded"] = np.rint(image * 255).astype(np.uint8)
    write_atomic_with(
        os.path.join(folder, file), lambda stream: Image.fromarray(rgb).save(stream, "PNG")
    )
    write_atomic(os.path.join(folder, expected), save_arrays(arrays))
    hashes = [sha256_file(os.path.join(folder, name)) for name in (file, expected)]
    return Sample(file, hashes[0], expected, hashes[1])
