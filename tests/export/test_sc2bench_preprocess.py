"""The test data set's transforms of a config, against torchvision's own transforms on a photograph."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision import transforms
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import InterpolationMode

from splitwatt.device_configs.errors import ConfigError
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.export.sc2bench.config import system

BOTTLENECK = {"key": "FPBasedResNetBottleneck", "kwargs": {"num_bottleneck_channels": 6}}
STUDENT = {"key": "splittable_resnet", "kwargs": {"bottleneck_config": BOTTLENECK}}
TRAINING = [("RandomResizedCrop", {"size": 32}), ("Normalize", {"mean": [0.1] * 3, "std": [9] * 3})]


def _new(calls):
    lines = [
        f"- !import_call {{key: torchvision.transforms.{key}, init: {{kwargs: {json.dumps(kwargs)}}}}}"
        for key, kwargs in calls
    ]
    return "transforms:\n" + "\n".join(lines)


def _write(folder, calls, student=STUDENT, older=False):
    sets = {"birds/train": TRAINING, "birds/val": calls}
    if older:
        splits = {
            name: {
                "dataset_id": name,
                "params": {"transform_params": [{"type": k, "params": v} for k, v in own]},
            }
            for name, own in sets.items()
        }
        datasets = yaml.safe_dump({"datasets": {"birds": {"splits": splits}}})
    else:
        datasets = "datasets:\n"
        for name, own in sets.items():
            datasets += f"  {name}:\n    " + _new(own).replace("\n", "\n    ") + "\n"
    # The data set of the test is named; here it is the first, and one for training is the last.
    rest = {
        "models": {"student_model": student},
        "test": {"test_data_loader": {"dataset_id": "birds/val"}},
    }
    path = folder / "c.yaml"
    path.write_text(datasets + yaml.safe_dump(rest))
    return str(path)


def _photograph():
    return Image.open(default_photos()[0]).convert("RGB").resize((300, 211))


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    "calls, due",
    [
        ([("Resize", {"size": 72}), ("CenterCrop", {"size": [64]})],
         [transforms.Resize(72), transforms.CenterCrop(64)]),
        ([("Resize", {"size": [64, 48]})], [transforms.Resize((64, 48))]),
        ([("Resize", {"size": [72, 90], "interpolation": "bicubic"}), ("CenterCrop", {"size": [64, 70]})],
         [transforms.Resize((72, 90), InterpolationMode.BICUBIC), transforms.CenterCrop((64, 70))]),
        ([("Resize", {"size": 40, "max_size": 50, "interpolation": 3})],
         [transforms.Resize(40, InterpolationMode.BICUBIC, max_size=50)]),
        ([("WrappedResize", {"size": 72, "interpolation": "bicubic"}), ("CenterCrop", {"size": 64})],
         [transforms.Resize(72, InterpolationMode.BICUBIC), transforms.CenterCrop(64)]),
    ],
)  # fmt: skip
def test_an_image_becomes_what_torchvision_makes_of_it(tmp_path, calls, due, older):
    normalize = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    made = system(_write(tmp_path, [*calls, ("Normalize", normalize)], older=older)).preprocess
    photo = _photograph()
    chain = [*due, transforms.ToTensor(), transforms.Normalize(**normalize)]
    expected = transforms.Compose(chain)(photo)
    tensor = preprocess(np.asarray(photo), made)[0]
    np.testing.assert_allclose(tensor[0], expected, atol=1e-5)


def _detector(**kwargs):
    return {"key": "faster_rcnn_model", "kwargs": {"backbone_config": STUDENT, **kwargs}}


def test_a_detector_is_tested_at_its_last_size_with_its_own_mean(tmp_path):
    sizes = {
        "min_size": [64, 96],
        "max_size": 128,
        "image_mean": [0, 0.1, 0],
        "image_std": [1, 1, 2],
    }
    made = system(_write(tmp_path, [], _detector(**sizes))).preprocess
    photo = _photograph()
    due = GeneralizedRCNNTransform(**sizes).eval()([transforms.ToTensor()(photo)])[0].tensors
    tensor = preprocess(np.asarray(photo), made)[0]
    np.testing.assert_allclose(torch.from_numpy(tensor), due, atol=1e-4)


@pytest.mark.parametrize(
    "calls, said",
    [
        ([("Normalize", {"mean": [0, 0, 0], "std": [1, 1, 1]})], "no transform Resize"),
        ([("CenterCrop", {"size": 64})], "no transform Resize"),
        ([("Resize", {"size": 0})], "Resize.size is 0"),
        ([("Resize", {"size": [1, 2, 3]})], "Resize.size"),
        ([("Resize", {"size": 72.5})], "Resize.size is 72.5"),
        ([("Resize", {})], "Resize.size is None"),
        ([("Resize", {"size": 10**9})], "Resize.size"),
        ([("Resize", {"size": 72, "interpolation": "lanczos"})], "interpolation is 'lanczos'"),
        ([("Resize", {"size": 32}), ("CenterCrop", {"size": 64})], "larger than Resize.size"),
        ([("Resize", {"size": 72}), ("Normalize", {"mean": [0.5], "std": [0.5]})], "Normalize.mean"),
        ([("Resize", {"size": 72}), ("Normalize", {"std": [0, 1, 1]})], "Normalize.std"),
    ],
)  # fmt: skip
def test_a_transform_that_no_manifest_can_state_is_one_sentence(tmp_path, calls, said):
    path = _write(tmp_path, calls)
    with pytest.raises(ConfigError) as caught:
        system(path)
    assert said in caught.value.message and path in caught.value.message and caught.value.remedy


@pytest.mark.parametrize(
    "kwargs, said",
    [
        ({"box_roi_pool": {"x": 1}}, "box_roi_pool"),
        ({"box_score_thresh": "high"}, "box_score_thresh"),
        ({"fixed_size": [64, 64]}, "fixed_size"),
        ({"backbone_fpn_kwargs": {"return_layer_dict": {"layer1": "1"}}}, "return_layer_dict"),
        ({"backbone_fpn_kwargs": {"in_channels_list": [1, 2, 3, 4]}}, "in_channels_list"),
        ({"backbone_fpn_kwargs": [1]}, "backbone_fpn_kwargs"),
        ({"backbone_fpn_kwargs": {"out_channels": "x"}}, "do not make a faster_rcnn_model"),
        ({"return_layer_dict": [1]}, "return_layer_dict"),
    ],
)
def test_an_argument_of_a_head_is_used_or_refused(tmp_path, kwargs, said):
    with pytest.raises(ConfigError, match=said):
        system(_write(tmp_path, [], _detector(**kwargs))).build(None)


def test_thresholds_and_channels_of_a_detector_reach_its_graph(tmp_path):
    kwargs = {"box_score_thresh": 0.3, "box_nms_thresh": 0.4, "box_detections_per_img": 7,
              "rpn_post_nms_top_n_test": 50, "rpn_fg_iou_thresh": 0.8, "num_classes": 3,
              "backbone_fpn_kwargs": {"out_channels": 64}}  # fmt: skip
    made = system(_write(tmp_path, [], _detector(**kwargs)))
    assert made.postprocess["detection"].score_threshold == 0.3
    network = made.build(None)
    graph = network.rcnn_graph
    assert (graph.score_threshold, graph.iou_threshold) == (0.3, 0.4)
    assert (graph.detections, graph.after) == (7, 50)
    assert network.rcnn.backbone.out_channels == 64


@pytest.mark.parametrize(
    "key, kwargs, channels",
    [
        ("splittable_resnet", {"resnet_name": "resnet18"}, 64),
        ("splittable_regnet", {"regnet_name": "regnety_002"}, 24),
    ],
)
def test_a_decoder_that_does_not_fit_names_the_channels_that_would(tmp_path, key, kwargs, channels):
    student = {"key": key, "kwargs": {**STUDENT["kwargs"], **kwargs}}
    with pytest.raises(ConfigError) as caught:
        system(_write(tmp_path, [], student)).build(None)
    assert f"makes 256 channels and the backbone takes {channels}" in caught.value.message
    assert f"num_target_channels to {channels}" in caught.value.remedy
    assert Path(_write(tmp_path, [])).name in caught.value.message


def test_a_channel_reduction_that_does_not_fit_names_a_backbone_that_would(tmp_path):
    inner = {"key": "larger_resnet_bottleneck", "kwargs": {"bottleneck_channel": 9}}
    kwargs = {**STUDENT["kwargs"], "resnet_name": "resnet18", "bottleneck_config": inner}
    with pytest.raises(ConfigError) as caught:
        system(_write(tmp_path, [], {**STUDENT, "kwargs": kwargs})).build(None)
    assert "resnet50" in caught.value.remedy and "num_target" not in caught.value.remedy


VIT = {
    "key": "splittable_hybrid_vit",
    "kwargs": {**STUDENT["kwargs"], "hybrid_vit_name": "vit_small_r26_s32_384"},
}


def test_a_model_of_one_size_names_it_when_the_images_have_another(tmp_path):
    with pytest.raises(ConfigError) as caught:
        system(_write(tmp_path, [], VIT)).build(None)
    assert "(384, 384) and the test data set makes (224, 224)" in caught.value.message
    assert "[384, 384]" in caught.value.remedy


def test_a_model_of_one_size_gets_random_weights_at_that_size(tmp_path):
    calls = [("Resize", {"size": [384, 384]})]
    network = system(_write(tmp_path, calls, VIT)).build(None)
    network.trunk.stages[0].blocks = torch.nn.Identity()  # slow, and for any number of tokens
    network.fit_random([], "vit")
    with torch.no_grad():
        f4 = network.features(network.bottleneck.received(torch.zeros(1, 3, 384, 384)))[-1]
    assert f4.shape == (1, network.trunk.fc.in_features)


def test_a_regnet_that_sc2bench_cannot_split_is_one_sentence(tmp_path):
    kwargs = {**STUDENT["kwargs"], "regnet_name": "regnetz_005"}
    with pytest.raises(ConfigError, match="leaves out the last convolution"):
        system(_write(tmp_path, [], {"key": "splittable_regnet", "kwargs": kwargs})).build(None)
