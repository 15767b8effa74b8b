"""The training of split_lite0: split by photograph, continues where it was stopped, same seed same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.photos import default_photos
from splitwatt.export.networks.backbones import make_timm
from splitwatt.export.networks.gained_split import GainedSplit, load_backbone, shipped
from splitwatt.export.networks.timm_cut import Cut
from splitwatt.export.training import loop, photographs
from splitwatt.export.weights.checkpoints import read
from splitwatt.export.weights.files import locate
from splitwatt.export.zoo.trained import LITE0, RATES
from tests.conftest import ROOT
from tools import trained_page

pytestmark = pytest.mark.long

SHIPPED = ROOT / "export" / "weights" / "trained" / "training.json"
ARGUMENTS = ("--crops", "40", "--iterations", "4", "--seed", "7")


def train(folder, pictures, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "splitwatt.export.training", "--out", str(folder),
         "--images", str(pictures), *ARGUMENTS, *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path, pictures):
    weights = []
    for name, seed in (("one", "7"), ("two", "7"), ("other", "8")):
        train(tmp_path / name, pictures, "--seed", seed)
        weights.append((tmp_path / name / "split_lite0.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    stated = json.loads((tmp_path / "one" / "training.json").read_text())
    assert stated["command"].startswith("python -m splitwatt.export.training --out ")
    assert (stated["seed"], stated["iterations"]) == (7, 4)
    assert stated["minutes"] > 0 and "threads" in stated["machine"]
    assert set(stated) == set(json.loads(SHIPPED.read_text()))


def test_a_run_that_was_stopped_continues_to_the_same_weights(tmp_path, pictures, monkeypatch):
    """In one process: a stop behind the first saved state, then the rest from that state."""
    train(tmp_path, pictures)
    whole = load_file(tmp_path / "split_lite0.safetensors")
    (kept,) = tmp_path.glob("pool-*.npz")
    pool = loop.Pool.kept(kept, pytest.fail)
    monkeypatch.setattr(loop, "_SAVE_EVERY", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for stop in (True, False):
            torch.manual_seed(7)
            backbone = make_timm(LITE0.backbone)
            load_backbone(backbone, read(locate((LITE0.model,), None, LITE0.local, None)["model"]))
            split = GainedSplit(Cut(backbone, LITE0.at, LITE0.side), len(RATES))
            split = split.to(memory_format=torch.channels_last)
            run = loop.Training(split, pool, 4, 7)
            assert run.resume(tmp_path / "again.pt") is not stop
            if stop:
                run.start()
                with pytest.raises(KeyboardInterrupt):
                    run.run(tmp_path / "again.pt", interrupt)
            else:
                assert run.done == 2
                run.run(tmp_path / "again.pt", print)
    finally:
        torch.set_num_threads(threads)
    again = shipped(split)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def interrupt(_text):
    raise KeyboardInterrupt


def test_a_finished_run_is_not_trained_again(tmp_path, pictures):
    train(tmp_path, pictures)
    before = (tmp_path / "split_lite0.safetensors").read_bytes()
    assert "continues at iteration 4 of 4" in train(tmp_path, pictures)
    assert (tmp_path / "split_lite0.safetensors").read_bytes() == before


def test_held_out_photographs_are_a_part_and_files_that_show_the_same_stay_together(tmp_path):
    root = tmp_path / "palapeli-data/usr/share/palapeli/collection"
    root.mkdir(parents=True)
    for path in default_photos():
        image = Image.open(path)
        image.save(root / f"{Path(path).stem}.jpg", quality=95)
        image.resize((image.width // 2, image.height // 2)).save(
            root / f"{Path(path).stem}-small.jpg", quality=60
        )
    for package in (*photographs.PACKAGES, *photographs.STAMPS):
        (tmp_path / package).mkdir(exist_ok=True)
    found, stamps = photographs.load(tmp_path)
    # The cat's half has 150 rows, too few.
    assert len(found) == 2 * len(default_photos()) - 1
    by_name = {p.name.rpartition("/")[2].replace("-small", "").partition(".")[0]: [] for p in found}
    for p in found:
        by_name[p.name.rpartition("/")[2].replace("-small", "").partition(".")[0]].append(
            p.held_out
        )
    assert all(len(set(splits)) == 1 for splits in by_name.values())
    assert stamps == []


def test_photographs_are_read_as_boards_read_them_whatever_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    image = Image.open(default_photos()[0])
    exif = image.getexif()
    exif[0x0112] = 6
    for number in range(16):
        part = image.crop((number, 0, number + 200, 300))
        part.save(tmp_path / "b" / f"{number}.JPG", exif=exif)
    pictures = photographs.own(tmp_path)
    assert len(pictures) == 16 and {p.pixels.shape for p in pictures} == {(200, 300, 3)}
    (tmp_path / "b" / "3.JPG").write_bytes(b"no image")
    with pytest.raises(ImageError, match="3.JPG"):
        photographs.own(tmp_path)


def test_a_folder_of_too_few_photographs_costs_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "splitwatt.export.training", "--out", str(tmp_path / "out"),
         "--images", str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "too few to train with" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_says_how_the_shipped_weights_were_made():
    assert trained_page.made(json.loads(SHIPPED.read_text())) in trained_page.PAGE.read_text()


def test_crops_are_of_the_photograph_and_repeatable():
    pixels = np.asarray(Image.open(default_photos()[0]).convert("RGB"))
    photograph = photographs.Photograph("one", pixels, False)
    one, two = (
        photographs.random_crop([photograph], [], np.random.default_rng(3), 96) for _ in range(2)
    )
    assert one.shape == (96, 96, 3)
    assert np.array_equal(one, two)
    squares = photographs.fixed_crops(photograph, 5, 256)
    assert [image.size for image in squares] == [(256, 256)] * 5
