"""`splitwatt calibrate`: fewer bytes for one's own images, and the same answers."""

import calendar
import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.export.calibrate import refit
from tests.conftest import splitwatt

MODEL = "entropic_student_ic@5.12"


@pytest.fixture(scope="module")
def folder(photographs, tmp_path_factory):
    """Dark crops of photographs: not what the tables were fitted to."""
    root = tmp_path_factory.mktemp("images")
    for photo in photographs:
        with Image.open(photo) as image:
            image = image.convert("RGB").point(lambda v: v * 3 // 4)
            width, height = image.size
            for index, left in enumerate((0, width // 3)):
                crop = image.crop((left, 0, left + width // 2, height))
                crop.save(root / f"{photo.stem}{index}.png")
    return root


@pytest.fixture(scope="module")
def made(bundles, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / MODEL
    result = splitwatt("calibrate", bundles / MODEL, "--images", folder, "--out", out, "--json")
    return out, json.loads(result.stdout)


def test_held_out_images_take_fewer_bytes(made):
    _, figures = made
    assert figures["images"] == 12 and figures["held_out"] == 2
    assert 1 < figures["saved_percent"] < 80
    saved = 100 * (1 - figures["after_bytes"] / figures["before_bytes"])
    assert saved == pytest.approx(figures["saved_percent"])


def test_the_new_bundle_answers_as_the_old_one(made, bundles, folder):
    out, _ = made
    before, after = Bundle.open(str(bundles / MODEL)), Bundle.open(str(out))
    assert before.manifest.codec.tables_id != after.manifest.codec.tables_id
    assert "refitted to 12 images" in after.manifest.weights.notes[-1]
    with WholePipeline(before) as one, WholePipeline(after) as two:
        sizes = []
        for path in sorted(folder.iterdir())[:3]:
            rgb = decode_image(str(path))
            first, second = one.run(rgb), two.run(rgb)
            sizes.append((len(first.payload), len(second.payload)))
            for name, array in first.answer["classification"].items():
                assert np.array_equal(array, second.answer["classification"][name])
    assert all(second < first for first, second in sizes)
    assert splitwatt("verify", out).returncode == 0


def test_the_new_manifest_states_what_is_there(made, bundles):
    """Bytes on the board, the time in UTC, and the bytes of rounding under the new tables."""
    out, _ = made
    before, after = (Bundle.open(str(path)) for path in (bundles / MODEL, out))
    manifest = after.manifest
    files = [after.part_path(part.name) for part in manifest.parts if part.placement != "server"]
    files += [str(out / entry.file) for entry in manifest.codec.tables]
    assert manifest.encoder_size_bytes.deployed == sum(os.path.getsize(file) for file in files)
    at = time.strptime(manifest.made["calibrated"], "%Y-%m-%dT%H:%M:%SZ")
    assert 0 <= time.time() - calendar.timegm(at) < 3600
    old, new = ([r.latent for r in m.rounding] for m in (before.manifest, manifest))
    assert [r.moved_percent for r in old] == [r.moved_percent for r in new]
    assert [r.bytes_percent for r in old] != [r.bytes_percent for r in new]


def test_a_folder_of_something_else_survives(bundles, folder):
    had = sorted(path.name for path in folder.iterdir())
    result = splitwatt(
        "calibrate", bundles / MODEL, "--images", folder, "--out", folder, check=False
    )
    assert result.returncode == 2 and "exists and is not a bundle" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == had


def test_tables_come_near_the_entropy_of_what_they_were_fitted_to():
    random = np.random.default_rng(3)
    rows = np.array([[0, 20000, 40000, 65535, 65536]] * 2, np.int32)
    old = Tables(rows, [5, 5], [-1, -1], np.array([0.25, 0], np.float32))
    symbols = np.rint(random.laplace(0, [[1.0], [3.0]], (2, 200_000))).astype(np.int64)
    counts = [
        dict(zip(*(a.tolist() for a in np.unique(own, return_counts=True)), strict=True))
        for own in symbols
    ]
    new = refit(old, counts)
    entropy = 0.0
    for own in symbols:
        share = np.unique(own, return_counts=True)[1] / own.size
        entropy -= own.size * float((share * np.log2(share)).sum())
    latent = (symbols.reshape(1, 2, 400, 500) + old.medians.reshape(1, 2, 1, 1)).astype(np.float32)
    coded = [8 * len(RangeCoder(tables).encode(latent)[0]) for tables in (old, new)]
    assert coded[1] < 1.003 * entropy + 400 < coded[0]


def test_too_few_images_and_local_models_are_told(bundles, photographs, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    result = splitwatt("calibrate", bundles / MODEL, "--images", few, check=False)
    assert result.returncode == 2 and "no image" in result.stderr
    (few / "one.jpg").write_bytes(photographs[0].read_bytes())
    result = splitwatt("calibrate", bundles / MODEL, "--images", few, check=False)
    assert result.returncode == 2 and "too few" in result.stderr
    result = splitwatt(
        "calibrate", bundles / "mobilenet_v3_large", "--images", photographs[0].parent, check=False
    )
    assert result.returncode == 2 and "no factorized prior" in result.stderr
