"""`evaluate --against`: the figures from the answers of both bundles by pycocotools and by definition."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.profiler.check import accuracy
from tests.conftest import splitwatt
from tests.profiler.conftest import command

pytestmark = pytest.mark.long

LADON = "ladon_r50@20.48"
CLASSIFIER = "mobilenet_v3_large"
SEGMENTER = "lraspp_mobilenet_v3_large"


def agreement(bundle, other, data, out, *more):
    made = splitwatt("evaluate", bundle, "--against", other, "--data", f"images:{data}", "--out", out,
                     "--json", *more)  # fmt: skip
    return json.loads(made.stdout)["results"][0]


def edited(bundle, folder, change):
    """A copy of a bundle with another manifest."""
    shutil.copytree(bundle, folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return folder


def audited(folder):
    """Whether each check of `splitwatt check` on what was evaluated is met."""
    return [one.met for one in accuracy.checks(str(folder))]


@pytest.fixture(scope="module")
def darker(bundles, tmp_path_factory):
    """The bundle with another mean of its inputs: similar answers, though random weights magnify it."""

    def change(manifest):
        manifest["preprocess"]["mean"] = [0.485002, 0.456002, 0.406002]

    return edited(bundles / LADON, tmp_path_factory.mktemp("darker") / "bundle", change)


def answers(folder, photographs):
    with WholePipeline(Bundle.open(str(folder))) as pipeline:
        return [pipeline.run(decode_image(str(photo))) for photo in photographs]


def test_a_bundle_agrees_with_itself(bundles, photographs, tmp_path):
    folder = photographs[0].parent
    result = agreement(bundles / LADON, bundles / LADON, folder, tmp_path)
    for task in result["tasks"].values():
        assert {figure["value"] for figure in task["agreement"].values()} == {100.0}
        for difference in task["differences"].values():
            assert difference["max"] == difference["mean"]["value"] == 0
    assert result["payload_bytes"] == result["against_payload_bytes"]
    assert result["images"] == len(photographs) and result["whole"]


def test_figures_are_those_of_both_bundles_answers(bundles, darker, photographs, tmp_path):
    result = agreement(darker, bundles / LADON, photographs[0].parent, tmp_path)
    mine, truth = answers(darker, photographs), answers(bundles / LADON, photographs)
    pairs = [(a.answer, b.answer) for a, b in zip(mine, truth, strict=True)]
    tasks = result["tasks"]

    best = [(a["classification"], b["classification"]) for a, b in pairs]
    hits = [a["labels"][0] == b["labels"][0] for a, b in best]
    assert tasks["classification"]["agreement"]["top1_percent"]["value"] == 100 * np.mean(hits)
    apart = [
        abs(float(s) - float(b["scores"][b["labels"] == k][0]))
        for a, b in best for k, s in zip(a["labels"], a["scores"], strict=True) if k in b["labels"]
    ]  # fmt: skip
    score = tasks["classification"]["differences"]["score"]
    assert score["max"] == pytest.approx(max(apart)) and 0 < score["mean"]["value"] <= score["max"]

    def rows(answer, image, least):
        for box, label, score in zip(
            *(answer[k] for k in ("boxes", "labels", "scores")), strict=True
        ):
            x, y, right, bottom = map(float, box)
            if score >= least and right > x and bottom > y:
                yield {"image_id": image, "category_id": int(label), "score": float(score), "iscrowd": 0,
                       "bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y)}  # fmt: skip

    true, found = [], []
    for image, (a, b) in enumerate(pairs, 1):
        true += [
            dict(row, id=len(true) + k) for k, row in enumerate(rows(b["detection"], image, 0.5), 1)
        ]
        found += rows(a["detection"], image, 0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": k} for k in range(1, len(pairs) + 1)], "annotations": true,
                        "categories": [{"id": k} for k in range(91)]}  # fmt: skip
        coco.createIndex()
        meter = COCOeval(coco, coco.loadRes(found), "bbox")
        meter.evaluate()
        meter.accumulate()
        meter.summarize()
    given = tasks["detection"]["agreement"]
    assert 1 < 100 * meter.stats[0] < 100
    assert given["map_50_95_percent"]["value"] == pytest.approx(100 * meter.stats[0])
    assert given["map_50_percent"]["value"] == pytest.approx(100 * meter.stats[1])
    for name in ("score", "side_pixels"):
        difference = tasks["detection"]["differences"][name]
        assert 0 < difference["mean"]["value"] <= difference["max"]

    masks = [(a["segmentation"]["mask"], b["segmentation"]["mask"]) for a, b in pairs]
    given = tasks["segmentation"]["agreement"]["miou_percent"]
    assert given["value"] == pytest.approx(mean_iou(masks))
    assert given["low"] <= given["value"] <= given["high"]
    pixels = [100 * (a != b).mean() for a, b in masks]
    differing = tasks["segmentation"]["differences"]["pixels_percent"]
    assert differing["max"] == pytest.approx(max(pixels))
    assert differing["mean"]["value"] == pytest.approx(np.mean(pixels))
    for name, outcomes in (("payload_bytes", mine), ("against_payload_bytes", truth)):
        assert result[name]["value"] == np.mean([len(one.payload) for one in outcomes])


def mean_iou(masks):
    """Of pairs of masks of equal size, by definition, in percent."""
    one, two = (np.concatenate([pair[k].ravel() for pair in masks]) for k in (0, 1))
    ious = [
        ((one == k) & (two == k)).sum() / ((one == k) | (two == k)).sum()
        for k in np.union1d(one, two)
    ]
    return 100 * np.mean(ious)


def test_masks_of_another_resolution_are_brought_to_that_of_the_bundle(
    bundles, photographs, tmp_path
):
    def change(manifest):
        manifest["preprocess"]["resize"]["size"] = 384

    smaller = edited(bundles / SEGMENTER, tmp_path / "smaller", change)
    result = agreement(smaller, bundles / SEGMENTER, photographs[0].parent, tmp_path)
    masks = []
    for one, two in zip(
        *(answers(b, photographs) for b in (smaller, bundles / SEGMENTER)), strict=True
    ):
        mask, other = (each.answer["segmentation"]["mask"] for each in (one, two))
        assert mask.shape != other.shape
        masks.append(
            (mask, np.array(Image.fromarray(other).resize(mask.shape[::-1], Image.NEAREST)))
        )
    figure = result["tasks"]["segmentation"]["agreement"]["miou_percent"]
    assert 1 < figure["value"] == pytest.approx(mean_iou(masks)) and figure["value"] < 100


def test_a_second_time_and_a_part_come_from_the_records(bundles, darker, photographs, tmp_path):
    folder, kept = photographs[0].parent, tmp_path / "agreement.json"
    due = agreement(darker, bundles / LADON, folder, tmp_path)
    (records,) = (tmp_path / "evaluation").iterdir()
    lines = records.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines[1:]] == [photo.name for photo in photographs]
    records.write_text("\n".join(lines[:3]) + '\n{"name": "cut o')  # as a kill leaves it
    assert agreement(darker, bundles / LADON, folder, tmp_path) == due
    assert len(json.loads(kept.read_text())["results"]) == 1
    part = agreement(darker, bundles / LADON, folder, tmp_path, "--limit", "2")
    assert part["images"] == 2 and not part["whole"]
    assert json.loads(kept.read_text())["results"] == [due, part]
    assert audited(tmp_path) == [True, True]
    document = json.loads(kept.read_text())
    document["results"][0]["tasks"]["detection"]["differences"]["score"]["max"] += 0.01
    kept.write_text(json.dumps(document))
    assert audited(tmp_path) == [False, True]
    document["results"][0]["records"]["sha256"] = 64 * "0"
    kept.write_text(json.dumps(document))
    assert audited(tmp_path) == [False, False]
    kept.write_text('{"format": 1, "results": 7}')
    made = splitwatt("evaluate", darker, "--against", bundles / LADON, "--data", f"images:{folder}",
                     "--out", tmp_path, check=False)  # fmt: skip
    assert made.returncode == 1 and "'results' must be a list" in made.stderr


def test_a_server_gives_the_answers_of_this_machine(tiny, server, photographs, tmp_path):
    bundle = tiny / "cpu" / "tiny@1"
    shown = ("--data", f"images:{photographs[0].parent}", "--out", tmp_path, "--server", server.url)
    code, out, err = command("evaluate", bundle, "--against", bundle, *shown, "--json")
    assert code == 0, err
    (result,) = json.loads(out)["results"]
    assert result["server"]["backend"] == "cpu" and result["against"]["backend"] == "cpu"
    assert result["tasks"]["classification"]["agreement"]["top1_percent"]["value"] == 100


def test_local_models_send_nothing_and_the_text_says_what_differs(bundles, photographs, tmp_path):
    made = splitwatt("evaluate", bundles / CLASSIFIER, "--against", bundles / LADON,
                     "--data", f"images:{photographs[0].parent}", "--out", tmp_path)  # fmt: skip
    assert "top-1 " in made.stdout and "sent by the other" in made.stdout
    assert "  sent  " not in made.stdout and "detection" not in made.stdout
    assert made.stderr.count("random weights") == 2


def test_bundles_that_cannot_be_compared_are_refused(bundles, photographs, tmp_path):
    def change(manifest):
        manifest["postprocess"]["classification"]["labels"] = [f"name {k}" for k in range(1000)]

    own = edited(bundles / CLASSIFIER, tmp_path / "own", change)
    images, out = f"images:{photographs[0].parent}", tmp_path / "out"
    (tmp_path / "own classes" / "tench").mkdir(parents=True)
    shutil.copy(photographs[0], tmp_path / "own classes" / "tench")
    for other, data, more, words in (
        (own, images, (), "have different classes for classification"),
        (bundles / SEGMENTER, images, (), "have a task in common"),
        (bundles / LADON, f"classes:{tmp_path / 'own classes'}", (), "give images:DIR"),
        (bundles / LADON, images, ("--preprocess", "paper"), "leave out --preprocess"),
        (bundles / LADON, images, ("--against-backend", "cpux"), "cpu"),
        (tmp_path, images, (), "manifest"),
    ):
        made = splitwatt("evaluate", bundles / CLASSIFIER, "--against", other, "--data", data,
                         "--out", out, *more, check=False)  # fmt: skip
        assert made.returncode in (1, 2) and words in made.stderr, made.stderr
        assert "Traceback" not in made.stderr and not out.exists()
