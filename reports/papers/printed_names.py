"""Names in print: `JPEG (ResNet-50)` for `jpeg+resnet50`, and the numbers of the papers' figures."""

import re

from splitwatt.reports.papers.published import rows as printed

# What a system's name is made of -> how it prints; the first piece is printed before the brackets.
_NAMES = {
    "ladon_r50": "Ladon R50",
    "ladon_resnest269e": "Ladon RSt269e",
    "entropic_student": "Entropic Student",
    "end_to_end": "End to end",
    "cr_bq": "CR+BQ",
    "frankensplit": "FrankenSplit",
    "png": "PNG",
    "jpeg": "JPEG",
    "webp": "WebP",
    "bpg": "BPG",
    "heic": "HEIC",
    "bmshj2018_factorized": "Factorized prior",
    "bmshj2018_hyperprior": "Scale hyperprior",
    "mbt2018_mean": "Mean-scale hyperprior",
    "mbt2018": "Joint autoregressive",
    "cheng2020_anchor": "Cheng 2020",
    "chen2021": "Chen 2021",
    "lu2022": "Lu 2022",
    "resnet50": "ResNet-50",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "split_lite0": "Split-Lite0",
    "resnet101": "ResNet-101",
    "resnet152": "ResNet-152",
    "regnety_064": "RegNetY-6.4GF",
    "vit_small_r26_s32": "hybrid ViT",
    **{f"swin_{size[0]}": f"Swin-{size[0].upper()}" for size in ("tiny", "small", "base")},
    **{f"swin_s3_{size}_224": f"Swin-S3-{size[0].upper()}" for size in ("tiny", "small", "base")},
    **{f"convnext_{size}": f"ConvNeXt-{size[0].upper()}" for size in ("tiny", "small", "base")},
    **{f"convnext_{size[0]}": f"ConvNeXt-{size[0].upper()}" for size in ("tiny", "small", "base")},
    "fasterrcnn_resnet50_fpn": "Faster R-CNN",
    "deeplabv3_resnet50": "DeepLabv3 w/ ResNet-50",
    "deeplabv3_resnet101": "DeepLabv3 w/ ResNet-101",
    **{row["model"]: row["name"] for row in printed("baselines")},
    "eb": "entropy bottleneck",
    "fp": "FP",
    "mshp": "MSHP",
    "m": "M",
    "l": "L",
}
_KNOWN = "|".join(re.escape(name) for name in sorted(_NAMES, key=len, reverse=True))
_PIECE = re.compile(rf"(?:(?<=[_+])|^)(?:(?:{_KNOWN})(?=[_+]|$)|[^_+]+)")
_SLOT = re.compile(r"_(ic|od|ss)(?=_|$)")


def printed_name(system: str) -> str:
    """A system in print, without its task; an unpublished one keeps its own name."""
    first, *more = _PIECE.findall(_SLOT.sub("", system)) or [""]
    if first not in _NAMES:
        return system
    brackets = ", ".join(_NAMES.get(piece, piece) for piece in more)
    return f"{_NAMES[first]} ({brackets})" if more else _NAMES[first]


_FIGURES = {
    ("nano", 100.0): "Fig. 5",
    ("xavier_nx", 100.0): "Fig. 6",
    ("nano", 37.5): "Fig. S1",
    ("xavier_nx", 37.5): "Fig. S2",
}
_LIKE = {100.0: "as Figs. 5, 6", 37.5: "as Figs. S1, S2"}


def paper_figure(board: str, rate_kbit_s: float) -> str:
    """` (Fig. 5)` on the paper's own board, ` (as Figs. 5, 6)` on another; empty at other rates."""
    name = _FIGURES.get((board, rate_kbit_s)) or _LIKE.get(rate_kbit_s)
    return f" ({name})" if name else ""
