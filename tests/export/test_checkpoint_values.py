"""Prefixes, choices and values of checkpoints, compared with what timm's own loader makes of a file."""

import math
import time

import pytest
import torch
from safetensors.torch import save_file
from timm.models import load_state_dict
from torch import nn

from splitwatt.device_configs.errors import CheckpointError
from splitwatt.export.networks.bottlenecks import Factorized, MeanScale
from splitwatt.export.networks.image_codecs import compressor as neural
from splitwatt.export.spec import LoadedFile
from splitwatt.export.weights.checkpoints import fill, read
from splitwatt.export.weights.random_weights import seeded


def _tensors(prefix=""):
    return {f"{prefix}layer.weight": torch.ones(2, 3), f"{prefix}layer.bias": torch.zeros(2)}


def _write(state, folder, ending):
    path = folder / f"c.{ending}"
    save_file(state, str(path)) if ending == "safetensors" else torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "_orig_mod._orig_mod."],
)
def test_wrappers_prefixes_are_removed_from_every_kind_of_file(tmp_path, prefix, ending):
    state = read(_write(_tensors(prefix), tmp_path, ending)).state
    assert set(state) == {"layer.weight", "layer.bias"}
    if prefix.count("_orig_mod") < 2 and prefix != "_orig_mod.module.":
        assert set(load_state_dict(_write(_tensors(prefix), tmp_path, ending))) == set(state)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "prefix", ["model.", "model._orig_mod.", "module.model.", "_orig_mod.model."]
)
def test_lightnings_prefix_is_removed_where_all_names_have_it(tmp_path, prefix, ending):
    assert set(read(_write(_tensors(prefix), tmp_path, ending)).state) == set(_tensors())
    mixed = {**_tensors(prefix), "head.weight": torch.ones(1)}
    state = read(_write(mixed, tmp_path, ending)).state
    assert set(state) == {"model.layer.weight", "model.layer.bias", "head.weight"}


def test_a_compiled_submodule_a_mixture_and_an_averaged_model_are_read(tmp_path):
    state = {"module.body._orig_mod.weight": torch.ones(1), "head.weight": torch.ones(1)}
    assert set(read(_write(state, tmp_path, "pth")).state) == {"body.weight", "head.weight"}
    averaged = torch.optim.swa_utils.AveragedModel(torch.compile(nn.Linear(2, 2)))
    assert set(read(_write(averaged.state_dict(), tmp_path, "pth")).state) == {"weight", "bias"}
    both = {"module.a": torch.ones(1), "a": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="holds the tensor a twice"):
        read(_write(both, tmp_path, "pth"))


def test_a_model_whose_own_names_begin_with_model_still_loads(tmp_path):
    whole = nn.ModuleDict({"model": nn.Linear(3, 2)})
    fill(whole, (loaded := read(_write(whole.state_dict(), tmp_path, "pth"))).state, loaded)


@pytest.mark.parametrize("averaged", ["state_dict_ema", "model_ema"])
@pytest.mark.parametrize("plain", ["state_dict", "model", "model_state_dict"])
def test_of_several_state_dicts_timms_choice_is_taken_and_noted(tmp_path, plain, averaged):
    content = {plain: _tensors(), averaged: {k: v + 5 for k, v in _tensors().items()}}
    path = _write(content, tmp_path, "pth")
    loaded = read(path)
    due = load_state_dict(path)
    assert all(torch.equal(loaded.state[k], due[k]) for k in due)
    assert loaded.notes == (
        f"c.pth holds several state_dicts: '{averaged}' is used, not '{plain}' "
        "(timm's choice; --weights-entry chooses another)",
    )
    chosen = read(path, plain)
    assert float(chosen.state["layer.weight"].sum()) == 6
    assert chosen.notes == (
        f"c.pth holds several state_dicts: '{plain}' is used, not '{averaged}'",
    )
    with pytest.raises(CheckpointError, match="no state_dict 'best'"):
        read(path, "best")


def _student():
    with seeded("values"):
        bottleneck = Factorized(num_bottleneck_channels=24)
    bottleneck.layer.update()
    return bottleneck


def _changed(key, change):
    state = {k: v.clone() for k, v in _student().layer.state_dict().items()}
    state[key] = change(state[key])
    return state


def _set(value):
    def change(tensor):
        tensor.view(-1)[1] = value
        return tensor

    return change


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "key, value",
    [
        ("encoder.0.weight", math.nan),
        ("encoder.0.weight", -math.inf),
        ("entropy_bottleneck.matrices.0", math.nan),
        ("entropy_bottleneck.biases.1", math.inf),
        ("entropy_bottleneck.quantiles", 7e4),
        ("entropy_bottleneck.quantiles", 1e6),
        ("entropy_bottleneck.quantiles", math.nan),
        ("entropy_bottleneck.matrices.2", 1e30),
        ("entropy_bottleneck.factors.0", -1e20),
    ],
)
def test_a_value_that_no_trained_model_has_is_one_sentence_at_once(tmp_path, key, value, ending):
    path = _write(_changed(key, _set(value)), tmp_path, ending)
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert time.process_time() - start < 1
    assert path in caught.value.message and key in caught.value.message
    assert "earlier checkpoint" in caught.value.remedy


def test_the_largest_values_that_are_taken_make_tables_within_a_second(tmp_path):
    def wide(tensor):
        tensor[:, 0, 0], tensor[:, 0, 2] = -4096, 4096
        return tensor

    state = _changed("entropy_bottleneck.quantiles", wide)
    for name in ("_quantized_cdf", "_offset", "_cdf_length"):
        state["entropy_bottleneck." + name] = torch.zeros(0, dtype=torch.int32)
    loaded = read(_write(state, tmp_path, "pth"))
    start = time.process_time()
    bottleneck = _student()
    bottleneck.load(loaded.state, loaded)
    assert bottleneck.codec.coding().tables[0].count == 24
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda t: torch.cat([t, t]), "tables for 48 channels and the model has 24"),
        (lambda t: t.flip(1), "are damaged"),
    ],
)
def test_saved_tables_of_another_bottleneck_have_a_remedy_that_helps(tmp_path, change, said):
    key = "entropy_bottleneck._quantized_cdf"
    loaded = read(_write(_changed(key, change), tmp_path, "pth"))
    with pytest.raises(CheckpointError) as caught:
        _student().load(loaded.state, loaded)
    assert said in caught.value.message and key in caught.value.message
    assert "model.update(force=True)" in caught.value.remedy


def test_saved_tables_of_a_hyperprior_and_of_an_image_codec_are_checked_too():
    layer = MeanScale(num_bottleneck_channels=24)
    layer.layer.update()
    state = {k: v.clone() for k, v in layer.layer.state_dict().items()}
    state["gaussian_conditional._quantized_cdf"] = state["gaussian_conditional._quantized_cdf"][:9]
    with pytest.raises(CheckpointError, match="tables for 9 scales and the model has 64"):
        layer.load(state, LoadedFile("c.pt", state))
    codec = neural("bmshj2018_factorized", "1")
    codec.model.update()
    state = dict(codec.model.state_dict())
    state["entropy_bottleneck._quantized_cdf"] = state["entropy_bottleneck._quantized_cdf"][:9]
    with pytest.raises(CheckpointError, match="tables for 9 channels and the model has 192"):
        codec.load({"codec": LoadedFile("c.pt", state)})
