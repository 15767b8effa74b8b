"""`splitwatt infer` on real photographs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.bits_per_pixel import bits_per_pixel
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, open_board
from splitwatt.profiler.infer.infer import infer
from tests.conftest import splitwatt
from tests.profiler.conftest import command

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


def test_no_picture_takes_the_place_of_an_image(tiny, photographs, tmp_path):
    bundle = tiny / "cpu" / "tiny@1"
    with Image.open(photographs[0]) as photo:
        photo.save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    code, _, err = command("infer", bundle, tmp_path / "a.png", "--out", tmp_path)
    assert code == 2 and "would replace the image" in err and "--out" in err
    assert (tmp_path / "a.png").read_bytes() == before

    (tmp_path / "other").mkdir()
    shutil.copy(photographs[1], tmp_path / "other" / "a.jpg")
    images = [tmp_path / "a.png", tmp_path / "other" / "a.jpg"]
    code, out, _ = command("infer", bundle, *images, "--out", tmp_path / "drawn", "--json")
    drawn = [Path(row["picture"]) for row in json.loads(out)["images"]]
    assert code == 0 and [path.name for path in drawn] == ["a.png", "a-2.png"]
    for path, image in zip(drawn, images, strict=True):
        with Image.open(path) as picture, Image.open(image) as plain:
            assert picture.size == plain.size


def test_the_other_bundle_is_opened_once_for_all_images(tiny, photographs, tmp_path, monkeypatch):
    made = []

    opened = BoardPipeline.__init__

    def counted(self, *arguments):
        made.append(self)
        opened(self, *arguments)

    monkeypatch.setattr(BoardPipeline, "__init__", counted)
    bundle, images = str(tiny / "cpu" / "tiny@1"), [str(path) for path in photographs[:2]]
    assert infer([bundle, *images, "--bitmap", bundle, "--out", str(tmp_path), "--json"]) == 0
    assert len(made) == 2  # its own, and the other's


def test_a_codec_that_tells_no_bits_is_refused_before_anything_runs(
    tiny, photographs, tmp_path, monkeypatch
):
    monkeypatch.setattr("splitwatt.engines.codecs.factorized.FactorizedCodec.bits", Codec.bits)
    with pytest.raises(UsageError, match="does not say how many bits each pixel takes"):
        infer([str(tiny / "cpu" / "tiny@1"), str(photographs[0]), "--bitmap", "--out",
               str(tmp_path)])  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_says_of_itself_is_told(tiny, server, photographs, tmp_path):
    bundle = tiny / "cpu" / "tiny@1"
    more = ("--out", tmp_path, "--server", server.url)
    code, out, err = command("infer", bundle, photographs[0], *more, "--json")
    assert code == 0, err
    manifest_sha256 = Bundle.open(str(bundle)).manifest_sha256
    assert json.loads(out)["server"] == {"backend": "cpu", "manifest_sha256": manifest_sha256}
    code, _, err = command("infer", bundle, photographs[0], *more, "--server-backend", "cpu")
    assert code == 2 and "leave out --server-backend" in err


@pytest.mark.parametrize(
    ("model", "task"),
    [("mobilenet_v3_large", "classification"), ("ssdlite320_mobilenet_v3_large", "detection"),
     ("lraspp_mobilenet_v3_large", "segmentation")],
)  # fmt: skip
def test_a_class_without_a_name_is_reported(bundles, photographs, tmp_path, model, task):
    shutil.copytree(bundles / model, tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    manifest = json.loads(path.read_text())
    for names, code in ((["only"], 1), (None, 0)):
        manifest["postprocess"][task]["labels"] = names
        path.write_text(json.dumps(manifest))
        result = splitwatt("infer", tmp_path / "bundle", photographs[0], "--out", tmp_path / "out",
                           "--json", check=False)  # fmt: skip
        (row,) = json.loads(result.stdout)["images"]
        assert result.returncode == code and "Traceback" not in result.stderr
        assert ("its manifest names 1 classes" in row.get("error", "")) == bool(code)


def test_a_score_that_cannot_be_is_refused(bundles, photographs):
    for score in ("nan", "1.5", "-1"):
        result = splitwatt(
            "infer", bundles / LADON, photographs[0], f"--min-score={score}", check=False
        )
        assert result.returncode == 2 and "must be from 0 to 1" in result.stderr
