"""The recipe for a timm backbone with the user's own weights, and its `--zoo` file."""

import math
import re
from pathlib import Path
from typing import Any

import torch

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import write_atomic, write_atomic_with
from splitwatt.engines.bundle.manifest import Preprocess, Resize
from splitwatt.engines.bundle.model_name import check_own_name
from splitwatt.export.networks.backbones import timm_config
from splitwatt.export.spec import Checkpoint, LoadedFile
from splitwatt.export.weights.checkpoints import read
from splitwatt.export.weights.files import locate
from splitwatt.export.zoo import systems
from splitwatt.export.zoo.trained import LITE0, Trained

_ZOO_FILE = '''"""{recipe.name}, and the local model that it was trained to agree with."""

from pathlib import Path

from splitwatt.engines.bundle.manifest import Preprocess, Resize
from splitwatt.export.zoo.trained import Trained

SYSTEMS = Trained.own(
    Path(__file__).resolve().parent,
    name="{recipe.name}",
    backbone="{recipe.backbone}",
    at="{recipe.at}",
    classes={recipe.classes},
    preprocess={recipe.preprocess!r},
).systems()
'''


def own(
    out: Path, name: str | None, backbone: str, at: str | None, weights: str | None
) -> tuple[Trained, LoadedFile]:
    """The recipe of a backbone, and its weights.

    Args:
        out: the folder for the results.
        name: of the split model; None for `split_` and the backbone's name.
        at: the last module of the encoder; None for the packaged split of EfficientNet-Lite0.
        weights: a file of the backbone's weights; None for the one that timm downloaded.

    Raises:
        UsageError: no such backbone, or no weights of it.
    """
    config = timm_config(backbone)
    name = name or "split_" + re.sub(r"\W", "_", backbone)
    check_own_name(name)
    if not systems().keys().isdisjoint((name, f"{name}_local")):
        raise UsageError(f"the name {name} is taken by a packaged model", "choose another --name")
    file = (config.url or f"{backbone}.pth").rsplit("/", 1)[-1]
    published = Checkpoint("model", (file,), config.url or None, hub=config.hf_hub_id)
    files = locate((published,), weights, backbone, None)
    if files is None and backbone == LITE0.backbone:
        files = locate((LITE0.model,), None, backbone, None)
    if files is None:
        raise UsageError(
            f"there are no weights of timm's {backbone} here",
            "give a file with --weights, or download timm's: "
            f"python -c \"import timm; timm.create_model('{backbone}', pretrained=True)\"",
        )
    loaded = read(files["model"])
    preprocess = preprocess_of(config, backbone)
    at = at or (LITE0.at if backbone == LITE0.backbone else "")
    classes = _classes(config, loaded)
    return Trained.own(out.resolve(), name, backbone, at, classes, preprocess), loaded


def preprocess_of(config: Any, backbone: str) -> Preprocess:
    """As timm tests the model: the middle of the resized image, or (`squash`) all of it as a square."""
    _, height, side = config.input_size
    if height != side or config.crop_mode == "border":
        raise UsageError(
            f"timm tests {backbone} on images of {height}x{side} pixels with crop_mode "
            f"'{config.crop_mode}', which is not supported",
            "choose a backbone that takes a square image",
        )
    resized = math.floor(side / config.crop_pct)
    squash = config.crop_mode == "squash"
    return Preprocess(
        Resize(
            "exact" if squash else "shorter",
            (resized, resized) if squash else resized,
            None,
            f"pillow-{config.interpolation}",
        ),
        (side, side),
        None,
        tuple(config.mean),
        tuple(config.std),
    )


def _classes(config: Any, loaded: LoadedFile) -> int:
    """The classes of the file's last layer, or of timm's model if the file has another name for it."""
    names = [config.classifier] if isinstance(config.classifier, str) else config.classifier or ()
    heads = [loaded.state[f"{n}.weight"] for n in names if f"{n}.weight" in loaded.state]
    classes = len(heads[0]) if heads else int(config.num_classes)
    if classes < 2:
        raise UsageError(
            f"{loaded.path} has no classifier", "give weights that were trained with one"
        )
    return classes


def write(recipe: Trained, backbone: Any, labels: tuple[str, ...] | None) -> None:
    """Write the other files that an export of `recipe` needs: zoo.py and the backbone's weights."""
    (file,) = recipe.model.paths
    content = {"state_dict": backbone.state_dict(), "labels": labels}
    write_atomic_with(file, lambda opened: torch.save(content, opened))
    write_atomic(str(Path(file).with_name("zoo.py")), _ZOO_FILE.format(recipe=recipe))
