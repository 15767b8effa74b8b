"""YAML files of sc2bench's schema, written here: what they build is what sc2bench itself builds."""

import json
import random
from pathlib import Path

import pytest
import torch
import yaml
from sc2bench.models.backbone import splittable_resnet
from torchvision.models import resnet18

from splitwatt.device_configs.errors import CheckpointError, ConfigError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export import cli
from splitwatt.export.sc2bench.config import read, system
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import read as read_weights
from splitwatt.export.weights.random_weights import seeded
from tests.conftest import splitwatt

BOTTLENECK = {
    "key": "FPBasedResNetBottleneck",
    "kwargs": {"num_bottleneck_channels": 6, "num_target_channels": 64},
}
RESNET = {
    "num_classes": 7,
    "resnet_name": "resnet18",
    "skips_avgpool": False,
    "skips_fc": False,
    "bottleneck_config": BOTTLENECK,
}
DATA = """
datasets:
  &val birds/val: !import_call
    _root: &root !join ['~/datasets/', 'birds']
    key: 'torchvision.datasets.ImageFolder'
    init:
      kwargs:
        root: !join [*root, '/val']
        transform: !import_call
          key: 'torchvision.transforms.Compose'
          init:
            kwargs:
              transforms:
                - !import_call
                  key: 'torchvision.transforms.Resize'
                  init:
                    kwargs:
                      size: 72
                      interpolation: !getattr
                        - !import_get
                          key: 'torchvision.transforms.functional.InterpolationMode'
                        - 'BICUBIC'
                - !import_call
                  key: 'torchvision.transforms.CenterCrop'
                  init: {kwargs: {size: [64, 64]}}
                - !import_call
                  key: 'torchvision.transforms.Normalize'
                  init: {kwargs: {mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2]}}
test:
  test_data_loader:
    dataset_id: *val
"""


def _write(folder, key="splittable_resnet", kwargs=RESNET, data=DATA, role="student_model", **more):
    path = folder / "birds_student.yaml"
    models = {"models": {role: {"key": key, "kwargs": kwargs, **more}}}
    path.write_text(yaml.safe_dump(models) + data)
    return str(path)


def _changed(*path, to):
    document = json.loads(json.dumps(RESNET))
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = to
    return document


@pytest.mark.parametrize(
    "key",
    ["FPBasedResNetBottleneck", "SHPBasedResNetBottleneck", "MSHPBasedResNetBottleneck"],
)
def test_the_bundle_of_a_checkpoint_answers_as_sc2bench_does(tmp_path, key):
    kwargs = _changed("bottleneck_config", "key", to=key)
    with seeded("student"):
        model = splittable_resnet(**json.loads(json.dumps(kwargs))).eval()
        for name, parameter in model.bottleneck_layer.named_parameters():
            if "entropy_bottleneck" not in name and "g_a.4" not in name:
                parameter.data += 0.02 * torch.rand_like(parameter)
    model.update()
    checkpoint = tmp_path / "birds.pt"
    names = [f"bird {i}" for i in range(7)]
    torch.save({"model": model.state_dict(), "classes": names}, checkpoint)
    made = system(_write(tmp_path, kwargs=kwargs))
    assert made.name == "birds_student" and made.preprocess.crop == (64, 64)
    assert made.preprocess.resize[:2] == ("shorter", 72)
    assert made.preprocess.resize.filter == "pillow-bicubic"
    assert made.preprocess.mean == (0.5, 0.4, 0.3)
    network = made.build(None)
    loaded = read_weights(str(checkpoint))
    assert list(loaded.labels) == names
    network.load({"classification": loaded})
    image = torch.from_numpy(squares()[:1, :, :64, :64])
    with torch.no_grad():
        due = model(image)
        received = network.bottleneck.received(image)
        logits = network.trunk.head(network.features(received)[-1])
    torch.testing.assert_close(logits, due, rtol=1e-4, atol=1e-4)


def test_a_config_and_its_checkpoint_become_a_bundle_with_names(tmp_path):
    config = _write(tmp_path)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"bird {i}\n" for i in range(7)))
    arguments = ["--sc2bench", config, "--name", "mine", "--target", "cpu", "--weights", "random"]
    arguments += ["--bundles", str(tmp_path)]
    assert cli.export([*arguments, "--labels", str(labels)]) == 0
    manifest = Bundle.open(str(tmp_path / "cpu" / "mine")).manifest
    assert manifest.postprocess["classification"].labels == [f"bird {i}" for i in range(7)]
    assert manifest.part("body").outputs[0].shape == (None, 512, None, None)
    assert manifest.part("classifier").outputs[0].shape == (None, 7)
    labels.write_text("".join(f"bird {i}\n" for i in range(6)))
    result = splitwatt("export", *arguments, "--labels", labels, check=False)
    assert result.returncode and "holds 6 class names and the classification head has 7" in (
        result.stderr
    )


@pytest.mark.parametrize(
    "change, said",
    [
        (("fc.weight", (9, 512)), "num_classes: 9"),
        (("bottleneck_layer.encoder.4.weight", (12, 12, 2, 2)), "num_bottleneck_channels: 12"),
    ],
)
def test_another_shape_names_tensor_shapes_and_the_key_that_would_fit(tmp_path, change, said):
    network = system(_write(tmp_path)).build(None)
    state = dict(network.model.state_dict())
    state[change[0]] = torch.zeros(change[1])
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(CheckpointError) as caught:
        network.load({"classification": read_weights(str(tmp_path / "c.pt"))})
    assert (
        change[0].split("_layer.")[-1] in caught.value.message
        and str(list(change[1])) in caught.value.message
    )
    assert said in caught.value.remedy


@pytest.mark.parametrize(
    "kwargs, key, said",
    [
        (RESNET, "no_such_model", "'no_such_model', which sc2bench does not register"),
        (RESNET, "splittable_densenet", "'splittable_densenet', which splitwatt does not export"),
        (_changed("bottleneck_config", "key", to="Mine"), "splittable_resnet", "bottleneck 'Mine'"),
        (_changed("resnet_name", to="list_models"), "splittable_resnet", "is 'list_models'"),
        (_changed("resnet_name", to="resnet999"), "splittable_resnet", "is 'resnet999'"),
        (_changed("num_classes", to="many"), "splittable_resnet", "num_classes"),
        (_changed("surprise", to=1), "splittable_resnet", "surprise"),
        (_changed("pre_transform", to={"key": "x"}), "splittable_resnet", "pre_transform"),
        (_changed("bottleneck_config", "kwargs", "wide", to=3), "splittable_resnet", "wide"),
        (_changed("bottleneck_config", "kwargs", "num_bottleneck_channels", to=-3),
         "splittable_resnet", "do not make"),
        (_changed("bottleneck_config", to="x"), "splittable_resnet", "bottleneck_config"),
    ],
)  # fmt: skip
def test_what_is_not_exported_is_one_sentence_with_file_and_key(tmp_path, kwargs, key, said):
    path = _write(tmp_path, key, kwargs)
    with pytest.raises(ConfigError) as caught:
        system(path).build(None)
    assert said in caught.value.message and path in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "a: 1",
        "models: 3",
        "models: {}",
        "models: {student_model: {}}",
        "models: {student_model: {key: ladon}}",
        "models: {student_model: {key: 3, kwargs: {}}}",
        "models: !!python/object/apply:os.system ['false']",
        "models: [",
        "models: &a [*a]",
        "\x00",
    ],
)
def test_another_schema_is_one_sentence(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        system(str(path)).build(None)


def test_nothing_that_a_config_names_is_imported_or_called(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    data = f"""
datasets:
  x: !import_call {{key: 'evil.run', init: {{kwargs: {{}}}}}}
  y: !import_get {{key: 'evil.thing'}}
  z: !call_method {{key: os.system, args: ['touch {tmp_path}/ran']}}
"""
    result = splitwatt(
        "export", "--sc2bench", _write(tmp_path, "evil", data=data), "--target", "cpu",
        "--weights", "random", cwd=tmp_path, check=False, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert "evil" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "ran").exists()


def test_joins_and_aliases_cannot_grow_without_bound(tmp_path):
    lines = ["a0: &a0 !join ['xxxxxxxxxx', 'y']"]
    lines += [f"a{i}: &a{i} !join [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(lines) + "\nmodels: {}")
    with pytest.raises(ConfigError, match="join"):
        read(str(path))
    lines = ["l0: &l0 [1]"] + [f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]" for i in range(1, 60)]
    path.write_text(yaml.safe_dump({"models": {"model": {"key": "splittable_resnet",
                                                         "kwargs": RESNET}}})
                    + "\n".join(lines) + "\ndatasets: {x: *l59}")  # fmt: skip
    with pytest.raises(ConfigError, match="aliases expand to more than"):
        system(str(path))
    lines = ["m0: &m0 {a: 1}"]
    lines += [f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}" for i in range(1, 40)]
    for text in ("\n".join(lines), "a: &a [*a]", "a: &a {<<: *a}", 'a: "\\UFFFFFFFF"'):
        path.write_text(text + "\nmodels: {}")
        with pytest.raises(ConfigError, match=r"c\.yaml cannot be read"):
            read(str(path))


def test_any_change_of_a_config_is_a_system_or_one_sentence(tmp_path):
    text = Path(_write(tmp_path)).read_text()
    draw = random.Random(2025)
    path = tmp_path / "c.yaml"
    for _ in range(300):
        start = draw.randrange(len(text))
        wrong = draw.choice(["", "null", "[]", "{}", "-1", "'", ":", "1e999", "\t", "!x "])
        path.write_text(text[:start] + wrong + text[start + draw.randrange(1, 12) :])
        try:
            system(str(path))
        except ConfigError as error:
            assert "c.yaml" in error.message


def test_older_names_and_three_tasks_on_one_encoder_are_read(tmp_path):
    old = {"name": "splittable_resnet", "params": {**RESNET, "bottleneck_config": {
        "name": BOTTLENECK["key"], "params": BOTTLENECK["kwargs"]}}}  # fmt: skip
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({"models": {"student_model": old}}))
    assert system(str(path)).build(None).classes("classification") == 7
    student = {"key": "splittable_resnet", "kwargs": RESNET}
    heads = {
        "key": "ladon",
        "classification": {**student, "src_ckpt": "./resource/ckpt/a/c.pt"},
        "detection": {"key": "faster_rcnn_model", "kwargs": {
            "num_classes": 4, "backbone_config": student, "min_size": 64, "max_size": 96}},
        "segmentation": {"key": "deeplabv3_model", "kwargs": {
            "num_classes": 3, "backbone_config": student}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump({"models": {"model": heads}}))
    made = system(str(path))
    assert made.tasks == ("classification", "detection", "segmentation")
    assert made.checkpoints(None)[0].paths == ("a/c.pt",)
    network = made.build(None)
    assert [network.classes(task) for task in made.tasks] == [7, 4, 3]
    inputs = [port for part in network.parts() for port in part.inputs if len(port.shape) == 4]
    shapes = {port.name: port.shape[1] for port in inputs}
    assert [shapes[f"f{i}"] for i in (1, 2, 3, 4)] == [64, 128, 256, 512]


def test_an_entropic_classifier_is_cut_behind_its_layer(tmp_path):
    kwargs = {"encoder_config": {"sequential": ["conv1", "bn1", "relu", "maxpool", "layer1"]}}
    inner = {"key": "resnet50", "kwargs": {"num_classes": 5}}
    path = _write(tmp_path, "EntropicClassifier", kwargs, role="model", classification_model=inner)
    assert system(path).build(None).classes("classification") == 5
    inner["key"] = resnet18.__name__
    path = _write(tmp_path, "EntropicClassifier", kwargs, role="model", classification_model=inner)
    with pytest.raises(ConfigError, match="on resnet18 after layer1"):
        system(path).build(None)
