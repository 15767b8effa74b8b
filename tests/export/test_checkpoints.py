"""Checkpoints of the papers' layouts, saved from sc2bench's own models and loaded here."""

import argparse
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sc2bench.models.backbone import splittable_resnet
from torchvision import models

from splitwatt.device_configs.errors import CheckpointError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.rangecoder import Tables
from splitwatt.export import zoo
from splitwatt.export.networks import split
from splitwatt.export.request import prepare
from splitwatt.export.spec import Checkpoint, LoadedFile
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import differences, read
from splitwatt.export.weights.files import locate
from splitwatt.export.weights.random_weights import seeded
from tests.conftest import splitwatt


def _student(key, channels=24, **more):
    """sc2bench's own splittable ResNet-50, updated, with weights of its own."""
    config = {
        "key": "FPBasedResNetBottleneck",
        "kwargs": {"num_bottleneck_channels": channels, "num_target_channels": 256},
    }
    with seeded(key):
        model = splittable_resnet(
            config, skips_avgpool=False, skips_fc=False, num_classes=1000, **more
        ).eval()
        for parameter in model.bottleneck_layer.parameters():
            parameter.data += 0.01 * torch.randn_like(parameter)
    model.update()
    return model


def _old_names(state):
    """As CompressAI before 1.2.5 named the entropy bottleneck's tensors."""
    renamed = {}
    for key, value in state.items():
        for new, old in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
            key = key.replace("entropy_bottleneck." + new, "entropy_bottleneck." + old)
        renamed[key] = value
    return renamed


@pytest.fixture(scope="module")
def student():
    return _student("student")


def _save(state, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(_torchdistills(state), path)


def _torchdistills(state):
    """What torchdistill's save_ckpt writes; a detector's best value is pycocotools', so numpy's."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    return {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 15]).state_dict(),
        "best_value": np.float64(0.36),
        "args": argparse.Namespace(seed=1),
    }


def _loaded(name, files):
    system, rate = zoo.find(name)
    with torch.no_grad():
        network = system.build(rate)
        notes = network.load({role: read(str(path)) for role, path in files.items()})
    return network, notes


@pytest.mark.parametrize("old", [False, True], ids=["names of today", "older names"])
def test_a_torchdistill_checkpoint_gives_what_sc2bench_gives(student, tmp_path, old):
    state = student.state_dict()
    state = {f"module.{k}": v for k, v in (_old_names(state) if old else state).items()}
    assert old == any("_matrix0" in k for k in state)
    path = tmp_path / "c.pt"
    _save(state, path)
    network, notes = _loaded("entropic_student_ic@0.32", {"classification": path})
    assert notes == []
    image = torch.from_numpy(squares()[:1])
    with torch.no_grad():
        due = student.bottleneck_layer.encode(image)
        encoder, body, classifier = (part.module for part in network.parts())
        latent = encoder(image)
        symbols = student.bottleneck_layer.entropy_bottleneck.decompress(
            due["strings"][0], due["shape"]
        )
        bottleneck = network.bottleneck.layer.entropy_bottleneck
        medians = bottleneck._get_medians().reshape(1, -1, 1, 1)
        rounded = torch.round(latent - medians) + medians
        torch.testing.assert_close(rounded, symbols)
        torch.testing.assert_close(
            classifier(body(rounded)[0]), student(image), rtol=1e-4, atol=1e-4
        )
        # CompressAI's own bytes, from the tables that were loaded.
        assert bottleneck.compress(latent) == due["strings"][0]
    ours = Tables.from_compressai(bottleneck)
    assert ours.id == Tables.from_compressai(student.bottleneck_layer.entropy_bottleneck).id


def _ladon_files(student, folder, change=None):
    """The three files of a Ladon, as upstream's scripts save them, in the released layout."""
    rcnn = split.faster_rcnn(student, min_size=416, max_size=416)
    seg = split.deeplab(student)
    detection = {k: v.clone() for k, v in rcnn.state_dict().items()}
    segmentation = {k: v.clone() for k, v in seg.state_dict().items()}
    segmentation["aux_classifier.0.weight"] = torch.zeros(256, 1024, 3, 3)
    if change:
        detection["backbone.body." + change] += 0.25
    system, rate = zoo.find("ladon_r50@5.12")
    states = (student.state_dict(), detection, segmentation)
    for checkpoint, state in zip(system.checkpoints(rate), states, strict=True):
        # of the segmentation file, the name that the training's configuration gives it
        _save(state, folder / "resource" / "ckpt" / checkpoint.paths[-1])
    return rcnn, seg


def test_ladon_takes_its_body_from_classification_and_lists_what_differs(student, tmp_path):
    rcnn, seg = _ladon_files(student, tmp_path, "layer3.0.bn1.running_mean")
    system, rate = zoo.find("ladon_r50@5.12")
    files = locate(system.checkpoints(rate), str(tmp_path), "ladon_r50@5.12", rate)
    assert list(files) == ["classification", "detection", "segmentation"]
    assert files["segmentation"].endswith("_two_stages.pt")
    network, notes = _loaded("ladon_r50@5.12", files)
    (note,) = notes
    assert "layer3.0.bn1.running_mean" in note and "0.25" in note and "1 tensors" in note
    assert torch.equal(network.model.layer3[0].bn1.running_mean, student.layer3[0].bn1.running_mean)
    assert torch.equal(network.rcnn.rpn.head.cls_logits.weight, rcnn.rpn.head.cls_logits.weight)
    assert torch.equal(network.segmenter.classifier[4].bias, seg.classifier[4].bias)


def test_every_tensor_that_a_body_has_otherwise_or_not_at_all_is_named(student):
    own = {k: v for k, v in student.state_dict().items() if k.startswith("layer3.") and v.dim()}
    state = {key: value + 1 for key, value in own.items()}
    state.update({"extra.weight": torch.zeros(2), "bn1.weight": torch.zeros(64)})
    others, unknown = differences(state, student, "there/d.pt", ("bn1.",))
    assert len(own) > 60 and f"d.pt repeats {len(own)} tensors" in others
    assert all(key in others for key in own)
    assert (
        unknown
        == "d.pt has 1 tensors that the body does not have, which are not used: extra.weight"
    )


def test_one_file_of_ladon_finds_the_others_beside_it(student, tmp_path):
    _ladon_files(student, tmp_path)
    system, rate = zoo.find("ladon_r50@5.12")
    checkpoints = system.checkpoints(rate)
    one = tmp_path / "resource" / "ckpt" / checkpoints[1].paths[0]
    files = locate(checkpoints, str(one), "ladon_r50@5.12", rate)
    assert files["detection"] == str(one) and len(files) == 3


def test_a_student_of_detection_loads_its_own_body(student, tmp_path):
    path = tmp_path / "d.pt"
    _save(split.faster_rcnn(student).state_dict(), path)
    network, notes = _loaded("entropic_student_od@0.32", {"detection": path})
    assert notes == []
    assert torch.equal(network.model.layer4[2].conv3.weight, student.layer4[2].conv3.weight)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: {k: v for k, v in s.items() if "layer3" not in k},
            "lacks layer3.0.conv1.weight",
        ),
        (lambda s: {**s, "extra.weight": torch.zeros(2)}, "has unknown extra.weight"),
        (lambda s: {**s, "fc.weight": torch.zeros(10, 2048)}, "[10, 2048] instead of [1000, 2048]"),
        (lambda s: _student("wide", 32).state_dict(), "bottleneck of 32 channels"),
        (lambda s: models.mobilenet_v2(weights=None).state_dict(), "lacks"),
    ],
    ids=["missing", "unknown", "classes", "other backbone", "other model"],
)
def test_what_does_not_fit_is_one_sentence(student, tmp_path, change, said):
    path = tmp_path / "c.pt"
    torch.save(change(student.state_dict()), path)
    with pytest.raises(CheckpointError) as error:
        _loaded("entropic_student_ic@0.32", {"classification": path})
    assert said in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


class _Runs:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/splitwatt-ran-a-pickle"),))


def test_no_code_of_a_file_runs_and_damage_is_told(student, tmp_path):
    bad = tmp_path / "bad.pt"
    torch.save({"model": {"a": torch.zeros(1)}, "args": _Runs()}, bad)
    with pytest.raises(CheckpointError, match="it asks to run"):
        read(str(bad))
    assert not Path("/tmp/splitwatt-ran-a-pickle").exists()
    cut = tmp_path / "cut.pt"
    _save({k: v for k, v in student.state_dict().items() if "fc" in k}, cut)
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated|damaged"):
        read(str(cut))
    with zipfile.ZipFile(tmp_path / "not.pt", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(CheckpointError):
        read(str(tmp_path / "not.pt"))
    torch.save({"epoch": 3}, tmp_path / "no_weights.pt")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read(str(tmp_path / "no_weights.pt"))


def test_numpys_scalar_is_read_under_both_of_its_names(tmp_path):
    path = tmp_path / "c.pt"
    torch.save(_torchdistills({"a": torch.ones(2)}), path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    names = (b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert sum(name in raw for name in names) == 1
    for name in names:
        path.write_bytes(raw.replace(names[0], name).replace(names[1], name))
        assert torch.equal(read(str(path)).state["a"], torch.ones(2))


def test_any_bytes_are_one_sentence(tmp_path):
    """Texts that begin like a pickle, and a file of the older layout, cut anywhere."""
    path = tmp_path / "c.pt"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    wrong = [bytes([first]) + b" is no checkpoint\n" for first in range(256)]
    for content in wrong + [whole[:end] for end in range(len(whole))]:
        path.write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            read(str(path))
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_another_rate_point_is_recognised_by_name(tmp_path):
    path = tmp_path / "ilsvrc2012-splittable_resnet50-fp-beta1.28_from_resnet50.pt"
    torch.save({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"beta 1.28, not 0.32"):
        prepare("entropic_student_ic@0.32", "cpu", None, str(path), str(tmp_path))


def test_another_quality_of_a_neural_codec_is_recognised_by_its_file(tmp_path, monkeypatch):
    """Qualities of equal shapes would fit."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet50-0676ba61.pth").touch()
    path = tmp_path / "bmshj2018-factorized-prior-4-1ed4405a.pth.tar"
    path.touch()
    name = "bmshj2018_factorized@{}+resnet50"
    with pytest.raises(CheckpointError, match="for rate point 4, not 1"):
        prepare(name.format(1), "cpu", None, str(path), str(tmp_path / "b"))
    files = prepare(name.format(4), "cpu", None, str(path), str(tmp_path / "b")).files
    assert files["codec"] == str(path)


@pytest.mark.parametrize("name", ["webp@lossless+resnet50", "jpeg@50+resnet50"])
def test_a_beta_in_the_name_of_a_file_without_one_says_nothing(tmp_path, name):
    path = tmp_path / "my-beta0.3.pt"
    path.touch()
    assert prepare(name, "cpu", None, str(path), str(tmp_path / "b")).files == {"model": str(path)}


def test_a_compressor_of_ones_own_finds_its_backbone_in_timms_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="its compressor was never published: train it"):
        prepare("frankensplit_swin_b", "cpu", None, None, "b")
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "my_compressor.pt"
    path.touch()
    repository = "models--timm--swin_s3_base_224.ms_in1k"
    file = tmp_path / "hub" / repository / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    files = prepare("frankensplit_swin_b", "cpu", None, str(path), "b").files
    assert files == {"compressor": str(path), "backbone": str(file)}


def test_frankensplits_backbones_are_timms_repositories():
    from timm.models import get_pretrained_cfg

    for system in zoo.systems().values():
        if system.family == "frankensplit":
            backbone = system.checkpoints(system.rates[0])[1]
            theirs = get_pretrained_cfg(backbone.hub.removeprefix("timm/"))
            assert theirs.hf_hub_id == backbone.hub
            assert theirs.url.rsplit("/", 1)[1] == backbone.paths[0]


def test_missing_weights_name_both_remedies(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        prepare("ladon_r50", "cpu", None, None, "bundles")
    assert "releases/tag/wacv2025" in str(error.value) and "--weights random" in str(error.value)
    assert "resource/ckpt/ilsvrc2012/ladon/ilsvrc2012-splittable_resnet50" in str(error.value)
    with pytest.raises(UsageError, match="no file or folder"):
        prepare("ladon_r50", "cpu", None, "nowhere.pt", "bundles")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no classification checkpoint"):
        prepare("ladon_r50", "cpu", None, "empty", "bundles")
    (tmp_path / "mine.pt").touch()
    with pytest.raises(CheckpointError, match="next to mine.pt there is no detection checkpoint"):
        prepare("ladon_r50", "cpu", None, "mine.pt", "bundles")


def test_a_trained_bundle_from_torch_hubs_cache(tmp_path, monkeypatch):
    """torchvision's file where torchvision leaves it; the graph gives what the model gives."""
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    with seeded("hub"):
        model = models.mnasnet0_5(weights=None).eval()
    torch.save(model.state_dict(), cache / "mnasnet0.5_top1_67.823-3ffadce67e.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    out = splitwatt(
        "export", "--model", "mnasnet0_5", "--target", "cpu", "--bundles", tmp_path / "b", "--json"
    )
    bundle = Bundle.open(json.loads(out.stdout)["bundle"])
    weights = bundle.manifest.weights
    assert weights.trained and weights.sha256 and "mnasnet0.5" in weights.source
    import onnxruntime

    session = onnxruntime.InferenceSession(
        bundle.part_path("model"), providers=["CPUExecutionProvider"]
    )
    image = squares()[:1]
    with torch.no_grad():
        due = model(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": image})[0], due, rtol=1e-3, atol=1e-4)


def test_a_state_is_never_changed_by_loading(student, tmp_path):
    state = {k: v.clone() for k, v in student.state_dict().items()}
    system, rate = zoo.find("entropic_student_ic@0.32")
    system.build(rate).load({"classification": LoadedFile("c.pt", state)})
    assert set(state) == set(student.state_dict())


def test_timms_cache_is_searched(tmp_path, monkeypatch):
    """A safetensors file where Hugging Face's hub leaves what timm downloads."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("model", ("x.pth",), "https://example.org/x.pth", hub="timm/x.in1k")
    assert locate((checkpoint,), None, "x", None) is None
    file = tmp_path / "hub" / "models--timm--x.in1k" / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"fc.weight": torch.ones(2, 3)}, str(file))
    files = locate((checkpoint,), None, "x", None)
    assert files == {"model": str(file)}
    assert torch.equal(read(str(file)).state["fc.weight"], torch.ones(2, 3))
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="safetensors"):
        read(str(file))


def _named_only(*names):
    return {name: torch.zeros(4, 4, 1, 1) for name in names}


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("entropic_student_ic_mshp@0.32", None, "lacks"),
        ("entropic_student_ic@0.32", _named_only("layer3.22.conv1.weight"), "ResNet-101"),
        ("entropic_student_ic@0.32", _named_only("s2.b1.conv1.conv.weight"), "RegNet"),
        ("entropic_student_ic@0.32", _named_only("blocks.0.attn.qkv.weight"), "ViT"),
        (
            "entropic_student_ic@0.32",
            _named_only("bottleneck_layer.g_a.4.weight"),
            "with a hyperprior, of 4 channels",
        ),
        (
            "entropic_student_od@0.32",
            _named_only("backbone.body.bottleneck_layer.encoder.11.weight"),
            "of 8 bits, of 4 channels",
        ),
    ],
    ids=["another prior", "ResNet-101", "RegNet", "ViT", "hyperprior", "8 bits"],
)
def test_a_file_of_another_system_is_told_for_what_it_is(student, tmp_path, name, state, said):
    path = tmp_path / "c.pt"
    torch.save(student.state_dict() if state is None else state, path)
    (role,) = zoo.find(name)[0].tasks
    with pytest.raises(CheckpointError) as error:
        _loaded(name, {role: path})
    assert said in str(error.value) and str(path) in str(error.value)


def test_an_export_of_a_wrong_file_is_one_sentence_and_leaves_nothing(student, tmp_path):
    path = tmp_path / "c.pt"
    torch.save({**student.state_dict(), "fc.bias": torch.zeros(10)}, path)
    result = splitwatt(
        "export", "--model", "entropic_student_ic@0.32", "--target", "cpu", "--weights", path,
        "--bundles", tmp_path / "b", check=False,
    )  # fmt: skip
    assert result.returncode == 1 and "[10] instead of [1000]" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "b").rglob("*.*"))


def test_one_state_dict_under_any_key_is_taken_and_several_are_named(tmp_path):
    path = str(tmp_path / "c.pt")
    state = {"fc.weight": torch.ones(2, 2)}
    torch.save({"net": state, "epoch": 3, "id2label": {0: "cat", 1: "dog"}}, path)
    loaded = read(path)
    assert list(loaded.state) == ["fc.weight"] and loaded.labels == ("cat", "dog")
    torch.save({"net": state, "best_net": state}, path)
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert "--weights-entry: net, best_net" in caught.value.remedy
    assert list(read(path, "best_net").state) == ["fc.weight"]


def test_the_names_of_fsdp_and_of_activation_checkpointing_are_removed(tmp_path):
    path = str(tmp_path / "c.pt")
    names = [
        "_fsdp_wrapped_module.a.weight",
        "_fsdp_wrapped_module.b._checkpoint_wrapped_module.bias",
    ]
    torch.save({name: torch.ones(1) for name in names}, path)
    assert list(read(path).state) == ["a.weight", "b.bias"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, 2, device="meta"),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    ],
    ids=["sparse", "meta", "quantized"],
)
def test_a_tensor_without_plain_values_is_one_sentence(tmp_path, tensor):
    path = str(tmp_path / "c.pt")
    torch.save({"fc.weight": tensor}, path)
    with pytest.raises(CheckpointError, match=r"c\.pt: fc\.weight is a quantized, sparse or empty"):
        read(path)


def test_weights_of_8_bits_and_keys_that_are_numbers_are_read(tmp_path):
    path = str(tmp_path / "c.pt")
    torch.save(
        {"fc.weight": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn), 3: torch.ones(1)}, path
    )
    state = read(path).state
    assert list(state) == ["fc.weight", "3"] and state["fc.weight"].float().tolist() == [1.0, -2.0]
    torch.save({"fc.weight": torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(CheckpointError, match="1 of 2 values of fc.weight are NaN"):
        read(path)
