"""The checkpoints of a split system: which tensors are taken from the file of each role."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compressai.models.utils import remap_old_keys
from torch import nn

from splitwatt.export.spec import LoadedFile
from splitwatt.export.weights.checkpoints import differences, fill, subset

if TYPE_CHECKING:
    from splitwatt.export.networks.split import SplitNetwork

# The layers of a ResNet's body that detection and segmentation files repeat.
_LAYERS = ("layer2", "layer3", "layer4")


def _load_body(network: SplitNetwork, loaded: LoadedFile, prefix: str) -> None:
    """Load the bottleneck and layer2 to layer4 from the entries below `prefix`."""
    state = subset(loaded.state, prefix)
    network.bottleneck.load(subset(state, "bottleneck_layer."), loaded)
    layers = nn.ModuleDict({name: getattr(network.model, name) for name in _LAYERS})
    own = {k: v for k, v in state.items() if k.startswith(_LAYERS)}
    fill(layers, own, loaded)


def _compare_body(network: SplitNetwork, loaded: LoadedFile, prefix: str) -> list[str]:
    state = remap_old_keys(
        "bottleneck_layer.entropy_bottleneck", dict(subset(loaded.state, prefix))
    )
    return differences(state, network.model, loaded.path, network.trunk.replaced)


def _classification(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    network.bottleneck.load(subset(loaded.state, "bottleneck_layer."), loaded)
    # The file may still have the layers that the bottleneck replaces: sc2bench ignores them.
    replaced = network.trunk.replaced
    fill(network.model, loaded.state, loaded, replaced, ("bottleneck_layer.",))
    return []


def _detection(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    prefix = "backbone.body."
    if is_body:
        _load_body(network, loaded, prefix)
    fill(network.rcnn, loaded.state, loaded, handled=(prefix,))
    return [] if is_body else _compare_body(network, loaded, prefix)


def _segmentation(network: SplitNetwork, loaded: LoadedFile, is_body: bool) -> list[str]:
    prefix = "backbone."
    if is_body:
        _load_body(network, loaded, prefix)
    fill(network.segmenter, loaded.state, loaded, ("aux_classifier.",), (prefix,))
    return [] if is_body else _compare_body(network, loaded, prefix)


_Loader = Callable[["SplitNetwork", LoadedFile, bool], list[str]]
# Role -> the function that loads its file; the flag says whether it loads the body too.
LOADERS: dict[str, _Loader] = {
    "classification": _classification,
    "detection": _detection,
    "segmentation": _segmentation,
}
