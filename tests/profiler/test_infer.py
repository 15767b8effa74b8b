"""`splitwatt infer` on real photographs."""

import json

import numpy as np
import pytest
from PIL import Image

from engines.bits import bits_per_pixel
from engines.bundle import Bundle
from engines.image import decode_image
from engines.pipeline import open_board
from tests.conftest import splitwatt

LADON = "ladon_r50@20.48"


@pytest.fixture(scope="module")
def found(bundles, photographs, tmp_path_factory):
    out = tmp_path_factory.mktemp("inferred")
    images = [str(path) for path in photographs[:2]] + [str(out / "none.jpg")]
    result = splitwatt(
        "infer", bundles / LADON, *images, "--out", out, "--bitmap", bundles / LADON, "--json",
        check=False,
    )  # fmt: skip
    assert result.returncode == 1  # one image is not there
    return out, json.loads(result.stdout)["images"]


def test_answers_bytes_and_stages_of_each_image(found, bundles, photographs):
    _, rows = found
    for row, photo in zip(rows, photographs[:2], strict=False):
        with open_board(str(bundles / LADON)) as board:
            payload = board.run(decode_image(str(photo))).payload
        assert row["payload_bytes"] == len(payload)
        assert row["legacy_pickled_bytes"] > row["payload_bytes"]
        assert {"encoder", "encode", "server.body", "server.detector"} <= set(row["stages_s"])
        answer = row["answer"]
        assert len(answer["classification"]["names"]) == 5
        shares = answer["segmentation"]["percent_of_pixels"]
        assert sum(shares.values()) == pytest.approx(100, abs=0.1)
    assert "error" in rows[2] and "none.jpg" in rows[2]["error"]


def test_pictures_have_the_photographs_size_and_something_on_them(found, photographs):
    out, rows = found
    for row, photo in zip(rows, photographs[:2], strict=False):
        with Image.open(row["picture"]) as drawn, Image.open(photo) as plain:
            assert drawn.size == plain.size
            assert (np.asarray(drawn) != np.asarray(plain.convert("RGB"))).mean() > 0.1
        with Image.open(row["bitmap"]) as picture:
            assert picture.width > 4 * picture.height / 3
    assert sorted(path.name for path in out.iterdir()) == [
        "astronaut.bits.png", "astronaut.png", "cat.bits.png", "cat.png",
    ]  # fmt: skip


def test_the_bits_add_up_to_the_payload(bundles, photographs):
    bundle = Bundle.open(str(bundles / LADON), "board")
    with open_board(bundle.path) as board:
        for photo in photographs:
            request = board.run(decode_image(str(photo)))
            sizes = request.sizes.copy()
            sizes[2:4] = sizes[4:6]  # with the padding, whose bits are sent too
            bits = bits_per_pixel(board.codec, request.payload, sizes)
            assert bits.shape == tuple(sizes[4:6])
            assert bits.sum() == pytest.approx(8 * len(request.payload), rel=0.005)


def test_a_local_model_has_no_bits(bundles, photographs, tmp_path):
    result = splitwatt(
        "infer", bundles / "mobilenet_v3_large", photographs[0], "--out", tmp_path, "--bitmap",
        check=False,
    )  # fmt: skip
    assert result.returncode == 2 and "no bits" in result.stderr
