"""FrankenSplit: one encoder for nine backbones (Furutanpey, Raith, Dustdar, IEEE TMC 2024).

Written after the paper. The backbones are timm's, which Table 2's parameters name: its Swins are
the S3 ones (2:2:30:2 blocks in the base), at 96 channels each.
"""

from splitwatt.engines.bundle.manifest import Head
from splitwatt.export.spec import Checkpoint, Network, System, shorter
from splitwatt.export.zoo.whole import FRANKENSPLIT

_CITATION = (
    "Furutanpey, Raith, Dustdar: FrankenSplit, IEEE Transactions on Mobile Computing 23(12), 2024"
)
# Betas of the authors' training configurations; the paper's figures print none.
_RATES = ("0.015", "0.032", "0.064", "0.128", "0.256", "0.512", "1.024")
_CHANNELS = {"s": 48, "m": 96, "l": 128}
# Short name -> timm's name and file.
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/"
_META = "https://dl.fbaipublicfiles.com/convnext/"
_BACKBONES = {
    "swin_t": ("swin_s3_tiny_224", _TIMM + "v0.1-weights/s3_t-1d53f6a8.pth"),
    "swin_s": ("swin_s3_small_224", _TIMM + "v0.1-weights/s3_s-3bb4c69d.pth"),
    "swin_b": ("swin_s3_base_224", _TIMM + "v0.1-weights/s3_b-a1e95db4.pth"),
    "convnext_t": ("convnext_tiny", _META + "convnext_tiny_1k_224_ema.pth"),
    "convnext_s": ("convnext_small", _META + "convnext_small_1k_224_ema.pth"),
    "convnext_b": ("convnext_base", _META + "convnext_base_1k_224_ema.pth"),
    "resnet50": ("resnet50", _TIMM + "v0.1-rsb-weights/resnet50_a1_0-14fe96d1.pth"),
    "resnet101": ("resnet101", _TIMM + "v0.1-rsb-weights/resnet101_a1_0-cdcb52a9.pth"),
    "resnet152": ("resnet152", _TIMM + "v0.1-rsb-weights/resnet152_a1_0-2eee8a7a.pth"),
}

# Which of timm's weights these files are, as its repositories on Hugging Face's hub are named.
_TAGS = {"swin": "ms_in1k", "convnext": "fb_in1k", "resnet": "a1_in1k"}


def _system(short: str, size: str) -> System:
    timm_name, url = _BACKBONES[short]
    kind = timm_name.rstrip("0123456789").split("_")[0]
    prefix = "frankensplit_" if size == "s" else f"frankensplit_{size}_"
    shared = prefix.rstrip("_")

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import frankensplit

        channels = _CHANNELS[size]
        return frankensplit.FrankenSplit(timm_name, channels, str(rate), f"{shared}@{rate}/encoder")

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        own = f"ilsvrc2012/frankensplit/{prefix}{short}-beta{rate}.pt"
        hub = f"timm/{timm_name}.{_TAGS[kind]}"
        backbone = Checkpoint("backbone", (url.rsplit("/", 1)[1],), url, hub=hub)
        return Checkpoint("compressor", (own,), None, archive=True), backbone

    return System(
        name=prefix + short,
        family="frankensplit",
        paper=FRANKENSPLIT,
        citation=_CITATION,
        tasks=("classification",),
        preprocess=shorter(256, crop=(224, 224)),
        postprocess={"classification": Head("tail", "imagenet1k", top_k=5)},
        build=build,
        checkpoints=checkpoints,
        rates=_RATES,
        notes=(
            f"timm's {timm_name}; encoder {size.upper()}, latent {_CHANNELS[size]}x28x28, the same "
            "encoder and tables for every backbone of a rate point",
            "its authors' page promises weights and has none yet: train the compressor yourself",
        ),
    )


SYSTEMS = [
    *(_system(short, "s") for short in _BACKBONES),
    *(_system("swin_b", size) for size in ("m", "l")),
]
