"""`evaluate` against a reference that uses only torchvision, onnxruntime and pycocotools.

The truth is the models' own answers on the stored pixels, some of them moved, so that the right
figures are high and every mistake in reading pictures, boxes or masks lowers them.
"""

import contextlib
import io
import json
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from pycocotools.cocoeval import COCOeval
from torchvision.datasets import CocoDetection, ImageFolder, VOCSegmentation
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops import box_convert, clip_boxes_to_image
from torchvision.transforms._presets import ImageClassification, SemanticSegmentation
from torchvision.transforms.functional import pil_to_tensor

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.labels import labels
from splitwatt.profiler.evaluate.data_sets.data_set import Classes
from splitwatt.profiler.evaluate.data_sets.open import open_data_set
from tests.conftest import splitwatt

CLASSIFIER = "mobilenet_v3_large"
DETECTOR = "ssdlite320_mobilenet_v3_large"
SEGMENTER = "lraspp_mobilenet_v3_large"


class Reference:
    """A local bundle's graph in a session of onnxruntime, behind torchvision's own preprocessing."""

    def __init__(self, folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        (part,) = manifest["parts"]
        self.names = [port["name"] for port in part["outputs"]]
        self.session = onnxruntime.InferenceSession(str(folder / part["file"]))

    def run(self, tensor):
        outputs = self.session.run(None, {"image": tensor.numpy()})
        return dict(zip(self.names, map(torch.from_numpy, outputs), strict=True))

    def classes(self, picture):
        """The five most likely classes."""
        tensor = ImageClassification(crop_size=224)(picture.convert("RGB"))[None]
        return self.run(tensor)["logits"][0].topk(5).indices.tolist()

    def boxes(self, picture):
        """Boxes [x, y, width, height], labels and scores."""
        mean = [0.5, 0.5, 0.5]
        transform = GeneralizedRCNNTransform(
            320, 320, mean, mean, size_divisible=1, fixed_size=(320, 320)
        )
        tensor = pil_to_tensor(picture.convert("RGB")).float() / 255
        found = self.run(transform.eval()([tensor])[0].tensors)
        kept = found["scores"] >= 0.001
        boxes = resize_boxes(found["boxes"][kept], (320, 320), tensor.shape[1:])
        boxes = box_convert(clip_boxes_to_image(boxes, tensor.shape[1:]), "xyxy", "xywh")
        return boxes.tolist(), found["labels"][kept].tolist(), found["scores"][kept].tolist()

    def mask(self, picture):
        """The class of each pixel at the network's resolution."""
        tensor = SemanticSegmentation(resize_size=416)(picture.convert("RGB"))[None]
        return self.run(tensor)["mask"][0].numpy()


def figures(bundle, data, out):
    made = splitwatt("evaluate", bundle, "--data", data, "--out", out, "--json")
    (result,) = json.loads(made.stdout)["results"]
    return {name: figure["value"] for name, figure in result["metrics"].items()}


def printed(values):
    return [f"{value:.2f}" for value in values]


def turned(source, target, orientation):
    """A copy of a picture whose EXIF says that it is turned; the stored pixels are the same."""
    with Image.open(source) as image:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(target, quality=95, exif=exif)


@pytest.fixture(scope="module")
def pictures(photographs, tmp_path_factory):
    """Photographs stored in all orientations."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, photo in enumerate(photographs):
        turned(photo, folder / f"{number}.jpg", (1, 3, 6, 8, 5, 2)[number % 6])
    return sorted(folder.iterdir())


def answer_of(bundle, path, task):
    """What the deployed bundle answers for the stored pixels."""
    from splitwatt.engines.pipeline.image import decode_image
    from splitwatt.engines.pipeline.pipeline import WholePipeline

    with WholePipeline(Bundle.open(str(bundle))) as pipeline:
        return pipeline.run(decode_image(str(path), exif_rotation=False)).answer[task]


def test_classes_of_pictures_with_exif(bundles, pictures, tmp_path):
    synsets = labels("imagenet1k_synsets")
    for number, path in enumerate(pictures):
        label = int(answer_of(bundles / CLASSIFIER, path, "classification")["labels"][0])
        folder = tmp_path / "data" / "val" / synsets[label] / "below"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number}.JPG")
    reference, hits = Reference(bundles / CLASSIFIER), []
    data = ImageFolder(tmp_path / "data" / "val", loader=Image.open)
    places = {place: synsets.index(name) for name, place in data.class_to_idx.items()}
    for picture, place in data:
        best = reference.classes(picture)
        hits.append((best[0] == places[place], places[place] in best))
    due = [100 * float(np.mean(column)) for column in zip(*hits, strict=True)]
    found = figures(bundles / CLASSIFIER, f"imagenet:{tmp_path / 'data'}", tmp_path / "out")
    assert [found["top1_percent"], found["top5_percent"]] == due == [100.0, 100.0]


@pytest.fixture(scope="module")
def coco(bundles, pictures, tmp_path_factory):
    """Boxes of the detector on stored pixels, in sub-folders, with crowds, an empty image, sparse
    categories, ids in no order, and one file listed twice."""
    root = tmp_path_factory.mktemp("coco")
    images, boxes = [], []
    for number, path in enumerate(pictures):
        name = f"cam{number}/frame.jpg"
        (root / "val2017" / f"cam{number}").mkdir(parents=True)
        shutil.copy(path, root / "val2017" / name)
        with Image.open(path) as image:
            size = {"width": image.width, "height": image.height}
        ids = [100 - 7 * number] + ([4001] if number == 1 else [])
        images += [{"id": i, "file_name": name, **size} for i in ids]
        answer = answer_of(bundles / DETECTOR, path, "detection")
        rows = list(zip(answer["boxes"], answer["labels"], strict=True))
        for i in ids[: 0 if number == 2 else None]:
            for k, (box, label) in enumerate(rows[:10]):
                x, y, right, bottom = map(float, box)
                boxes.append(
                    {"id": len(boxes), "image_id": i, "category_id": int(label), "iscrowd": int(k == 9),
                     "bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y)}
                )  # fmt: skip
    shutil.copy(pictures[0], root / "val2017" / "frame.jpg")  # a stray file of the same name
    names = [
        row for row in enumerate(labels("coco91")) if row[0] and row[1] != "N/A" and row[0] % 9
    ]
    document = {"images": images, "annotations": boxes,
                "categories": [{"id": i, "name": name} for i, name in names]}  # fmt: skip
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    return root


def edited(coco, tmp_path, change):
    root = tmp_path / "edited"
    shutil.copytree(coco, root)
    path = root / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return root


def reference_map(bundle, root):
    """mAP by torchvision's data set, onnxruntime and pycocotools; ids of annotations from 1 on,
    since pycocotools takes the id 0 for a miss."""
    annotations = root / "annotations" / "instances_val2017.json"
    document = json.loads(annotations.read_text())
    for number, row in enumerate(document["annotations"], 1):
        row["id"] = number
    renumbered = root / "annotations" / "renumbered.txt"
    renumbered.write_text(json.dumps(document))
    with contextlib.redirect_stdout(io.StringIO()):
        data = CocoDetection(root / "val2017", renumbered)
        rows, reference = [], Reference(bundle)
        for place, image_id in enumerate(data.ids):
            for box, label, score in zip(*reference.boxes(data[place][0]), strict=True):
                rows.append(
                    {"image_id": image_id, "category_id": label, "score": score, "bbox": box}
                )
        meter = COCOeval(data.coco, data.coco.loadRes(rows), "bbox")
        meter.evaluate()
        meter.accumulate()
        meter.summarize()
    return [100 * float(value) for value in meter.stats[:2]]


def test_boxes_of_pictures_with_exif_in_sub_folders(bundles, coco, tmp_path):
    due = reference_map(bundles / DETECTOR, coco)
    assert due[1] > 60
    for _ in range(2):  # the second time from the records of the first
        found = figures(bundles / DETECTOR, f"coco:{coco}", tmp_path / "out")
        assert printed(found.values()) == printed(due)
    (records,) = (tmp_path / "out" / "evaluation").iterdir()
    rows = [json.loads(line) for line in records.read_text().splitlines()[1:]]
    assert (
        len(rows) == len({row["name"] for row in rows}) == len(open_data_set(f"coco:{coco}").items)
    )
    assert splitwatt("check", tmp_path / "out", check=False).returncode in (0, 1)


@pytest.mark.parametrize("missing", [("area",), ("iscrowd",), ("area", "iscrowd")])
def test_boxes_without_area_or_iscrowd(bundles, coco, tmp_path, missing):
    def change(document):
        for row in document["annotations"]:
            row["iscrowd"] = 0

    whole = edited(coco, tmp_path / "whole", change)
    due = figures(bundles / DETECTOR, f"coco:{whole}", tmp_path / "a")

    def remove(document):
        change(document)
        for row in document["annotations"]:
            for key in missing:
                del row[key]

    root = edited(coco, tmp_path, remove)
    assert figures(bundles / DETECTOR, f"coco:{root}", tmp_path / "b") == due


def test_ids_that_are_text(bundles, coco, tmp_path):
    due = figures(bundles / DETECTOR, f"coco:{coco}", tmp_path / "a")

    def change(document):
        for row in document["images"]:
            row["id"] = f"{row['id']:06d}"
        for row in document["annotations"]:
            row["image_id"] = f"{row['image_id']:06d}"

    root = edited(coco, tmp_path, change)
    assert figures(bundles / DETECTOR, f"coco:{root}", tmp_path / "b") == pytest.approx(due)


def test_no_true_box_is_undefined_and_not_0(bundles, coco, tmp_path):
    root = edited(coco, tmp_path, lambda document: document["annotations"].clear())
    made = splitwatt(
        "evaluate", bundles / DETECTOR, "--data", f"coco:{root}", "--out", tmp_path / "a"
    )
    assert "mAP 50-95  - (undefined" in made.stdout
    assert set(figures(bundles / DETECTOR, f"coco:{root}", tmp_path / "a").values()) == {None}
    report = json.loads((tmp_path / "a" / "accuracy.json").read_text())
    assert report["bundles"][DETECTOR]["results"][0]["metrics"]["map_50_percent"]["value"] is None


def first_used(document):
    """The first category that has a box."""
    used = {row["category_id"] for row in document["annotations"]}
    return next(row for row in document["categories"] if row["id"] in used)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda d: d["images"][0].update(width=7), "says that"),
        (lambda d: d["images"][0].update(file_name="/etc/passwd"), "leads out"),
        (lambda d: d["images"][0].update(file_name="../frame.jpg"), "leads out"),
        (lambda d: d["images"][0].update(file_name="cam9/frame.jpg"), "is not in"),
        (lambda d: d["images"][0].update(id=d["images"][1]["id"]), "of an image before it"),
        (lambda d: d["images"][0].update(id=None), "id must be"),
        (lambda d: d["images"][0].update(id="1"), "others that are text"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), "annotations[0]: bbox"),
        (lambda d: d["annotations"][0].update(bbox=None), "annotations[0]: bbox"),
        (lambda d: d["annotations"][0].update(iscrowd="no"), "iscrowd must be"),
        (lambda d: d["annotations"][0].pop("image_id"), "image_id must be"),
        (
            lambda d: first_used(d).update(name="zebra crossing"),
            "which is not a class of the bundle",
        ),
        (lambda d: d.pop("categories"), "'categories' is not a list"),
    ],
)
def test_annotations_are_checked_before_the_first_image(coco, tmp_path, change, words):
    root = edited(coco, tmp_path, change)
    with pytest.raises(UsageError) as refused:
        open_data_set(f"coco:{root}", classes={"detection": Classes(labels("coco91"), 91)})
    assert words in str(refused.value) and "\n" not in str(refused.value)


def voc_layout(root, entries, listed, masks=None):
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / name).mkdir(parents=True)
    for name, (path, mask) in entries.items():
        shutil.copy(path, base / "JPEGImages" / f"{name}.jpg")
        picture = Image.fromarray(mask).convert("P") if mask.ndim == 2 else Image.fromarray(mask)
        if mask.ndim == 2:
            picture.putdata(mask.ravel().tolist())
        picture.save(base / "SegmentationClass" / f"{name}.png")
    (base / "ImageSets" / "Segmentation" / "val.txt").write_bytes(listed)
    return base


@pytest.fixture(scope="module")
def masks(bundles, pictures):
    """The segmenter's masks on stored pixels, enlarged to the pictures, with a border of 255."""
    found = []
    for path in pictures:
        mask = answer_of(bundles / SEGMENTER, path, "segmentation")["mask"]
        with Image.open(path) as image:
            mask = np.array(Image.fromarray(mask).resize(image.size, Image.NEAREST))
        mask[:12] = 255
        found.append((path, mask))
    return found


NAMES = ["2008_000001", "with blanks here", "größe", "sub 1", "日本", "last"]


def test_masks_of_pictures_with_exif_and_a_list_of_hard_names(bundles, masks, tmp_path):
    entries = dict(zip(NAMES, masks, strict=True))
    lines = [
        f"{name} -1" if k == 3 else f"{name}  1" if k == 5 else name for k, name in enumerate(NAMES)
    ]
    listed = b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\r\n"
    base = voc_layout(tmp_path / "data", entries, listed)
    # torchvision reads a list of names alone.
    (base / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(NAMES))
    total, reference = np.zeros((21, 21), np.int64), Reference(bundles / SEGMENTER)
    for picture, target in VOCSegmentation(tmp_path / "data", image_set="train"):
        mask = reference.mask(picture)
        truth = np.array(target.resize(mask.shape[::-1], Image.NEAREST))
        known = truth != 255
        total += np.bincount(21 * truth[known].astype(int) + mask[known], minlength=441).reshape(
            21, 21
        )
    hits = np.diag(total)
    union = total.sum(0) + total.sum(1) - hits
    due = 100 * float((hits[union > 0] / union[union > 0]).mean())
    assert due > 60
    found = figures(bundles / SEGMENTER, f"voc:{tmp_path / 'data'}", tmp_path / "out")
    assert printed(found.values()) == printed([due])


def test_masks_are_checked_before_the_first_image(masks, tmp_path):
    path, mask = masks[0]
    wrong = {
        "more than 21": np.full_like(mask, 21),
        "turned": np.ascontiguousarray(mask.T),
        "colours": np.zeros((*mask.shape, 3), np.uint8),
    }
    words = {"more than 21": "holds the class 21", "turned": "has", "colours": "no class numbers"}
    for name, other in wrong.items():
        if name == "turned" and mask.shape[0] == mask.shape[1]:
            other = other[:-1]
        voc_layout(tmp_path / name, {"a": (path, other)}, b"a\n")
        with pytest.raises(UsageError) as refused:
            open_data_set(f"voc:{tmp_path / name}")
        assert words[name] in str(refused.value) and "a.png" in str(refused.value)
    voc_layout(tmp_path / "void", {"a": (path, np.full_like(mask, 255))}, b"a\n")
    assert len(open_data_set(f"voc:{tmp_path / 'void'}").items) == 1
    voc_layout(tmp_path / "twice", {"a": (path, mask)}, b"a\na\n")
    with pytest.raises(UsageError, match="'a' more than once"):
        open_data_set(f"voc:{tmp_path / 'twice'}")
