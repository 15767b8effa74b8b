"""A bundle's own photographs and the outputs expected for them, made as boards make them."""

import hashlib
import json
import os
from typing import Dict, Sequence

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import sha256_file, write_atomic, write_atomic_with
from splitwatt.engines.bundle.arrays import save_arrays
from splitwatt.engines.bundle.bundle import MANIFEST, Bundle
from splitwatt.engines.bundle.manifest import Manifest, Sample
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import Outcome, WholePipeline
from splitwatt.engines.pipeline.postprocess import Answer


def make_samples(folder: str, photos: Sequence[str], backend: str = "cpu") -> Manifest:
    """Copy photographs into a bundle, run them, and write down what comes out; returns the manifest.

    They are kept as PNG: two machines' JPEG decoders give pixels that differ by a few steps (libjpeg
    9 and libjpeg-turbo do), and a bundle's outputs are to be compared for the same pixels.

    The samples that the bundle had are replaced. The manifest is written last.

    Args:
        folder: the bundle, complete but for its samples.
        photos: paths of photographs; UsageError if two have the same file name.
        backend: what runs the parts.
    """
    names = {os.path.splitext(os.path.basename(photo))[0] for photo in photos}
    if len(names) != len(photos):
        raise UsageError("two of the sample photographs have the same file name")
    bundle = Bundle.open(folder)
    with WholePipeline(bundle, backend) as pipeline:
        samples = [_make_sample(folder, photo, pipeline) for photo in photos]
    manifest = bundle.manifest._replace(samples=samples)
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    text = json.dumps(manifest.to_json(), indent=1, allow_nan=False)
    write_atomic(os.path.join(folder, MANIFEST), text + "\n")


def expected_arrays(outcome: Outcome) -> Dict[str, np.ndarray]:
    """What is written down of an outcome.

    Returns:
        "TASK.FIELD" -> the answer's arrays; for a split model also `payload` (uint8), its
        `payload_sha256` (its 64 digits as uint8 text), and `sizes` (int32 (6,)): with them the
        server's half can be checked where a board's rounding gives other bytes.
    """
    arrays = flat(outcome.answer)
    if outcome.payload is not None and outcome.sizes is not None:
        digest = hashlib.sha256(outcome.payload).hexdigest()
        arrays["payload"] = np.frombuffer(outcome.payload, np.uint8)
        arrays["payload_sha256"] = np.frombuffer(digest.encode("ascii"), np.uint8)
        arrays["sizes"] = outcome.sizes
    return arrays


def flat(answer: Answer) -> Dict[str, np.ndarray]:
    """An answer's arrays by "TASK.FIELD"."""
    return {
        "%s.%s" % (task, name): array
        for task, fields in answer.items()
        for name, array in fields.items()
    }


def _decoded(pipeline: WholePipeline, payload: bytes, sizes: np.ndarray) -> Dict[str, np.ndarray]:
    """`decoded`, where other machines' libraries may decode the payload to other pixels."""
    if not pipeline.codec.drifts:
        return {}
    image = pipeline.codec.decode(payload, (int(sizes[4]), int(sizes[5])))["image"]
    return {"decoded": np.rint(image * 255).astype(np.uint8)}


def _make_sample(folder: str, photo: str, pipeline: WholePipeline) -> Sample:
    name = os.path.splitext(os.path.basename(photo))[0]
    file, expected = "samples/%s.png" % name, "samples/%s.npz" % name
    rgb = decode_image(photo)
    outcome = pipeline.run(rgb)
    arrays = expected_arrays(outcome)
    if outcome.payload is not None and outcome.sizes is not None:
        arrays.update(_decoded(pipeline, outcome.payload, outcome.sizes))
    write_atomic_with(
        os.path.join(folder, file), lambda stream: Image.fromarray(rgb).save(stream, "PNG")
    )
    write_atomic(os.path.join(folder, expected), save_arrays(arrays))
    return Sample(
        file,
        sha256_file(os.path.join(folder, file)),
        expected,
        sha256_file(os.path.join(folder, expected)),
    )
