"""The types that describe a system of the zoo. Nothing here imports PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from splitwatt.engines.bundle.manifest import Head, Port, Preprocess, Resize

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from splitwatt.engines.rangecoder import Tables

    Tensors = dict[str, Tensor]
    State = Mapping[str, Any]

# The seed of random weights, as manifests state it.
SEED = 2025
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights and where to get it.

    role: the part of the network that it fills.
    paths: its path under a folder of checkpoints, then other names that papers' configurations use
        for the same file.
    url: the page or file to download, None if it was never published.
    archive: whether `url` is a page of archives to unpack, rather than the file itself.
    hub: its repository on Hugging Face's hub, in whose cache timm keeps it.
    package: the folder of an installed Python package that has it, such as `name/models`.
    """

    role: str
    paths: tuple[str, ...]
    url: str | None
    archive: bool = False
    hub: str | None = None
    package: str | None = None


@dataclass
class Part:
    """One part of a network, before it is exported as a graph.

    module: is traced; its forward takes `inputs` in order and returns `outputs`, then `checks`.
    original: the papers' own code, called as `module` is; None if `module` is that code.
    counted: the modules whose parameters this part holds, by default the original.
    checks: further outputs of `module`, compared with the original's and then cut from the graph.
    compare: "values", or "boxes" for a detector, whose equal scores may come in any order.
    """

    name: str
    placement: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    original: Callable[..., Any] | None = None
    counted: Sequence[Any] = ()
    checks: tuple[str, ...] = ()
    compare: str = "values"

    def __post_init__(self) -> None:
        self.counted = self.counted or [self.original or self.module]

    def reference(self, tensors: Tensors) -> Tensors:
        """Outputs and checks by the papers' own code, from tensors by name."""
        made = (self.original or self.module)(*(tensors[port.name] for port in self.inputs))
        names = [port.name for port in self.outputs] + list(self.checks)
        return dict(zip(names, made if isinstance(made, tuple) else (made,), strict=True))


@dataclass(frozen=True)
class Photo:
    """A photograph as one system sees it: float32 (1, 3, H, W), and sizes (height, width)."""

    name: str
    path: str
    tensor: np.ndarray
    valid_size: tuple[int, int]
    input_size: tuple[int, int]


@dataclass(frozen=True)
class Coding:
    """The codec of a bundle: see `splitwatt.engines.bundle.manifest.CodecSpec`."""

    kind: str
    tables: tuple[Tables, ...] = ()
    quality: int | None = None


class Codec(ABC):
    """A codec on the PyTorch side.

    Attributes:
        modules: its modules with parameters.
    """

    modules: Sequence[nn.Module] = ()

    @abstractmethod
    def coding(self) -> Coding:
        """What the bundle states."""

    @abstractmethod
    def coded(self, outputs: Tensors, tensors: Tensors) -> Tensors:
        """The values that it decodes from the sent ones of `outputs`, by the papers' own code.

        Args:
            outputs: a part's outputs; at the start, the image.
            tensors: all tensors so far, `outputs` among them.
        """


class Network(ABC):
    """A system at one rate point, as PyTorch modules in evaluation mode.

    Attributes:
        codec: a split system's `Codec`; None for a local one.
        encoder_modules: a split system's modules on the board: encoder and entropy model.
        fixed_size: whether its graphs take images of one size only.
    """

    codec: Any = None
    encoder_modules: Sequence[nn.Module] = ()
    fixed_size: bool = False

    def coded(self, outputs: Tensors, tensors: Tensors) -> Tensors:
        """See `Codec.coded`; nothing without a codec."""
        return self.codec.coded(outputs, tensors) if self.codec else {}

    @abstractmethod
    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load the checkpoint of each role; returns notes for the manifest.

        Raises:
            CheckpointError: weights that do not fit.
        """

    @abstractmethod
    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights, seeded by `key` and fitted to `photos` so that every stage does real work."""

    def classes(self, task: str) -> int | None:
        """How many outputs a task's head has, the background included; None if unknown."""
        for part in self.parts() if task == "classification" else ():
            for port in part.outputs:
                if port.name == "logits":
                    return port.shape[-1]
        return None

    @abstractmethod
    def parts(self) -> list[Part]:
        """The graphs to export, in the order they run."""


@dataclass(frozen=True)
class LoadedFile:
    """The content of a checkpoint: tensors by name, notes for the manifest, class names if it has any."""

    path: str
    state: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class System:
    """One row of the zoo.

    build: makes the `Network` of a rate point (None if there is only one).
    checkpoints: the files that a rate point needs, () if none was published.
    assumed: rate points that the paper names without defining them.
    unavailable: why a row of the papers cannot be exported, in a sentence; "" if it can.
    published_preprocess: task -> the preprocessing of the paper's accuracy, if it differs.
    """

    name: str
    family: str
    paper: str
    citation: str
    tasks: tuple[str, ...]
    preprocess: Preprocess
    postprocess: dict[str, Head]
    build: Callable[[str | None], Network]
    checkpoints: Callable[[str | None], tuple[Checkpoint, ...]]
    rates: tuple[str, ...] = ()
    assumed: frozenset[str] = field(default_factory=frozenset)
    unavailable: str = ""
    notes: tuple[str, ...] = ()
    published_preprocess: Mapping[str, Preprocess] = field(default_factory=dict)


def shorter(
    size: int,
    max_size: int | None = None,
    *,
    crop: tuple[int, int] | None = None,
    filter: str = "pillow-bilinear",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Preprocess:
    """Preprocessing of classifiers and segmenters: Pillow's antialiased resize, then normalise."""
    return Preprocess(
        resize=Resize("shorter", size, max_size, filter),
        crop=crop,
        pad_multiple=None,
        mean=mean,
        std=std,
    )


def detection_transform(
    size: int | tuple[int, int],
    max_size: int | None = None,
    pad_multiple: int | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Preprocess:
    """torchvision's GeneralizedRCNNTransform: normalise, interpolate, pad."""
    rule = "shorter" if isinstance(size, int) else "exact"
    return Preprocess(
        resize=Resize(rule, size, max_size, "bilinear"),
        crop=None,
        pad_multiple=pad_multiple,
        mean=mean,
        std=std,
    )


# Each task of the SC2 benchmark: its short name, preprocessing and postprocessing.
SC2_TASKS: dict[str, tuple[str, Preprocess, Head]] = {
    "classification": (
        "ic", shorter(256, crop=(224, 224)), Head("classifier", "imagenet1k", top_k=5)
    ),
    "detection": (
        "od", detection_transform(800, 1333, 32), Head("detector", "coco91", score_threshold=0.05)
    ),
    "segmentation": ("ss", shorter(513), Head("segmenter", "voc21")),
}  # fmt: skip
