"""Answers from tensors: probabilities, boxes in the image, masks without padding."""

import numpy as np
import pytest

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.bundle.manifest import Head
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.postprocess import (
    Sizes,
    answer_of,
    classification,
    detection,
    segmentation,
)

RNG = np.random.RandomState(2)
TOP5 = Head("model", "imagenet1k", top_k=5)
SIZES = Sizes((480, 640), (312, 416), (320, 416))


def test_probabilities_are_those_of_the_definition():
    logits = RNG.randn(1, 1000).astype(np.float32) * 5
    answer = classification({"logits": logits}, TOP5)
    exact = np.exp(logits[0].astype(np.longdouble))
    exact /= exact.sum()
    assert answer["labels"].dtype == np.int32 and answer["scores"].dtype == np.float32
    assert answer["labels"].tolist() == np.argsort(-logits[0])[:5].tolist()
    assert np.allclose(answer["scores"], exact[answer["labels"]].astype(float), rtol=1e-6)


def test_huge_logits_do_not_overflow_and_equal_ones_keep_their_order():
    logits = np.zeros((1, 10), np.float32)
    logits[0, 7] = 3e38
    answer = classification({"logits": logits}, TOP5)
    assert answer["labels"].tolist() == [7, 0, 1, 2, 3]
    assert answer["scores"].tolist() == [1, 0, 0, 0, 0]


def test_fewer_classes_than_asked_for():
    assert len(classification({"logits": np.zeros((1, 3), np.float32)}, TOP5)["labels"]) == 3


def test_a_logit_that_is_no_number():
    with pytest.raises(EngineError):
        classification({"logits": np.array([[1, np.nan]], np.float32)}, TOP5)


def test_boxes_are_scaled_clipped_filtered_and_sorted():
    tensors = {
        "boxes": np.array(
            [[0, 0, 416, 312], [-5, 10, 500, 400], [104, 78, 208, 156], [0, 0, 1, 1]], np.float32
        ),
        "labels": np.array([3, 4, 5, 6], np.int64),
        "scores": np.array([0.5, 0.2, 0.9, 0.01], np.float32),
    }
    answer = detection(tensors, Head("model", "coco91", score_threshold=0.05), SIZES)
    assert answer["labels"].tolist() == [5, 3, 4] and answer["labels"].dtype == np.int32
    assert answer["boxes"].dtype == np.float32
    assert np.allclose(answer["boxes"][0], [160, 120, 320, 240])
    assert np.allclose(answer["boxes"][1], [0, 0, 640, 480])
    assert answer["boxes"][2].tolist()[0] == 0 and answer["boxes"][2].tolist()[2:] == [640, 480]


def test_no_boxes_at_all():
    tensors = {
        "boxes": np.zeros((0, 4), np.float32),
        "labels": np.zeros(0, np.int64),
        "scores": np.zeros(0, np.float32),
    }
    answer = detection(tensors, Head("model", "coco91", score_threshold=0.05), SIZES)
    assert answer["boxes"].shape == (0, 4) and answer["labels"].shape == (0,)


def test_a_mask_loses_its_padding():
    mask = RNG.randint(0, 21, (1, 320, 416)).astype(np.int32)
    answer = segmentation({"mask": mask}, SIZES)
    assert answer["mask"].dtype == np.uint8 and answer["mask"].flags.c_contiguous
    assert np.array_equal(answer["mask"], mask[0, :312])


def test_labels():
    assert [len(labels(name)) for name in ("imagenet1k", "coco91", "voc21")] == [1000, 91, 21]
    assert labels("coco91")[1] == "person" and labels("voc21")[15] == "person"
    assert labels("imagenet1k")[0] == "tench"


def head_of(task):
    return Head("p", None, top_k=5 if task == "classification" else None)


BOXES = {
    "boxes": np.ones((3, 4), np.float32),
    "labels": np.ones(3, np.int64),
    "scores": np.ones(3, np.float32),
}


@pytest.mark.parametrize(
    "task, tensors, words",
    [
        ("classification", {"logits": np.zeros(5, np.float32)}, r"\(1, \?\), not float32 \(5,\)"),
        ("classification", {"logits": np.zeros((2, 5), np.float32)}, r"\(1, \?\)"),
        ("classification", {"logits": np.zeros((1, 5), object)}, "not object"),
        ("detection", dict(BOXES, boxes=np.ones((3, 3), np.float32)), r"'boxes'.* \(\?, 4\)"),
        ("detection", dict(BOXES, boxes=np.full((3, 4), np.nan, np.float32)), "'boxes'.*finite"),
        ("detection", dict(BOXES, scores=np.ones(4, np.float32)), "different lengths"),
        ("detection", dict(BOXES, labels=np.full(3, np.nan)), "'labels'.*finite"),
        ("detection", dict(BOXES, labels=np.array([1, -1, 1])), "no class id"),
        ("detection", dict(BOXES, labels=np.array([1, 2**33, 1])), "no class id"),
        ("segmentation", {"mask": np.zeros((8, 8), np.int32)}, r"\(1, \?, \?\)"),
        ("segmentation", {"mask": np.full((1, 8, 8), 256, np.int32)}, "not 0 to 255"),
        ("segmentation", {"mask": np.full((1, 8, 8), np.nan, np.float32)}, "not 0 to 255"),
    ],
)
def test_a_graph_of_other_tensors_is_refused_in_one_sentence(task, tensors, words):
    with pytest.raises(EngineError, match=words):
        answer_of(task, tensors, head_of(task), Sizes((8, 8), (8, 8), (8, 8)))
