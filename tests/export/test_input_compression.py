"""Input codecs before unmodified models: names, order, and CompressAI's own strings."""

import numpy as np
import pytest
import torch
from compressai.zoo.image import model_urls
from PIL import Image
from torchvision.models import get_model_weights
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import functional

from splitwatt.device_configs.errors import BitstreamError, CheckpointError, UsageError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.bundle.manifest import CodecSpec, TablesFile
from splitwatt.engines.codecs import open_codec
from splitwatt.engines.codecs.hyperprior import unframe
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.rangecoder import RangeCoder
from splitwatt.export import zoo
from splitwatt.export.networks.image_codecs import FileCompressor, InputCompression
from splitwatt.export.networks.image_codecs import compressor as neural
from splitwatt.export.request import prepare
from splitwatt.export.spec import LoadedFile
from splitwatt.export.tracing.onnx_export import to_onnx
from splitwatt.export.tracing.photos import photos
from splitwatt.export.tracing.pieces import parameters
from splitwatt.export.weights.files import advice
from splitwatt.export.zoo.whole import SYSTEMS
from splitwatt.profiler.config.bundles import find_folder
from tests.conftest import splitwatt


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("jpeg@50+resnet50", "jpeg@50+resnet50"),
        ("jpeg+resnet50@70", "jpeg@70+resnet50"),
        ("jpeg+swin_b", "jpeg@50+swin_b"),
        ("png+convnext_base", "png+convnext_base"),
        ("webp@lossless+swin_s3_base_224", "webp@lossless+swin_s3_base_224"),
        ("bpg@37+resnet152", "bpg@37+resnet152"),
        ("heic@50+deeplabv3_resnet101", "heic@50+deeplabv3_resnet101"),
        ("mbt2018_mean@6+ssd300_vgg16", "mbt2018_mean@6+ssd300_vgg16"),
    ],
)
def test_any_codec_stands_before_any_whole_model(given, full):
    system, rate = zoo.find(given)
    assert zoo.full_name(system, rate) == full
    assert system.tasks and system.preprocess.mean == (0, 0, 0)
    roles = [c.role for c in system.checkpoints(rate)]
    assert roles == (["codec", "model"] if full.startswith("mbt") else ["model"])


@pytest.mark.parametrize("asked", ["jpeg@50+resnet50", "jpeg+resnet50@50", "jpeg+resnet50"])
def test_a_profile_finds_what_an_export_makes_under_every_spelling(asked, tmp_path):
    due = prepare(asked, "cpu", None, "random", str(tmp_path)).out
    assert due == tmp_path / "cpu" / "jpeg@50+resnet50"
    assert find_folder(str(tmp_path), "cpu", asked) is None
    for made in (due, due.with_name("jpeg@70+resnet50-fp16"), due.with_name("jpeg@9+resnet501")):
        made.mkdir(parents=True)
        (made / "manifest.json").touch()
    assert find_folder(str(tmp_path), "cpu", asked) == str(due)
    fp16 = find_folder(str(tmp_path), "cpu", "jpeg+resnet50-fp16")
    assert fp16 == str(due.with_name("jpeg@70+resnet50-fp16"))
    assert find_folder(str(tmp_path), "cpu", asked + "-fp16") == (None if "@" in asked else fp16)


def test_bpgs_rate_points_are_those_that_sc2_ran():
    """Its scripts run the quantisers 5 to 50 in steps of 5; 37 is one more."""
    points = zoo.systems()["bpg+resnet50"].rates
    assert {int(point) for point in points} == {*range(5, 55, 5), 37}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("jpg@50+resnet50", "jpeg"),
        ("jpeg@50+resnet05", "resnet50"),
        ("jpeg@51+resnet50", "known: 50, 10"),
        ("png@50+resnet50", "write png+resnet50"),
        ("jpeg@50+resnet50@50", "two rate points"),
        ("jpeg@50+ladon_r50", "split system"),
        ("chen2021+resnet50", "no package has its network"),
        ("lu2022+resnet50", "no package has its network"),
    ],
)
def test_what_cannot_be_composed_is_one_sentence(name, meant):
    with pytest.raises(UsageError) as error:
        zoo.find(name)
    assert meant in str(error.value) and "\n" not in str(error.value)


def test_every_row_of_the_list_is_found_by_its_name_and_rates():
    for name in zoo.names():
        system, rate = zoo.find(name)
        assert zoo.full_name(system, rate) == name
    rows = zoo.systems()
    assert [n for n in rows if rows[n].unavailable] == [
        "chen2021+resnet50",
        "lu2022+resnet50",
    ]


def test_files_are_those_that_the_packages_name():
    for name in ("bmshj2018_factorized", "mbt2018_mean", "cheng2020_anchor"):
        system = zoo.systems()[f"{name}+resnet50"]
        theirs = model_urls[name.replace("_", "-")]["mse"]
        for rate in system.rates:
            codec, _ = system.checkpoints(rate)
            assert (codec.url, codec.paths) == (
                theirs[int(rate)],
                (theirs[int(rate)].split("/")[-1],),
            )
    for system in (row for row in SYSTEMS if row.family == "whole"):
        (checkpoint,) = system.checkpoints(None)
        if "s3" in system.name:  # timm's
            continue
        theirs = [weights.url for weights in get_model_weights(system.name)]
        if system.tasks == (
            "segmentation",
        ):  # SC2 takes torchdistill's; torchvision's are taken too
            assert "torchdistill/releases/download/v0.2.8/pascal_voc2012-deeplab" in checkpoint.url
            assert checkpoint.url.endswith("/" + checkpoint.paths[0])
            assert [url.rsplit("/", 1)[1] for url in theirs] == [checkpoint.paths[1]]
            assert advice(checkpoint, system.name, None)["put"] == checkpoint.paths[0]
        else:
            assert checkpoint.url in theirs


def test_the_order_is_sc2benchs_resize_crop_codec_normalise():
    """What the server's model gets, against torchvision's transforms and Pillow's own file."""
    from sc2bench.transforms.codec import PILImageModule

    system, rate = zoo.find("jpeg@50+mobilenet_v3_large")
    photo = photos(system.preprocess, ["raccoon"])[0]
    compressor = FileCompressor("jpeg", "50")
    tensors = {
        "image": torch.from_numpy(photo.tensor),
        "valid_size": torch.tensor(photo.valid_size),
    }
    network = InputCompression(compressor, zoo.systems()["mobilenet_v3_large"], system.preprocess)
    (part,) = network.parts()
    assert part.placement == "server" and part.name == "model"
    prepared = part.module.prepare(compressor.coded(tensors, tensors)["image"])

    image = Image.fromarray(decode_image(photo.path))
    image = functional.center_crop(functional.resize(image, 256), [224, 224])
    coded, size = PILImageModule(returns_file_size=True, format="JPEG", quality=50)(image)
    due = functional.normalize(
        functional.to_tensor(coded.convert("RGB")), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(prepared[0], due, rtol=0, atol=1e-6)
    board = {name: tensor.numpy() for name, tensor in tensors.items()}
    assert len(compressor._codec.encode(board)) == size


def test_a_detectors_padding_is_zero_behind_the_normalisation():
    """As torchvision pads: after normalising; and only to the model's own multiple."""
    for name, multiple in (("png+fasterrcnn_mobilenet_v3_large_320_fpn", 32),
                           ("mbt2018_mean+fasterrcnn_mobilenet_v3_large_320_fpn", 64)):  # fmt: skip
        system, _ = zoo.find(name)
        assert system.preprocess.pad_multiple == multiple
        photo = photos(system.preprocess, ["raccoon"])[0]
        inner = zoo.systems()["fasterrcnn_mobilenet_v3_large_320_fpn"]
        from splitwatt.export.graphs.codecs import Normalised

        whole = Normalised(torch.nn.Identity(), inner.preprocess, multiple == 64, False)
        assert whole.needs_size
        prepared = whole.prepare(torch.from_numpy(photo.tensor), torch.tensor(photo.valid_size))
        transform = GeneralizedRCNNTransform(
            320, 640, list(inner.preprocess.mean), list(inner.preprocess.std)
        )
        due = transform([functional.to_tensor(decode_image(photo.path))])[0].tensors
        torch.testing.assert_close(prepared, due, rtol=0, atol=1e-4)


# FrankenSplit's Table 6: millions of parameters of encoders and decoders.
@pytest.mark.parametrize(
    ("name", "rate", "encoder", "decoder"),
    [
        ("bmshj2018_factorized", "6", 3.51, 3.51),
        ("bmshj2018_hyperprior", "6", 8.30, 5.90),
        ("mbt2018_mean", "6", 14.04, 11.65),
        ("mbt2018", "6", 21.99, 19.59),
    ],
)
def test_the_neural_codecs_are_those_of_table_6(name, rate, encoder, decoder):
    model = neural(name, rate).model
    sides = [[model.g_a], [model.g_s]]
    if name != "bmshj2018_factorized":
        prior = [model.h_s]
        if name == "mbt2018":
            prior += [model.context_prediction, model.entropy_parameters]
        sides = [[model.g_a, model.h_a, *prior], [model.g_s, *prior]]
    millions = [parameters(side) / 1e6 for side in sides]
    assert millions == pytest.approx([encoder, decoder], rel=0.02)


@pytest.fixture(scope="module")
def coded():
    """The three codecs at their lowest quality, fitted, and what they make of a photograph."""
    made = {}
    system, _ = zoo.find("mbt2018_mean@1+mobilenet_v3_large")
    image = torch.from_numpy(photos(system.preprocess, ["raccoon"])[0].tensor[:, :, :128, :192])
    for name in ("bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean"):
        compressor = neural(name, "1")
        compressor.fit_random()
        tensors = {"image": image}
        with torch.no_grad():
            for part in compressor.parts():
                outputs = part.module(*(tensors[port.name] for port in part.inputs))
                outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                due = part.reference(tensors)
                for port, tensor in zip(part.outputs, outputs, strict=True):
                    torch.testing.assert_close(tensor, due[port.name], rtol=1e-4, atol=1e-4)
                tensors.update(due)
                if port.name == "side" or (port.name == "latent" and len(part.outputs) == 1):
                    made[name, "raw"] = dict(due)
                tensors.update(compressor.coded(due, tensors))
        made[name] = (compressor, tensors)
    return image, made


def test_images_are_compressais_own(coded):
    image, made = coded
    for name in ("bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean"):
        compressor, tensors = made[name]
        with torch.no_grad():
            theirs = compressor.model.compress(image)
            due = compressor.model.decompress(**theirs)["x_hat"]
        torch.testing.assert_close(tensors["image"], due, rtol=0, atol=1e-4)
        assert float(due.std()) > 0.05


def test_strings_are_compressais_own_byte_for_byte(coded):
    image, made = coded
    for name in ("bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean"):
        compressor, tensors = made[name]
        with torch.no_grad():
            theirs = compressor.model.compress(image)["strings"]
        raw = {key: tensor.numpy() for key, tensor in made[name, "raw"].items()}
        coders = [RangeCoder(tables, "compressai") for tables in compressor.codec.coding().tables]
        if len(coders) == 1:
            assert [coders[0].encode(raw["latent"])] == theirs
            continue
        side, latent = coders
        assert side.encode(raw["side"]) == theirs[1]
        means = tensors["means"].numpy() if "means" in tensors else np.float32(0)
        indexes = tensors["indexes"].numpy()
        assert latent.encode(raw["latent"] - means, indexes) == theirs[0]


def test_a_codecs_checkpoint_is_compressais_and_another_is_refused():
    torch.manual_seed(3)
    source = neural("mbt2018_mean", "1")
    source.fit_random()
    state = source.model.state_dict()
    target = neural("mbt2018_mean", "2")
    target.load({"codec": LoadedFile("quality2.pth.tar", state)})
    tables = [t.id for t in target.codec.coding().tables]
    assert tables == [t.id for t in source.codec.coding().tables]
    with pytest.raises(CheckpointError, match="does not fit"):
        neural("mbt2018_mean", "6").load({"codec": LoadedFile("quality1.pth.tar", state)})
    with pytest.raises(CheckpointError, match="does not fit"):
        neural("bmshj2018_factorized", "1").load({"codec": LoadedFile("other.pth.tar", state)})


@pytest.mark.parametrize("name", ["mbt2018", "cheng2020_anchor"])
def test_a_context_models_string_is_compressais_own(name, tmp_path):
    """The engines' codec, its graphs in onnxruntime, against CompressAI place by place."""
    compressor = neural(name, "1")
    compressor.fit_random()
    system, _ = zoo.find("mbt2018_mean@1+mobilenet_v3_large")
    image = torch.from_numpy(photos(system.preprocess, ["raccoon"])[0].tensor[:, :, :64, :128])
    tensors = {"image": image}
    engines, files = {}, []
    with torch.no_grad():
        for part in compressor.parts():
            due = part.reference(tensors)
            if part.placement == "both":
                path = tmp_path / f"{part.name}.onnx"
                path.write_bytes(to_onnx(part, tensors, 13, 7).SerializeToString())
                engines[part.name] = load_engine("cpu", str(path), threads=1)
            tensors.update(due)
            if part.name == "encoder":
                board = {key: tensor.numpy() for key, tensor in due.items()}
            tensors.update(compressor.coded(due, tensors))
        theirs = compressor.model.compress(image)
        picture = compressor.model.decompress(**theirs)["x_hat"]
    entries = []
    for index, tables in enumerate(compressor.codec.coding().tables):
        files.append(str(tmp_path / f"tables.{index}.npz"))
        tables.save(files[-1])
        entries.append(TablesFile(files[-1], "0" * 64, tables.id))
    codec = open_codec(CodecSpec("autoregressive", entries, None), files, engines.__getitem__)
    payload = codec.encode(board)
    decoded = codec.decode(payload, (64, 128))["latent"]
    np.testing.assert_allclose(decoded, tensors["latent"].numpy(), atol=1e-4)
    assert unframe(payload)[2] == theirs["strings"][0][0]
    torch.testing.assert_close(tensors["image"], picture, rtol=0, atol=1e-4)

    damaged = bytearray(payload)
    damaged[len(payload) // 2 + 40] ^= 4
    with pytest.raises(BitstreamError):
        codec.decode(bytes(damaged), (64, 128))
    with pytest.raises(BitstreamError, match="does not come from an input"):
        codec.decode(payload, (16, 32))
    with pytest.raises(BitstreamError):
        codec.decode(payload[:-5], (64, 128))
    for engine in engines.values():
        engine.close()


@pytest.mark.long
def test_every_neural_codec_is_exported_before_a_whole_model(tmp_path):
    """With random weights, and the bundle answers as PyTorch did."""
    names = ["bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean", "mbt2018", "cheng2020_anchor"]  # fmt: skip
    models = [f"{name}@1+mnasnet0_5" for name in names]
    splitwatt("export", *(word for model in models for word in ("--model", model)), "--target", "cpu",
              "--weights", "random", "--bundles", tmp_path)  # fmt: skip
    for model in models:
        splitwatt("verify", tmp_path / "cpu" / model)
