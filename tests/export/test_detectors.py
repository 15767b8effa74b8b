"""Exported detectors against torchvision's own, from the photograph to the boxes."""

import numpy as np
import onnxruntime
import pytest
import torch
from torchvision.ops import nms as torchvision_nms
from torchvision.transforms.functional import to_tensor

from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.postprocess import Sizes, detection
from splitwatt.export import zoo
from splitwatt.export.graphs.boxes import nms
from splitwatt.export.tracing.onnx_export import to_onnx
from splitwatt.export.tracing.parity import match
from splitwatt.export.tracing.photos import photos, samples
from splitwatt.export.weights.random_weights import seeded

MODELS = ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"]


@pytest.fixture(scope="module", params=MODELS)
def detector(request):
    """System, randomised network and the session of its exported graph."""
    system, rate = zoo.find(request.param)
    with seeded(request.param), torch.no_grad():
        network = system.build(rate)
        network.fit_random(photos(system.preprocess), request.param)
        part = network.parts()[0]
        example = _tensors(samples(system.preprocess)[1])
        model = to_onnx(part, example, 13, 7)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return system, network, part, session


def _tensors(photo):
    return {
        "image": torch.from_numpy(photo.tensor),
        "valid_size": torch.tensor(photo.valid_size),
    }


def test_equal_to_the_whole_torchvision_model(detector):
    """torchvision's model with its own transform and its own loops; ours with ours."""
    system, network, part, session = detector
    for photo in photos(system.preprocess):
        rgb = decode_image(photo.path)
        with torch.no_grad():
            due = network.model([to_tensor(rgb)])[0]
        feed = {port.name: _tensors(photo)[port.name].numpy() for port in part.inputs}
        outputs = dict(zip(["boxes", "labels", "scores"], session.run(None, feed), strict=False))
        sizes = Sizes(rgb.shape[:2], photo.valid_size, photo.input_size)
        answer = detection(outputs, system.postprocess["detection"], sizes)
        due = {name: tensor.numpy() for name, tensor in due.items()}
        assert 5 <= len(answer["scores"]) <= 100
        pairs = match(answer, due)
        # A suppression that hangs on the last bit may go the other way: not more than one.
        assert len(pairs) >= max(len(answer["scores"]), len(due["scores"])) - 1, photo.name


def test_runs_in_eager_mode_as_its_graph_does(detector):
    system, _, part, session = detector
    tensors = _tensors(samples(system.preprocess)[0])
    inputs = [tensors[port.name] for port in part.inputs]
    with torch.no_grad():
        boxes = part.module(*inputs)[0]
    traced = session.run(["boxes"], {p.name: tensors[p.name].numpy() for p in part.inputs})[0]
    assert boxes.shape == traced.shape


def test_no_boxes_are_no_error(detector):
    system, network, part, _ = detector
    heads = (
        [network.model.roi_heads.box_predictor.cls_score]
        if "rcnn" in system.name
        else [
            [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            for head in network.model.head.classification_head.module_list
        ]
    )
    tensors = _tensors(samples(system.preprocess)[0])
    with torch.no_grad():
        for head in heads:
            head.bias[0::91] += 100.0
        model = to_onnx(part, tensors, 13, 7)
        for head in heads:
            head.bias[0::91] -= 100.0
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    boxes, labels, scores = session.run(
        ["boxes", "labels", "scores"], {p.name: tensors[p.name].numpy() for p in part.inputs}
    )
    assert boxes.shape == (0, 4) and labels.shape == scores.shape == (0,)


def test_suppression_while_tracing_is_onnx_suppression():
    """The stand-in that PyTorch runs, against torchvision's nms class by class."""
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand((2, 60, 2), generator=generator) * 50
    boxes = torch.cat([corners, corners + 5 + 20 * torch.rand((2, 60, 2), generator=generator)], 2)
    scores = torch.rand((2, 3, 60), generator=generator)
    kept = nms(boxes, scores, 4, 0.5, 0.3)
    for batch in range(2):
        for label in range(3):
            rows = kept[(kept[:, 0] == batch) & (kept[:, 1] == label)][:, 2]
            good = (scores[batch, label] > 0.3).nonzero()[:, 0]
            due = good[torchvision_nms(boxes[batch, good], scores[batch, label, good], 0.5)][:4]
            assert rows.tolist() == due.tolist()
    assert len(nms(boxes, scores, 4, 0.5, 2.0)) == 0


def test_matching_ignores_the_order_of_equal_scores():
    boxes = np.array([[0, 0, 9, 9], [5, 5, 20, 20], [1, 1, 2, 2]], np.float32)
    due = {"boxes": boxes, "labels": np.array([1, 1, 2]), "scores": np.array([0.5, 0.5, 0.2])}
    swapped = {key: value[[1, 0, 2]] for key, value in due.items()}
    assert sorted(match(swapped, due)) == [(0, 1), (1, 0), (2, 2)]
    other = {**due, "labels": np.array([1, 3, 2])}
    assert match(other, due) == [(0, 0), (2, 2)]
