"""`evaluate` on data sets of one's own, with the class names of the bundle's manifest, and what it refuses."""

import json
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.profiler.check import accuracy
from splitwatt.profiler.evaluate.data_sets.data_set import Classes
from splitwatt.profiler.evaluate.data_sets.masks import read_mask
from splitwatt.profiler.evaluate.data_sets.open import open_data_set
from tests.board.tiny import read_document, tiny_bundle, write_document
from tests.conftest import splitwatt
from tests.profiler.test_evaluate_reference import (
    CLASSIFIER,
    DETECTOR,
    SEGMENTER,
    Reference,
    answer_of,
    figures,
)


def with_labels(bundle, folder, task, names):
    """A copy of a bundle whose manifest holds other class names."""
    shutil.copytree(bundle, folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["postprocess"][task]["labels"] = names
    path.write_text(json.dumps(manifest))
    return folder


def audited(folder):
    return [one.met for one in accuracy.checks(str(folder))]


def test_folders_named_by_the_bundles_classes_in_any_order(bundles, photographs, tmp_path):
    names = [
        f"class {7 * label % 1000}" for label in range(1000)
    ]  # not in the order of the letters
    bundle = with_labels(bundles / CLASSIFIER, tmp_path / "bundle", "classification", names)
    reference = Reference(bundle)
    for photo in photographs:
        with Image.open(photo) as picture:
            folder = tmp_path / "own" / names[reference.classes(picture)[0]]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder)
    found = figures(bundle, f"classes:{tmp_path / 'own'}", tmp_path / "out")
    assert found == {"top1_percent": 100.0, "top5_percent": 100.0}
    assert audited(tmp_path / "out") == [True, True]


def test_folders_without_the_bundles_names_must_be_all_classes(bundles, photographs, tmp_path):
    bundle = with_labels(bundles / CLASSIFIER, tmp_path / "bundle", "classification", None)
    for name in ("cat", "dog"):
        (tmp_path / "own" / name).mkdir(parents=True)
        shutil.copy(photographs[0], tmp_path / "own" / name)
    made = splitwatt("evaluate", bundle, "--data", f"classes:{tmp_path / 'own'}", check=False)
    assert made.returncode == 2 and "holds 2 folders, and the bundle has 1000" in made.stderr
    two = {"classification": Classes(None, 2)}
    data = open_data_set(f"classes:{tmp_path / 'own'}", classes=two)
    assert [item.truth for item in data.items] == [0, 1]


def test_a_record_is_made_again_where_its_class_has_another_number(photographs, tmp_path):
    """Renaming the folder of one class moves the numbers of others, whose files stay the same."""
    bundle = tiny_bundle(tmp_path / "bundle", split=False)
    document = read_document(bundle)
    document["postprocess"]["classification"]["labels"] = None
    write_document(bundle, document)
    for number in range(30):
        (tmp_path / "own" / f"b{number:02d}").mkdir(parents=True)
    shutil.copy(photographs[0], tmp_path / "own" / "b00" / "x.jpg")
    answer = answer_of(bundle, photographs[0], "classification")["labels"].tolist()
    for label in (answer[0], answer[4], (answer[0] + 1) % 30):
        root, place = tmp_path / "own", 0
        for folder in sorted(root.iterdir()):  # so many folders before that of the picture
            if not list(folder.iterdir()):
                folder.rename(root / f"{'a' if place < label else 'c'}{place:02d}")
                place += 1
        made = figures(bundle, f"classes:{root}", tmp_path / "out")
        due = [100.0 * (label == answer[0]), 100.0 * (label in answer)]
        assert list(made.values()) == due


def test_bytes_of_a_folder_leave_its_accuracy(photographs, tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(photographs[0], own / name)
    document = {"images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
                "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 9, 9]}],
                "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
    (own / "boxes.json").write_text(json.dumps(document))
    for kind in ("coco", "images", "images"):
        splitwatt("evaluate", bundle, "--data", f"{kind}:{own}", "--out", tmp_path / "out")
    ((_, entry),) = json.loads((tmp_path / "out" / "accuracy.json").read_text())["bundles"].items()
    counted = [(one["task"], bool(one["metrics"])) for one in entry["results"]]
    bytes_of = [(task, False) for task in ("classification", "detection", "segmentation")]
    assert counted == [("detection", True), *bytes_of]
    assert audited(tmp_path / "out") == [True, True]


def test_imagenet_wants_the_classes_in_its_own_order(photographs, tmp_path):
    (tmp_path / "val" / "n01440764").mkdir(parents=True)
    shutil.copy(photographs[0], tmp_path / "val" / "n01440764")
    names = list(labels("imagenet1k"))
    renamed = ["a fish", *names[1:]]
    for fine in (names, renamed, None):
        known = {"classification": Classes(fine, 1000)}
        (item,) = open_data_set(f"imagenet:{tmp_path}", classes=known).items
        assert item.truth == 0
    with pytest.raises(UsageError, match="class 0 is '.*', which has another number in ImageNet"):
        known = {"classification": Classes(sorted(names), 1000)}
        open_data_set(f"imagenet:{tmp_path}", classes=known)


def test_a_folder_of_an_unknown_class_is_one_sentence(photographs, tmp_path):
    for name in ("cat", "wolf"):
        (tmp_path / name).mkdir()
        shutil.copy(photographs[0], tmp_path / name)
    with pytest.raises(UsageError, match="the folder 'wolf', which is not a class") as caught:
        known = {"classification": Classes(["cat", "dog"], 2)}
        open_data_set(f"classes:{tmp_path}", classes=known)
    assert str(tmp_path) in caught.value.message and caught.value.remedy


def test_a_name_of_two_classes_is_refused(photographs, tmp_path):
    (tmp_path / "crane").mkdir()  # the bird and the machine
    shutil.copy(photographs[0], tmp_path / "crane")
    with pytest.raises(UsageError, match="the folder 'crane', which is not a class"):
        known = {"classification": Classes(["crane", "cat", "crane"], 3)}
        open_data_set(f"classes:{tmp_path}", classes=known)


def test_boxes_of_own_categories(bundles, photographs, tmp_path):
    """Categories with ids of their own, matched by name; the figure is that of the detector's own ids."""
    own = [f"thing {label}" for label in range(91)]
    bundle = with_labels(bundles / DETECTOR, tmp_path / "bundle", "detection", own)
    reference = Reference(bundle)
    (tmp_path / "own" / "images").mkdir(parents=True)
    document = {"images": [], "annotations": [], "categories": []}
    for number, photo in enumerate(photographs):
        shutil.copy(photo, tmp_path / "own" / "images")
        document["images"].append({"id": number, "file_name": photo.name})
        with Image.open(photo) as picture:
            boxes, kinds, _ = reference.boxes(picture)
        known = [k for k, label in enumerate(kinds) if labels("coco91")[label] != "N/A"]
        for box, label in [(boxes[k], kinds[k]) for k in known[:9:2]]:
            document["annotations"].append(
                {"id": 0, "image_id": number, "category_id": 1000 - 3 * label, "bbox": box}
            )
    used = sorted({row["category_id"] for row in document["annotations"]})
    document["categories"] = [{"id": k, "name": own[(1000 - k) // 3]} for k in used]
    (tmp_path / "own" / "boxes.json").write_text(json.dumps(document))
    found = figures(bundle, f"coco:{tmp_path / 'own'}", tmp_path / "out")
    assert audited(tmp_path / "out") == [True, True]

    for row in (*document["annotations"], *document["categories"]):
        key = "category_id" if "bbox" in row else "id"
        row[key] = (1000 - row[key]) // 3
    for row in document["categories"]:
        row["name"] = labels("coco91")[row["id"]]
    (tmp_path / "own" / "boxes.json").write_text(json.dumps(document))
    due = figures(bundles / DETECTOR, f"coco:{tmp_path / 'own'}", tmp_path / "coco")
    assert found == due and due["map_50_percent"] > 30


@pytest.mark.parametrize("of_id", [float, str])
def test_ids_that_are_written_otherwise(bundles, photographs, tmp_path, of_id):
    """1.0 and "1", as other programs write ids, give the figure of 1; sizes may be 640.0 too."""
    own = [f"thing {label}" for label in range(91)]
    bundle = with_labels(bundles / DETECTOR, tmp_path / "bundle", "detection", own)
    reference, document = Reference(bundle), {"images": [], "annotations": [], "categories": []}
    (tmp_path / "own").mkdir()
    for number, photo in enumerate(photographs[:3]):
        shutil.copy(photo, tmp_path / "own")
        with Image.open(photo) as picture:
            boxes, kinds, _ = reference.boxes(picture)
            sides = {"width": picture.width, "height": picture.height}
        document["images"].append({"id": number, "file_name": photo.name, **sides})
        for box, label in zip(boxes[:9:2], kinds[:9:2], strict=True):
            document["annotations"].append(
                {"id": 1, "image_id": number, "category_id": label, "bbox": box}
            )
    used = sorted({row["category_id"] for row in document["annotations"]})
    document["categories"] = [{"id": label, "name": own[label]} for label in used]
    (tmp_path / "own" / "boxes.json").write_text(json.dumps(document))
    due = figures(bundle, f"coco:{tmp_path / 'own'}", tmp_path / "numbers")
    assert due["map_50_percent"] > 30
    for row in (*document["images"], *document["annotations"], *document["categories"]):
        row.update(
            {key: of_id(row[key]) for key in row if key in ("id", "image_id", "category_id")}
        )
        row.update({key: float(row[key]) for key in row if key in ("width", "height")})
    (tmp_path / "own" / "boxes.json").write_text(json.dumps(document))
    assert figures(bundle, f"coco:{tmp_path / 'own'}", tmp_path / "out") == due
    assert audited(tmp_path / "out") == [True, True]


def test_names_as_other_systems_write_them(photographs, tmp_path):
    """Backslashes, a byte-order mark, and accented letters of two characters or of one."""
    (tmp_path / "cam0").mkdir()
    for name in ("cam0/a.jpg", "caf\u00e9.jpg"):
        shutil.copy(photographs[0], tmp_path / name)
    document = {"images": [{"id": 1, "file_name": "cam0\\a.jpg"},
                           {"id": 2, "file_name": "cafe\u0301.jpg"}],
                "annotations": [], "categories": [{"id": 1, "name": "cat"}]}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(document), encoding="utf-8-sig")
    items = open_data_set(f"coco:{tmp_path}").items
    names = [str(tmp_path / name) for name in ("cam0/a.jpg", "caf\u00e9.jpg")]
    assert [item.path for item in items] == names
    assert len({item.name for item in items}) == 2

    (tmp_path / "own" / "cafe\u0301").mkdir(parents=True)
    shutil.copy(photographs[0], tmp_path / "own" / "cafe\u0301")
    known = {"classification": Classes(["dog", "caf\u00e9"], 2)}
    (item,) = open_data_set(f"classes:{tmp_path / 'own'}", classes=known).items
    assert item.truth == 1


@pytest.mark.parametrize(
    ("annotations", "image", "file_name"),
    [
        ("annotations/instances_default.json", "images/default/a.jpg", "a.jpg"),  # CVAT
        ("annotations/instances_Train.json", "images/Train/sub/a.jpg", "sub/a.jpg"),
        ("annotations/instances_train.json", "train/a.jpg", "a.jpg"),
        ("annotations/instances_val2017.json", "val2017/a.jpg", "val2017/a.jpg"),
        ("_annotations.coco.json", "a.jpg", "a.jpg"),  # Roboflow
    ],
)
def test_places_where_other_programs_put_pictures(
    photographs, tmp_path, annotations, image, file_name
):
    for path in (annotations, image):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(photographs[0], tmp_path / image)
    document = {"images": [{"id": 1, "file_name": file_name}], "annotations": [],
                "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
    (tmp_path / annotations).write_text(json.dumps(document))
    (item,) = open_data_set(f"coco:{tmp_path}").items
    assert item.path == str(tmp_path / image)


def test_a_category_without_boxes_need_not_be_a_class(photographs, tmp_path):
    """Roboflow adds a category 0 with the project's name, which may be that of a class too."""
    shutil.copy(photographs[0], tmp_path / "a.jpg")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    known = {"detection": Classes(["background", "dog", "cat"], 3)}
    for project in ("Pets v2", "cat"):
        kinds = [{"id": 0, "name": project, "supercategory": "none"},
                 {"id": 1, "name": "cat", "supercategory": project}]  # fmt: skip
        document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [box],
                    "categories": kinds}  # fmt: skip
        (tmp_path / "_annotations.coco.json").write_text(json.dumps(document))
        assert open_data_set(f"coco:{tmp_path}", classes=known).label_categories == {2: 1}


def test_null_is_an_area_or_a_crowd_that_is_not_stated(photographs, tmp_path):
    shutil.copy(photographs[0], tmp_path / "a.jpg")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    document = {"images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{**box, "area": None, "iscrowd": None}, box],
                "categories": [{"id": 1, "name": "cat"}]}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(document))
    first, second = open_data_set(f"coco:{tmp_path}").coco.document["annotations"]
    assert first == {**second, "id": 1} and (first["area"], first["iscrowd"]) == (12, 0)


def test_text_ids_need_the_bundles_names(photographs, tmp_path):
    shutil.copy(photographs[0], tmp_path / "a.jpg")
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [],
                "categories": [{"id": "c7", "name": "cat"}]}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="category id 'c7', and the classes of the bundle are"):
        open_data_set(f"coco:{tmp_path}")
    document["categories"].append({"id": 7, "name": "dog"})
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="categories that are numbers and others that are text"):
        open_data_set(f"coco:{tmp_path}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["categories"][1].update(name="cat"), "two categories of the name 'cat'"),
        (lambda d: d["categories"][1].update(name="cow"), "'cow', which is not a class"),
        (lambda d: d["categories"][1].update(name="twin"), "which is the name of 2 classes"),
        (lambda d: d["categories"][1].update(id=2**60), "beyond 2^53"),
        (
            lambda d: [row.update(image_id="1") for row in d["annotations"]],
            "no image or category in it has the ids that its 2 boxes name",
        ),
        (lambda d: d["annotations"][0].update(area=-1), "area must be from 0"),
        (lambda d: d["images"][0].update(file_name="https://host/a.jpg"), "is not in"),
        (lambda d: d["images"][0].update(file_name="a\0.jpg"), "NUL"),
    ],
)
def test_own_annotations_are_checked_before_the_first_image(photographs, tmp_path, change, words):
    shutil.copy(photographs[0], tmp_path / "a.jpg")
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4]},
            {"image_id": 1, "category_id": -7, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": -7, "name": "dog"}],
    }
    own = {"detection": Classes(["background", "dog", "cat", "twin", "twin"], 5)}

    def opened():
        for row in document["annotations"]:
            row.setdefault("id", 1)
        (tmp_path / "own.json").write_text(json.dumps(document))
        return open_data_set(f"coco:{tmp_path}", classes=own)

    assert opened().label_categories == {2: 5, 1: -7}
    change(document)
    with pytest.raises(UsageError) as refused:
        opened()
    assert words in str(refused.value)


@pytest.fixture(scope="module")
def masked(bundles, photographs, tmp_path_factory):
    """masks:DIR of the segmenter's own masks; the last of them is void."""
    root, reference = tmp_path_factory.mktemp("masked"), Reference(bundles / SEGMENTER)
    for name in ("images", "masks"):
        (root / name / "deep").mkdir(parents=True)
    for number, photo in enumerate(photographs[:3]):
        shutil.copy(photo, root / "images" / "deep" / photo.name)
        with Image.open(photo) as picture:
            mask = Image.fromarray(reference.mask(picture).astype(np.uint8))
            mask = np.array(mask.resize(picture.size, Image.NEAREST))
        mask = np.full_like(mask, 255) if number == 2 else mask
        Image.fromarray(mask).save(root / "masks" / "deep" / (photo.stem + ".png"))
    return root


def test_masks_of_own_classes(bundles, masked, photographs, tmp_path):
    own = [f"thing {label}" for label in range(21)]
    bundle = with_labels(bundles / SEGMENTER, tmp_path / "bundle", "segmentation", own)
    found = figures(bundle, f"masks:{masked}", tmp_path / "out")
    assert found["miou_percent"] > 90
    assert audited(tmp_path / "out") == [True, True]  # the void image leaves some draws undefined
    with pytest.raises(UsageError, match="not those of PASCAL VOC"):
        open_data_set(f"voc:{masked}", classes={"segmentation": Classes(own, 21)})
    with pytest.raises(UsageError, match="and there are 1"):
        open_data_set(f"masks:{masked}", classes={"segmentation": Classes(["background"], 1)})


@pytest.mark.parametrize("suffix", [".PNG", ".tiff", ".TIF", ".bmp", ".gif"])
def test_masks_are_found_whatever_the_case_of_their_suffix(photographs, tmp_path, suffix):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(pixels).save(tmp_path / "images" / "cafe\u0301.png")
    Image.fromarray(pixels).save(tmp_path / "masks" / f"caf\u00e9{suffix}")
    (tmp_path / "masks" / "caf\u00e9.jpg").write_bytes(photographs[0].read_bytes())
    (item,) = open_data_set(f"masks:{tmp_path}").items
    assert np.array_equal(read_mask(item.truth, 255), pixels)
    Image.fromarray(pixels[::-1]).save(tmp_path / "masks" / "cafe\u0301.Bmp")
    with pytest.raises(UsageError, match="are two masks of"):
        open_data_set(f"masks:{tmp_path}")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_masks_of_few_bits_hold_class_numbers(tmp_path, bits):
    """PNG stores them packed; Pillow spreads 2 and 4 bits over 8."""
    classes = np.arange(16).reshape(2, 8) % 2**bits
    packed = np.unpackbits(classes[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
    rows = np.packbits(packed.reshape(2, -1), axis=-1)

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    (tmp_path / "mask.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    assert np.array_equal(read_mask(str(tmp_path / "mask.png"), 16), classes)


@pytest.mark.parametrize(("which", "kind"), [("masks", "EPS"), ("masks", "ICO"), ("images", "ICO")])
def test_only_formats_that_are_decoded_here_pass_the_check(tmp_path, monkeypatch, which, kind):
    """Pillow gives an EPS, whatever its name is, to another program."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", None)  # a call would be a TypeError
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 6)).save(
            tmp_path / name / "a.png", format=kind if name == which else "PNG"
        )
    with pytest.raises(UsageError, match=f"{which}/a.png cannot be read as an image"):
        open_data_set(f"masks:{tmp_path}")


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_tiff_and_its_mask_are_turned_alike(tmp_path, orientation, compression):
    """Pillow, and so torchvision, turns a TIFF as its tag says."""
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.tif", tiffinfo={0x0112: orientation},
                                     compression=compression)  # fmt: skip
    (item,) = open_data_set(f"masks:{tmp_path}").items
    with open(item.path, "rb") as stream, Image.open(stream) as picture:
        due = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decode_image(item.path, exif_rotation=False), due)
    assert np.array_equal(read_mask(item.truth, 255), due[..., 0])


def test_a_figure_that_no_image_defines_is_undefined_in_the_audit_too(bundles, masked, tmp_path):
    root = tmp_path / "void"
    shutil.copytree(masked, root)
    for mask in (root / "masks" / "deep").iterdir():
        with Image.open(mask) as picture:
            Image.new("L", picture.size, 255).save(mask)
    made = figures(bundles / SEGMENTER, f"masks:{root}", tmp_path / "out")
    assert made == {"miou_percent": None} and audited(tmp_path / "out") == [True, True]

    document = {"images": [{"id": 1, "file_name": "images/deep/%s"}], "annotations": [],
                "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
    document["images"][0]["file_name"] %= os.listdir(root / "images" / "deep")[0]
    (root / "boxes.json").write_text(json.dumps(document).replace("images/deep", "deep"))
    made = figures(bundles / DETECTOR, f"coco:{root}", tmp_path / "boxes")
    assert set(made.values()) == {None} and audited(tmp_path / "boxes") == [True, True]


def test_a_link_back_to_a_folder_above_is_refused(photographs, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "own" / name).mkdir(parents=True)
        shutil.copy(photographs[0], tmp_path / "own" / name)
    (tmp_path / "own" / "cat" / "more").symlink_to(tmp_path / "own" / "dog")
    data = open_data_set(f"classes:{tmp_path / 'own'}")
    assert [item.truth for item in data.items] == [0, 0, 1]
    (tmp_path / "own" / "dog" / "up").symlink_to(tmp_path / "own")
    with pytest.raises(UsageError, match="leads back to a folder above it"):
        open_data_set(f"classes:{tmp_path / 'own'}")


def test_records_that_somebody_changed(bundles, masked, tmp_path):
    """What is no record is made again; a record with wrong values is refused in a sentence."""
    due = figures(bundles / SEGMENTER, f"masks:{masked}", tmp_path / "out")
    (records,) = (tmp_path / "out" / "evaluation").iterdir()
    lines = records.read_text().splitlines()
    for damage in ("[]", "7", '{"name": 3}', '{"name": "a", "x": NaN}', "[" * 100000, "{"):
        records.write_text("\n".join([lines[0], damage, *lines[1:]]) + "\n")
        assert figures(bundles / SEGMENTER, f"masks:{masked}", tmp_path / "out") == due
        assert records.read_text().splitlines() == lines
    row = json.loads(lines[1])
    for wrong in ({"segmentation": [["a", 1, 2]]}, {"segmentation": None}, {"segmentation": 5}):
        records.write_text("\n".join([lines[0], json.dumps({**row, **wrong}), *lines[2:]]) + "\n")
        made = splitwatt("evaluate", bundles / SEGMENTER, "--data", f"masks:{masked}",
                         "--out", tmp_path / "out", check=False)  # fmt: skip
        assert made.returncode == 1 and f"{records.name} is damaged" in made.stderr
        assert "Traceback" not in made.stderr


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 1}', '{"format": 1, "bundles": []}', '{"format": 2, "bundles": {}}',
     '{"format": 1, "bundles": {"lraspp_mobilenet_v3_large": 7}}',
     '{"format": 1, "bundles": {"lraspp_mobilenet_v3_large": {"results": [7]}}}',
     '{"format": 1, "bundles": {}, "versions": NaN}'],
)  # fmt: skip
def test_an_accuracy_that_cannot_be_added_to_is_refused(bundles, tmp_path, text):
    from splitwatt.profiler.evaluate.document import add_results

    bundle = Bundle.open(str(bundles / SEGMENTER))
    (tmp_path / "accuracy.json").write_text(text)
    with pytest.raises(RunError, match=r"accuracy\.json"):
        add_results(str(tmp_path), bundle, [{"whole": True}])
    assert (tmp_path / "accuracy.json").read_text() == text


def test_results_that_cannot_be_added_to_are_refused_before_the_first_image(photographs, tmp_path):
    bundle, out = tiny_bundle(tmp_path / "bundle"), tmp_path / "out"
    out.mkdir()
    command = ["evaluate", bundle, "--data", f"images:{photographs[0].parent}", "--out", out]
    for name, more in (("accuracy.json", []), ("agreement.json", ["--against", bundle])):
        (out / name).write_text('{"format": 2}')
        made = splitwatt(*command, *more, check=False)
        assert made.returncode == 1 and f"{name} is not an {name} of format 1" in made.stderr
        assert not (out / "evaluation").exists()


def test_a_folder_that_is_named_as_an_image_is_none(photographs, tmp_path):
    (tmp_path / "own" / "cat" / "b.jpg").mkdir(parents=True)
    for path in ("own/cat/a.jpg", "own/cat/b.jpg/c.jpg"):
        shutil.copy(photographs[0], tmp_path / path)
    data = open_data_set(f"classes:{tmp_path / 'own'}")
    assert [item.name for item in data.items] == ["cat/a.jpg", "cat/b.jpg/c.jpg"]
    data = open_data_set(f"images:{tmp_path / 'own' / 'cat'}")
    assert [item.name for item in data.items] == ["a.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty holds no image; known: "):
        open_data_set(f"images:{tmp_path / 'empty'}")


def test_a_folder_whose_name_no_json_can_hold_is_refused(photographs, tmp_path):
    folder = os.path.join(str(tmp_path), os.fsdecode(b"d\xff"))
    os.mkdir(folder)
    shutil.copy(photographs[0], folder)
    with pytest.raises(UsageError, match="the path of the data set holds text with"):
        open_data_set(f"images:{folder}")


def test_a_folder_of_no_wordnet_id_does_not_print_all_of_them(tmp_path):
    (tmp_path / "qqq").mkdir()
    with pytest.raises(UsageError, match="and 950 more") as refused:
        open_data_set(f"imagenet:{tmp_path}")
    assert len(str(refused.value)) < 1000


def test_every_image_that_torchvision_lists_is_evaluated(photographs, tmp_path):
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import IMG_EXTENSIONS

    (tmp_path / "faces" / "s1").mkdir(parents=True)
    with Image.open(photographs[0]) as photo:
        small = photo.convert("L").resize((32, 24))
    for number, suffix in enumerate((*IMG_EXTENSIONS, *map(str.upper, IMG_EXTENSIONS))):
        small.save(tmp_path / "faces" / "s1" / f"{number}{suffix}")
    data = open_data_set(f"classes:{tmp_path / 'faces'}")
    listed = [path for path, _ in ImageFolder(tmp_path / "faces").samples]
    assert [item.path for item in data.items] == sorted(listed)
