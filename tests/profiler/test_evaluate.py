"""`splitwatt evaluate` on small data sets in their real formats."""

import contextlib
import io
import json
import shutil
import signal
import subprocess
import time

import jsonschema
import numpy as np
import pytest
import scipy.stats
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.profiler.check import accuracy
from splitwatt.profiler.evaluate.data_sets.data_set import Classes, DataSet, Item
from splitwatt.profiler.evaluate.data_sets.open import open_data_set
from splitwatt.profiler.evaluate.document import add_results
from splitwatt.profiler.evaluate.intervals import mean
from splitwatt.profiler.evaluate.metrics import figures, of_image
from splitwatt.profiler.records.coco import read_coco
from tests.conftest import COMMAND, ROOT, splitwatt
from tests.profiler import oracle_intervals
from tests.profiler.oracle_boxes import Matches

CLASSIFIER = "mobilenet_v3_large"
DETECTOR = "ssdlite320_mobilenet_v3_large"
SEGMENTER = "lraspp_mobilenet_v3_large"
LADON = "ladon_r50@20.48"


def answers(folder, photographs):
    with WholePipeline(Bundle.open(str(folder))) as pipeline:
        return [pipeline.run(decode_image(str(photo))).answer for photo in photographs]


@pytest.fixture(scope="module")
def imagenet(bundles, photographs, tmp_path_factory):
    """Each photograph under the class that the model gives the first, second, third, ... place."""
    root = tmp_path_factory.mktemp("imagenet")
    synsets = labels("imagenet1k_synsets")
    found = answers(bundles / CLASSIFIER, photographs)
    places = []
    for index, (photo, answer) in enumerate(zip(photographs, found, strict=True)):
        place = index % 6
        given = answer["classification"]["labels"].tolist()
        label = given[place] if place < 5 else next(k for k in range(1000) if k not in given)
        places.append(place)
        (root / "val" / synsets[label]).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, root / "val" / synsets[label] / photo.name)
    return root, places


@pytest.fixture(scope="module")
def coco(bundles, photographs, tmp_path_factory):
    """Some of the detector's boxes, shifted, as truth, in COCO's own JSON."""
    root = tmp_path_factory.mktemp("coco")
    (root / "val2017").mkdir()
    (root / "annotations").mkdir()
    images, boxes = [], []
    for number, photo in enumerate(photographs):
        image = 1000 - number
        shutil.copy(photo, root / "val2017" / photo.name)
        with Image.open(photo) as opened:
            size = {"width": opened.width, "height": opened.height}
        images.append({"id": image, "file_name": photo.name, **size})
    for number, answer in enumerate(answers(bundles / DETECTOR, photographs)):
        found = answer["detection"]
        for box, label in list(zip(found["boxes"], found["labels"], strict=True))[:12:2]:
            x, y, width, height = map(float, (*box[:2], *(box[2:] - box[:2])))
            boxes.append(
                {"id": len(boxes) + 1, "image_id": 1000 - number, "category_id": int(label),
                 "bbox": [x + 0.08 * width, y, width, height], "area": width * height,
                 "iscrowd": 0}
            )  # fmt: skip
    names = [name for name in enumerate(labels("coco91")) if name[0] and name[1] != "N/A"]
    document = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": label, "name": name} for label, name in names],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def voc(bundles, photographs, tmp_path_factory):
    """The segmenter's own masks, shifted, enlarged and with a border of 255, as palette images."""
    root = tmp_path_factory.mktemp("voc")
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / name).mkdir(parents=True)
    for photo, answer in zip(photographs, answers(bundles / SEGMENTER, photographs), strict=True):
        shutil.copy(photo, base / "JPEGImages" / photo.name)
        mask = np.roll(answer["segmentation"]["mask"], 20, axis=1)
        mask[:10] = 255
        with Image.open(photo) as opened:
            picture = Image.fromarray(mask).resize(opened.size, Image.NEAREST)
        picture = picture.convert("L")
        picture.putpalette([value for k in range(256) for value in (k, k, k)])
        picture.save(base / "SegmentationClass" / (photo.stem + ".png"))
    listed = "\n".join(photo.stem for photo in photographs)
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text(listed + "\n")
    return root


def evaluate(bundle, *more, check=True):
    return splitwatt("evaluate", bundle, *more, "--json", check=check)


def test_classification_counts_its_places(bundles, imagenet, tmp_path):
    root, places = imagenet
    made = evaluate(bundles / CLASSIFIER, "--data", f"imagenet:{root}", "--out", tmp_path)
    (result,) = json.loads(made.stdout)["results"]
    metrics = result["metrics"]
    assert metrics["top1_percent"]["value"] == pytest.approx(100 * places.count(0) / len(places))
    hits = sum(place < 5 for place in places)
    assert metrics["top5_percent"]["value"] == pytest.approx(100 * hits / len(places))
    for figure in metrics.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert result["payload_bytes"] is None and result["data_set"] == "ilsvrc2012"


def test_wilsons_interval_is_scipys():
    from scipy.stats import binomtest

    from splitwatt.profiler.evaluate.intervals import share

    for hits, count in ((0, 7), (3, 7), (7, 7), (384, 500), (38000, 50000)):
        due = binomtest(hits, count).proportion_ci(0.95, method="wilson")
        found = share(hits, count)
        assert (found["low"], found["high"]) == pytest.approx((100 * due.low, 100 * due.high))


def test_map_is_pycocotools(bundles, coco, photographs, tmp_path):
    made = evaluate(bundles / DETECTOR, "--data", f"coco:{coco}", "--out", tmp_path)
    assert audited(tmp_path) == [True, True]
    (result,) = json.loads(made.stdout)["results"]
    rows = []
    for number, answer in enumerate(answers(bundles / DETECTOR, photographs)):
        found = answer["detection"]
        for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
            x, y, right, bottom = map(float, box)
            rows.append({"image_id": 1000 - number, "category_id": int(label),
                         "bbox": [x, y, right - x, bottom - y], "score": float(score)})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco / "annotations" / "instances_val2017.json"))
        meter = COCOeval(truth, truth.loadRes(rows), "bbox")
        meter.evaluate()
        meter.accumulate()
        meter.summarize()
    assert 5 < 100 * meter.stats[0] < 99
    metrics = result["metrics"]
    assert metrics["map_50_95_percent"]["value"] == pytest.approx(100 * meter.stats[0], abs=1e-9)
    assert metrics["map_50_percent"]["value"] == pytest.approx(100 * meter.stats[1], abs=1e-9)


def test_miou_is_the_definitions(bundles, voc, photographs, tmp_path):
    made = evaluate(bundles / SEGMENTER, "--data", f"voc:{voc}", "--out", tmp_path)
    (result,) = json.loads(made.stdout)["results"]
    assert audited(tmp_path) == [True, True]
    truths, found = [], []
    for photo, answer in zip(photographs, answers(bundles / SEGMENTER, photographs), strict=True):
        mask = answer["segmentation"]["mask"]
        path = voc / "VOCdevkit" / "VOC2012" / "SegmentationClass" / (photo.stem + ".png")
        with Image.open(path) as opened:
            truth = np.asarray(opened.resize(mask.shape[::-1], Image.NEAREST))
        truths.append(truth[truth != 255])
        found.append(mask[truth != 255])
    truth, mask = np.concatenate(truths), np.concatenate(found)
    ious = [
        ((truth == k) & (mask == k)).sum() / ((truth == k) | (mask == k)).sum()
        for k in np.union1d(truth, mask)
    ]
    figure = result["metrics"]["miou_percent"]
    assert figure["value"] == pytest.approx(100 * np.mean(ious), rel=1e-9)
    assert 0 < figure["low"] <= figure["value"] <= figure["high"] < 100


def test_a_multi_task_model_on_all_its_tasks(bundles, imagenet, coco, voc, tmp_path):
    data = [f"imagenet:{imagenet[0]}", f"coco:{coco}", f"voc:{voc}"]
    flags = [part for text in data for part in ("--data", text)]
    for preprocess in ("runtime", "paper"):
        evaluate(bundles / LADON, *flags, "--limit", "2", "--preprocess", preprocess,
                 "--out", tmp_path)  # fmt: skip
    document = json.loads((tmp_path / "accuracy.json").read_text())
    schema = json.loads((ROOT / "profiler/configs/accuracy.schema.json").read_text())
    jsonschema.validate(document, schema)
    entry = document["bundles"][LADON]
    assert entry["trained"] is False
    found = {(r["task"], r["preprocess"]): r for r in entry["results"]}
    assert len(found) == len(entry["results"]) == 6
    for (task, preprocess), result in found.items():
        assert result["images"] == 2 and result["whole"] is False
        figure = result["payload_bytes"]
        assert 0 < figure["low"] <= figure["value"] <= figure["high"]
        other = found[task, "runtime"]["bits_per_pixel"]["value"]
        # Detection's paper preprocessing is the runtime's: the same bytes. The others' are not.
        same = result["bits_per_pixel"]["value"] == other
        assert same == (preprocess == "runtime" or task == "detection")


def test_bytes_alone_of_a_folder(bundles, photographs, tmp_path):
    folder = photographs[0].parent
    made = evaluate(
        bundles / LADON, "--data", f"folder:{folder}", "--limit", "2", "--out", tmp_path
    )
    results = json.loads(made.stdout)["results"]
    assert all(result["metrics"] == {} for result in results)
    assert results[0]["payload_bytes"]["value"] > 0


def test_a_server_gives_the_same_figures(bundles, photographs, tmp_path):
    """Answers and every byte count: the size of a request is the same whether it is made or not."""
    folder = photographs[0].parent
    flags = ["--data", f"folder:{folder}", "--limit", "2", "--out"]
    here = json.loads(evaluate(bundles / LADON, *flags, tmp_path / "here").stdout)["results"]
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [*COMMAND, "serve", "--bundles", str(bundles.parent),
         "--port", "0", "--ready-file", str(ready)],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"]
        there = evaluate(bundles / LADON, *flags, tmp_path / "there", "--server", url)
        other = ("--server", url, "--server-backend", "cpu")
        told = evaluate(bundles / LADON, *flags, tmp_path / "no", *other, check=False)
        assert told.returncode == 2 and "leave out --server-backend" in told.stderr
    finally:
        process.terminate()
        process.wait()
    found = json.loads(there.stdout)["results"]
    manifest_sha256 = Bundle.open(str(bundles / LADON)).manifest_sha256
    for result in found:
        assert result["server_backend"] == "cpu"
        assert result["server"] == {"backend": "cpu", "manifest_sha256": manifest_sha256}
    for name in ("payload_bytes", "legacy_pickled_bytes", "bits_per_pixel"):
        assert [r[name] for r in found] == [r[name] for r in here]
    # The port of the URL may have another number of digits.
    digits = len(url.rsplit(":", 1)[1]) - len("8080")
    wire = here[0]["wire_bytes"]["value"] + digits
    assert found[0]["wire_bytes"]["value"] == pytest.approx(wire)


def test_a_killed_evaluation_goes_on(bundles, voc, tmp_path):
    arguments = ["evaluate", bundles / SEGMENTER, "--data", f"voc:{voc}", "--out", tmp_path]
    process = subprocess.Popen([*COMMAND, *map(str, arguments)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        made = list((tmp_path / "evaluation").glob(f"{SEGMENTER}.pascal_voc2012.runtime.*.jsonl"))
        if made and made[0].read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.005)
    (records,) = made
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = records.read_bytes()
    assert not (tmp_path / "accuracy.json").exists() or before.count(b"\n") == 7
    records.write_bytes(before[: before.rindex(b"\n") + 1] + b'{"name": "cut o')
    evaluate(*arguments[1:])
    after = records.read_text().splitlines()
    assert after[: before.count(b"\n")] == before.decode().splitlines()[: before.count(b"\n")]
    names = [json.loads(line)["name"] for line in after[1:]]
    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("imagenet:{root}", "no folder of a class"),
        ("coco:{root}", "no annotations"),
        ("voc:{root}", "no list of images"),
        ("cocoa:{root}", "coco"),
        ("{root}", "KIND:DIR"),
        ("folder:{root}/none", "no folder"),
    ],
)
def test_what_is_no_data_set_is_told(bundles, tmp_path, data, sentence):
    out = tmp_path / "out"
    text = data.format(root=tmp_path)
    made = evaluate(bundles / CLASSIFIER, "--data", text, "--out", out, check=False)
    assert made.returncode == 2 and sentence in made.stderr
    assert "Traceback" not in made.stderr and not out.exists()


def test_a_damaged_image_is_told_and_nothing_is_half_written(bundles, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet[0], root)
    damaged = sorted((root / "val").rglob("*.jpg"))[2]
    damaged.write_bytes(damaged.read_bytes()[:500])
    out = tmp_path / "out"
    made = evaluate(bundles / CLASSIFIER, "--data", f"imagenet:{root}", "--out", out, check=False)
    assert made.returncode == 1 and damaged.name in made.stderr
    assert not (out / "accuracy.json").exists()


def test_a_data_set_of_another_task_is_told(bundles, coco, tmp_path):
    made = evaluate(
        bundles / CLASSIFIER, "--data", f"coco:{coco}", "--out", tmp_path / "o", check=False
    )
    assert made.returncode == 2 and "detection" in made.stderr


def test_another_folder_of_the_same_name_is_another_data_set(bundles, photographs, tmp_path):
    for name, photo in zip("ab", photographs, strict=False):
        (tmp_path / name / "photos").mkdir(parents=True)
        shutil.copy(photo, tmp_path / name / "photos" / "1.jpg")
    found = {}
    for name in "aba":
        data = f"folder:{tmp_path / name / 'photos'}"
        made = evaluate(bundles / LADON, "--data", data, "--out", tmp_path / "out")
        found.setdefault(name, []).append(json.loads(made.stdout)["results"][0]["payload_bytes"])
    assert found["a"][0] == found["a"][1] != found["b"][0]
    document = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    results = document["bundles"][LADON]["results"]
    assert len({result["folder"] for result in results}) == 2
    # A picture that was replaced is run again.
    shutil.copy(photographs[1], tmp_path / "a" / "photos" / "1.jpg")
    data = f"folder:{tmp_path / 'a' / 'photos'}"
    made = evaluate(bundles / LADON, "--data", data, "--out", tmp_path / "out")
    assert json.loads(made.stdout)["results"][0]["payload_bytes"] == found["b"][0]


def test_a_limit_takes_every_class_in_turn(tmp_path):
    for synset, count in zip(labels("imagenet1k_synsets")[:3], (3, 1, 2), strict=True):
        (tmp_path / "val" / synset).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "val" / synset / f"{number}.jpg").write_bytes(b"")
    data = open_data_set(f"imagenet:{tmp_path}", 5)
    assert [item.truth for item in data.items] == [0, 1, 2, 0, 2] and not data.whole


def test_classes_that_the_data_set_does_not_have_are_told(coco, voc, tmp_path):
    shutil.copytree(coco, tmp_path / "coco")
    path = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    used = {row["category_id"] for row in document["annotations"]}
    category = next(row for row in document["categories"] if row["id"] in used)
    category["name"] = "zebra crossing"
    path.write_text(json.dumps(document))
    known = {"detection": Classes(labels("coco91"), 91)}
    with pytest.raises(UsageError, match=f"has the category {category['id']} 'zebra crossing'"):
        open_data_set(f"coco:{tmp_path / 'coco'}", classes=known)
    data = open_data_set(f"voc:{voc}")
    item = data.items[0]
    mask = Image.fromarray(np.full((4, 4), 21, np.uint8))
    mask.save(tmp_path / "mask.png")
    answer = {"segmentation": {"mask": np.zeros((4, 4), np.uint8)}}
    with pytest.raises(ImageError, match=r"mask\.png holds the class 21, and there are 21"):
        of_image(data, item._replace(truth=str(tmp_path / "mask.png")), answer)


def test_a_part_replaces_no_whole_and_another_backend_nothing(tiny, tmp_path):
    bundle = Bundle.open(str(tiny / "cpu" / "tiny@1"))
    result = {
        "task": "classification", "data_set": "ilsvrc2012", "images": 9, "whole": True,
        "preprocess": "runtime", "backend": "cpu", "server_backend": "cpu", "metrics": {},
    }  # fmt: skip
    part, other = dict(result, images=2, whole=False), dict(result, backend="cuda")
    add_results(str(tmp_path), bundle, [part])
    path, told = add_results(str(tmp_path), bundle, [result, other])
    assert told == []
    path, told = add_results(str(tmp_path), bundle, [part])
    assert "keeps the result of all of ilsvrc2012, not this one of 2 images" in told[0]
    with open(path, encoding="utf-8") as stream:
        assert json.load(stream)["bundles"]["tiny@1"]["results"] == [result, other]


def audited(folder):
    """Whether each check of `splitwatt check` on accuracy is met."""
    return [one.met for one in accuracy.checks(str(folder))]


@pytest.fixture(scope="module")
def evaluated(bundles, imagenet, tmp_path_factory):
    """A split classifier on two images and a whole one on all, a part of which changes nothing."""
    folder = tmp_path_factory.mktemp("evaluated")
    for model, limit in ((LADON, "2"), (CLASSIFIER, "99"), (CLASSIFIER, "3")):
        evaluate(bundles / model, "--data", f"imagenet:{imagenet[0]}", "--limit", limit,
                 "--out", folder)  # fmt: skip
        assert audited(folder) == [True, True]
    return folder


def a_figure(name, **values):
    def change(result):
        result["metrics"].get(name, result.get(name)).update(values)

    return change


@pytest.mark.parametrize(
    "change",
    [
        a_figure("top1_percent", value=99.0), a_figure("top5_percent", low=99.0),
        a_figure("top5_percent", n=3), a_figure("payload_bytes", value=7.0),
        a_figure("wire_bytes", value=7.0), a_figure("legacy_pickled_bytes", value=7.0),
        a_figure("bits_per_pixel", high=0.0), a_figure("wire_bytes", low=1.0),
        a_figure("wire_bytes", interval="95 % of something"), lambda result: result.update(payload_bytes=None),
    ],
)  # fmt: skip
def test_an_accuracy_that_was_tampered_with(evaluated, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(evaluated, copy)
    document = json.loads((copy / "accuracy.json").read_text())
    change(document["bundles"][LADON]["results"][0])
    (copy / "accuracy.json").write_text(json.dumps(document))
    assert audited(copy) == [False, True]


def test_records_of_accuracy_that_were_tampered_with(evaluated, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(evaluated, copy)
    results = json.loads((copy / "accuracy.json").read_text())["bundles"][LADON]["results"]
    path = copy / results[0]["records"]["file"]
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    path.write_text("".join([*lines, '{"name": "what a later evaluation adds"}\n']))
    assert audited(copy) == [True, True]
    row = json.loads(lines[1])
    row["payload_bytes"] += 1
    path.write_text("".join([lines[0], json.dumps(row) + "\n", *lines[2:]]))
    assert audited(copy) == [False, False]
    path.write_text("".join(lines[:2]))
    assert audited(copy)[0] is False
    path.unlink()
    assert audited(copy)[0] is False


def boxes(images, count):
    """COCO's document and what a detector might find: crowds, and boxes that are equally sure."""
    dice = np.random.RandomState(7)

    def box():
        return [*dice.uniform(0, 60, 2).tolist(), *dice.uniform(10, 50, 2).tolist()]

    truths = [
        {"id": k + 1, "image_id": int(dice.randint(images)), "category_id": int(dice.randint(1, 4)),
         "bbox": box(), "area": 900.0, "iscrowd": int(dice.rand() < 0.2)}
        for k in range(count)
    ]  # fmt: skip
    found = []
    for truth in truths * 3:
        moved = (np.array(truth["bbox"]) + dice.uniform(-9, 9, 4)).clip(1).tolist()
        kind = truth["category_id"] if dice.rand() < 0.8 else int(dice.randint(1, 5))
        found.append({"image_id": truth["image_id"], "category_id": kind, "bbox": moved,
                      "score": round(float(dice.rand()), 1)})  # fmt: skip
    document = {"images": [{"id": k} for k in range(images)], "annotations": truths,
                "categories": [{"id": k, "name": str(k)} for k in range(1, 5)]}  # fmt: skip
    return document, found


def test_map_by_hand_is_pycocotools():
    document, found = boxes(images=6, count=60)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(document))
        coco.createIndex()
        meter = COCOeval(coco, coco.loadRes(json.loads(json.dumps(found))), "bbox")
        meter.evaluate()
        meter.accumulate()
        meter.summarize()
    due = [100 * meter.stats[0], 100 * meter.stats[1]]
    assert 5 < due[0] < due[1] < 95
    matches = Matches(document, range(6), found)
    assert matches.average_precisions(np.ones(6, int)) == pytest.approx(due)


def drawn_again(figure, of):
    due = oracle_intervals.ends(figure["interval"], figure["value"], figure["n"], of)
    assert due == pytest.approx((figure["low"], figure["high"]), rel=1e-9)
    assert figure["low"] < figure["value"] < figure["high"]
    return due


def test_intervals_that_were_drawn_are_those_that_the_audit_draws(tmp_path):
    document, found = boxes(images=45, count=300)
    path = tmp_path / "instances.json"
    for k, row in enumerate(document["images"]):
        row["file_name"] = f"{k}.jpg"
    path.write_text(json.dumps(document))
    read = read_coco(str(path))
    document = read.document
    found = [dict(row, image_id=row["image_id"] + 1) for row in found]
    items = [Item(image.file_name, "", image.id) for image in read.images]
    coco = DataSet("coco", "coco2017", "detection", items, coco=read)
    per_image = [[row for row in found if row["image_id"] == k + 1] for k in range(45)]
    given = figures(coco, per_image)
    matches = Matches(document, range(1, 46), found)
    for place, name in enumerate(("map_50_95_percent", "map_50_percent")):
        drawn_again(given[name], lambda w, place=place: matches.average_precisions(w)[place])

    dice = np.random.RandomState(3)
    masks = [
        [[int(t), int(f), int(dice.randint(1, 900))]
         for t, f in {tuple(dice.randint(0, 21, 2)) for _ in range(6)} | {(4, 4), (0, 0)}]
        for _ in range(30)
    ]  # fmt: skip
    drawn_again(
        figures(coco._replace(task="segmentation"), masks)["miou_percent"],
        oracle_intervals.miou_of(masks),
    )

    sizes = dice.lognormal(8, 1, 40)
    low, high = drawn_again(mean(sizes), oracle_intervals.mean_of(sizes))
    scipys = scipy.stats.bootstrap((sizes,), np.mean, method="percentile", random_state=1)
    assert (low, high) == pytest.approx(scipys.confidence_interval, rel=0.05)
