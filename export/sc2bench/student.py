"""The network of a config, made only of classes in sc2bench's registries."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sc2bench.models import layer
from sc2bench.models.backbone import BACKBONE_CLASS_DICT, BACKBONE_FUNC_DICT, SplittableResNet
from sc2bench.models.wrapper import WRAPPER_CLASS_DICT
from timm.models import regnet, resnest, vision_transformer_hybrid
from torch import nn
from torchvision.models import list_models

from splitwatt.device_configs.errors import ConfigError
from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.export.networks import bottlenecks, trunks
from splitwatt.export.networks.cut import CHANNELS, EntropicResNet
from splitwatt.export.networks.split import RETURNED, SplitNetwork, channels, deeplab, faster_rcnn
from splitwatt.export.sc2bench.config import PAGE, Model, model_at
from splitwatt.export.spec import Network

_T = TypeVar("_T")
# Bits per symbol of random latents: a config names no rate.
_BITS = 2.0
_FOR_TRAINING = frozenset(
    ("pretrained", "weights", "skips_avgpool", "skips_fc", "skips_head", "analysis_config", "inplanes",
     "org_model_ckpt_file_path_or_url", "org_ckpt_strict", "pre_transform", "pre_transform_params",
     "short_module_names", "norm_layer", "pretrained_backbone", "progress", "bottleneck_config",
     "zero_init_residual", "drop_rate", "drop_path_rate", "drop_block_rate", "proj_drop_rate",
     "attn_drop_rate", "pos_drop_rate")
)  # fmt: skip
# Arguments of a head that change its answers, and those that are used elsewhere or only for training.
_TESTING = ("box_score_thresh", "box_nms_thresh", "box_detections_per_img", "rpn_nms_thresh",
            "rpn_score_thresh", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_test")  # fmt: skip
_HEAD = re.compile(
    r"num_classes|backbone_config|backbone_fpn_kwargs|pretrained.*|progress|analy.*|start_ckpt_file_path|"
    r"(min|max)_size|image_(mean|std)|in_channels_stage2|uses_aux|num_(aux|input)_channels|"
    r"return_layer_dict|rpn_p(re|ost)_nms_top_n_train|(rpn|box)_((fg|bg)_iou_thresh|"
    r"batch_size_per_image|positive_fraction)"
)
_HEADS = ("faster_rcnn_model", "deeplabv3_model", "EntropicClassifier", "ladon")
# Arguments of torchdistill's transforms for a bottleneck of 8 bits.
_CHANNEL_ONLY = frozenset(("bottleneck_idx", "output_channel", "compressor_transform",
                           "decompressor_transform", "compressor_transform_params",
                           "decompressor_transform_params"))  # fmt: skip


def _names(module: Any, prefix: str) -> list[str]:
    return [name for name in module.__all__ if name.startswith(prefix)] or [
        name for name in vars(module) if name.startswith(prefix)
    ]


# key -> (what makes the trunk, its argument that names the model, that one's default, the names that it
# may be)
_BACKBONES: dict[str, tuple[Callable[..., trunks.Trunk], str, str, Callable[[], list[str]]]] = {
    "splittable_resnet": (trunks.resnet, "resnet_name", "resnet50", lambda: [
        name for name in list_models() if name.startswith(("resnet", "resnext", "wide_resnet"))]),
    "splittable_resnest": (trunks.resnet, "resnest_name", "resnest50d",
                           lambda: _names(resnest, "resnest")),
    "splittable_regnet": (trunks.regnety, "regnet_name", "regnety_064",
                          lambda: _names(regnet, "regnet")),
    "splittable_hybrid_vit": (trunks.hybrid_vit, "hybrid_vit_name", "vit_small_r26_s32_224",
                              lambda: _names(vision_transformer_hybrid, "vit_")),
}  # fmt: skip
# A trunk's further arguments, and what our makers call them.
_TRUNK_ARGUMENTS = {
    **{
        key: key
        for key in ("num_classes", "replace_stride_with_dilation", "groups", "width_per_group")
    },
    "num_pruned_stages": "pruned",
}
_LAYERS: dict[str, Callable[..., bottlenecks.Bottleneck]] = {
    "FPBasedResNetBottleneck": bottlenecks.Factorized,
    "SHPBasedResNetBottleneck": functools.partial(bottlenecks.MeanScale, False),
    "MSHPBasedResNetBottleneck": bottlenecks.MeanScale,
}
_REDUCTIONS = ("larger_resnet_bottleneck", "larger_resnet_layer1_bottleneck")


def build(models: Mapping[str, Model], shared: str, preprocess: Preprocess) -> Network:
    """The network, without weights.

    Args:
        models: of each task.
        preprocess: what an image becomes before the network.
        shared: the seed of the encoder's random weights.

    Raises:
        ConfigError: a class that sc2bench does not register or splitwatt does not export; names the
            file, the key and the page to read.
    """
    first = next(iter(models.values()))
    if first.key == "EntropicClassifier":
        return _entropic(first)
    body = classified = models.get("classification")
    if body is None and first.key in ("faster_rcnn_model", "deeplabv3_model"):
        at = f"{first.at}.kwargs.backbone_config"
        body = model_at(first.kwargs.get("backbone_config"), at)
    trunk = _trunk(body or first)
    made = preprocess.crop or preprocess.resize.size
    if trunk.size is not None and trunk.size != made:
        raise ConfigError(
            f"{first.at} takes images of {trunk.size} and the test data set makes {made}",
            f"set the sizes of its transforms Resize and CenterCrop to {list(trunk.size)}",
        )
    for task in ("detection", "segmentation"):
        if task in models:
            _check_head(models[task], trunk)
    rcnn = segmenter = None
    if "detection" in models:
        kwargs = models["detection"].kwargs
        more = {key: kwargs[key] for key in _TESTING if key in kwargs}
        if "out_channels" in (fpn := kwargs.get("backbone_fpn_kwargs") or {}):
            more["out_channels"] = fpn["out_channels"]
        classes = kwargs.get("num_classes", 91)
        rcnn = _guarded(models["detection"], lambda: faster_rcnn(trunk.model, classes, **more))
        if kwargs.get("pretrained") and kwargs.get("pretrained_backbone_name") == "resnet50":
            # sc2bench trains and tests such a detector with an epsilon of 0, as torchvision does.
            for module in rcnn.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = 0.0
    if "segmentation" in models:
        segmenter = deeplab(trunk.model, models["segmentation"].kwargs.get("num_classes", 21))
    return SplitNetwork(trunk, _BITS, shared, rcnn, segmenter, classified is not None)


def _check_head(head: Model, trunk: trunks.Trunk) -> None:
    """Refuse a head that export would build in another way than sc2bench."""
    if not isinstance(trunk.model, SplittableResNet):
        raise ConfigError(
            f"{head.at}: {head.key} is exported on a ResNet only", f"see {PAGE} for another head"
        )
    for key, value in head.kwargs.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if not (number if key in _TESTING else _HEAD.fullmatch(str(key))):
            raise ConfigError(
                f"{head.at}.kwargs.{key}: {str(value)[:60]} is not supported",
                f"remove it if only training needs it, or see {PAGE} for a network of your own",
            )
    fpn, outputs = (head.kwargs.get(k) or {} for k in ("backbone_fpn_kwargs", "return_layer_dict"))
    if not isinstance(fpn, Mapping) or not isinstance(outputs, Mapping):
        raise ConfigError(
            f"{head.at}.kwargs: backbone_fpn_kwargs and return_layer_dict are mappings"
        )
    for at, stated, own in (
        ("backbone_fpn_kwargs.in_channels_list", fpn.get("in_channels_list"), list(channels(trunk.model))),
        ("backbone_fpn_kwargs.return_layer_dict", fpn.get("return_layer_dict"), RETURNED),
        ("return_layer_dict.layer4", outputs and outputs.get("layer4", "missing"), "out"),
    ):  # fmt: skip
        if stated and stated != own:
            raise ConfigError(
                f"{head.at}.kwargs.{at} is {stated} and the exported backbone has {own}",
                f"write {own}, or see {PAGE} for a network of your own",
            )


def _check_decoder(inner: Model, trunk: trunks.Trunk) -> None:
    """Refuse a bottleneck whose features are not those that the first stage takes."""
    made = [m for m in trunk.bottleneck.decoder.modules() if hasattr(m, "out_channels")]
    due = [m for m in trunk.stages[0].modules() if isinstance(m, nn.Conv2d)]
    if made and due and made[-1].out_channels != due[0].in_channels:
        raise ConfigError(
            f"{inner.at} makes {made[-1].out_channels} channels and the backbone takes "
            f"{due[0].in_channels}",
            f"take a backbone that takes {made[-1].out_channels}, such as resnet50"
            if inner.key in _REDUCTIONS
            else f"set kwargs.num_target_channels to {due[0].in_channels}",
        )


def _trunk(model: Model) -> trunks.Trunk:
    if model.key not in _BACKBONES:
        raise _unknown(
            model,
            {**BACKBONE_CLASS_DICT, **BACKBONE_FUNC_DICT, **WRAPPER_CLASS_DICT},
            "model",
            [*_BACKBONES, *_HEADS],
        )
    make, argument, default, known = _BACKBONES[model.key]
    kwargs = model.kwargs
    name = kwargs.get(argument, default)
    if name not in known():
        raise ConfigError(
            f"{model.at}.kwargs.{argument} is '{name}', which is not a model for {model.key}",
            f"see {PAGE} for a trunk of your own",
        )
    if kwargs.get("pre_transform"):
        raise ConfigError(
            f"{model.at}.kwargs.pre_transform is not exported",
            f"see {PAGE} for a network of your own",
        )
    inner = model_at(kwargs.get("bottleneck_config"), f"{model.at}.kwargs.bottleneck_config")
    more = {k: v for k, v in kwargs.items() if k not in _FOR_TRAINING and k != argument}
    for key in more:
        if key not in _TRUNK_ARGUMENTS:
            raise ConfigError(
                f"{model.at}.kwargs.{key} is not supported", f"see {PAGE} for a network of your own"
            )
    more = {_TRUNK_ARGUMENTS[key]: value for key, value in more.items()}
    trunk = _guarded(model, lambda: make(_bottleneck(inner), name, **more))
    _check_decoder(inner, trunk)
    return trunk


def _bottleneck(model: Model) -> bottlenecks.Bottleneck:
    if model.key in _REDUCTIONS:
        kwargs = {k: v for k, v in model.kwargs.items() if k not in _CHANNEL_ONLY}
        width = kwargs.pop("bottleneck_channel", 12)
        if kwargs or not isinstance(width, int):
            raise ConfigError(f"{model.at}.kwargs holds {', '.join(kwargs)}", f"see {PAGE}")
        return bottlenecks.ChannelReduction(width)
    if model.key not in _LAYERS:
        raise _unknown(model, {**layer.LAYER_CLASS_DICT, **layer.LAYER_FUNC_DICT}, "bottleneck",
                       [*_LAYERS, *_REDUCTIONS])  # fmt: skip
    made = _guarded(model, lambda: _LAYERS[model.key](**model.kwargs))
    if made.channels < 1:
        raise ConfigError(f"{model.at}.kwargs.num_bottleneck_channels must be at least 1")
    return made


def _entropic(model: Model) -> EntropicResNet:
    """EntropicClassifier: a plain ResNet-50 cut after a layer, with an entropy bottleneck."""
    kwargs = model.kwargs
    encoder = kwargs.get("encoder_config")
    layers = encoder.get("sequential") if isinstance(encoder, Mapping) else None
    place = layers[-1] if isinstance(layers, list) and layers else None
    name = kwargs.get("classification_model")
    if name != "resnet50" or place not in CHANNELS:
        raise ConfigError(
            f"{model.at}: EntropicClassifier is exported on resnet50 after {', '.join(CHANNELS)}, not "
            f"on {name} after {place}",
            f"see {PAGE} to cut another model",
        )
    return _guarded(model, lambda: EntropicResNet(place, kwargs["num_classes"]))


def _guarded(model: Model, make: Callable[[], _T]) -> _T:
    """Turn what sc2bench raises for a file's arguments into one sentence."""
    try:
        return make()
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError,
            AssertionError, NotImplementedError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ConfigError(f"{model.at}.kwargs do not make a {model.key}: {reason}")


def _unknown(model: Model, registry: Mapping[str, Any], kind: str, known: list[str]) -> ConfigError:
    if model.key in list_models():
        return ConfigError(
            f"{model.at}.key is '{model.key}', a torchvision model without a bottleneck",
            "'splitwatt models' lists the local models that are exported by name",
        )
    what = f"{model.at}.key names the {kind} '{model.key}', which "
    what += "splitwatt does not export" if model.key in registry else "sc2bench does not register"
    return ConfigError(what, f"exported are {', '.join(known)}; {PAGE} shows how to add another")
