"""`splitwatt export --pack board`: a board's half of a bundle, which a board takes as a whole one."""

import os
import shutil

import pytest

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import open_board
from splitwatt.export.replacing import link_files, pack_board
from tests.conftest import splitwatt

pytestmark = pytest.mark.long


def copied(bundles, tmp_path, name):
    path = tmp_path / "bundles" / "cpu" / name
    shutil.copytree(bundles / name, path)
    return path


def test_the_board_s_half_has_all_that_a_board_needs(bundles, tmp_path, photographs):
    path = copied(bundles, tmp_path, "ladon_r50@20.48")
    half, size, whole = pack_board(path)
    assert half == tmp_path / "bundles" / "cpu-board" / "ladon_r50@20.48"
    assert size == sum(file.stat().st_size for file in half.rglob("*") if file.is_file())
    assert whole == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size < 0.05 * whole
    assert Bundle.open(str(half), "board").manifest_sha256 == Bundle.open(str(path)).manifest_sha256
    image = decode_image(str(photographs[0]))
    with open_board(str(half)) as packed, open_board(str(path)) as unpacked:
        assert packed.run(image).payload == unpacked.run(image).payload


def test_verify_says_that_the_server_s_parts_are_not_there(bundles, tmp_path):
    half, *_ = pack_board(copied(bundles, tmp_path, "entropic_student_ic@5.12"))
    said = splitwatt("verify", half).stdout
    assert "the server's parts are not here" in said and "[ ]" not in said
    tables = half / "tables.npz"
    content = tables.read_bytes()
    tables.unlink()  # a link to the whole bundle's file
    tables.write_bytes(content[:-1])
    wrong = splitwatt("verify", half, check=False)
    assert wrong.returncode == 1 and "tables.npz" in wrong.stderr


def test_a_whole_bundle_that_lacks_one_file_is_no_half(bundles, tmp_path):
    path = copied(bundles, tmp_path, "ladon_r50@20.48")
    (path / "body.onnx").unlink()
    wrong = splitwatt("verify", path, check=False)
    assert wrong.returncode == 1 and "body.onnx is missing" in wrong.stderr


def test_a_local_model_is_the_board_s_whole(bundles, tmp_path):
    path = copied(bundles, tmp_path, "mobilenet_v3_large")
    half, size, whole = pack_board(path)
    assert size == whole and not Bundle.open(str(half)).half


def test_export_prints_the_half_s_size(bundles, tmp_path):
    """The bundle is there already, so that this takes no export."""
    path = copied(bundles, tmp_path, "mobilenet_v3_large")
    done = splitwatt("export", "--model", "mobilenet_v3_large", "--target", "cpu", "--weights", "random",
                     "--bundles", path.parent.parent, "--pack", "board")  # fmt: skip
    assert "for the board: " in done.stderr and " MB of " in done.stderr
    assert (tmp_path / "bundles" / "cpu-board" / "mobilenet_v3_large" / "manifest.json").is_file()
    refused = splitwatt("export", "--model", "mobilenet_v3_large", "--target", "cpu", "--weights", "random",
                        "--out", path, "--pack", "board", check=False)  # fmt: skip
    assert refused.returncode == 2 and "--pack does not go with --out" in refused.stderr


def test_a_bundle_s_files_are_those_that_its_manifest_names(bundles, tmp_path, photographs):
    """What else lies in its folder is copied by nobody: a link there may lead anywhere."""
    path = copied(bundles, tmp_path, "entropic_student_ic@5.12")
    known = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert set(Bundle.open(str(path)).files()) == known
    (path / "endless").symlink_to("/dev/zero")
    os.mkfifo(path / "samples" / "pipe")
    half, *_ = pack_board(path)
    assert not (half / "endless").exists() and not (half / "samples" / "pipe").exists()
    out = tmp_path / "refitted"
    splitwatt("calibrate", path, "--images", photographs[0].parent, "--out", out)
    assert not (out / "endless").exists() and not (out / "samples" / "pipe").exists()


def test_a_file_that_is_a_symbolic_link_becomes_a_file(tmp_path):
    for name in ("bundle", "copy"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle" / "one.onnx").write_bytes(b"graph")
    (tmp_path / "bundle" / "two.onnx").symlink_to("one.onnx")
    link_files(tmp_path / "bundle", ["two.onnx"], tmp_path / "copy")
    copied = tmp_path / "copy" / "two.onnx"
    assert copied.read_bytes() == b"graph" and not copied.is_symlink()
