"""Input compression: a codec on the board, an unmodified model on the server (SC2, FrankenSplit).

A system is composed from two lists: the codecs below, and every system that runs whole on a board
(`whole`). `splitwatt models` has one row for each codec, before ResNet-50.

sc2bench's order is kept: resize and crop, codec, normalise. The board's image is therefore in 0 to
1, and the server's graph begins with the normalisation.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.engines.bundle.manifest import CODECS, Preprocess
from splitwatt.export.spec import Checkpoint, Network, System
from splitwatt.export.zoo import whole
from splitwatt.export.zoo.whole import FRANKENSPLIT, SC2

_TEN = ("50", "10", "20", "30", "40", "60", "70", "80", "90", "95", "100")
_QUANTISERS = ("30", "5", "10", "15", "20", "25", "35", "37", "40", "45", "50")
_BALLE17 = "Ballé, Laparra, Simoncelli: End-to-end Optimized Image Compression, ICLR 2017"
_BALLE18 = "Ballé et al.: Variational Image Compression with a Scale Hyperprior, ICLR 2018"
_MINNEN = "Minnen, Ballé, Toderici: Joint Autoregressive and Hierarchical Priors, NeurIPS 2018"
_CHENG = "Cheng et al.: Learned Image Compression with Discretized Gaussian Mixtures, CVPR 2020"
_CONTEXT = (
    "its context model runs place by place on both ends: seconds an image, as measured before"
)


@dataclass(frozen=True)
class InputCodec:
    """One way to send an image.

    rates: qualities in the codec's own scale; "lossless" has none.
    multiple: the sides of its input must be multiples of it; None for a file format.
    """

    name: str
    paper: str
    citation: str
    rates: tuple[str, ...] = ()
    multiple: int | None = None
    notes: tuple[str, ...] = ()
    unavailable: str = ""

    def checkpoints(self, rate: str | None) -> tuple[Checkpoint, ...]:
        """The weights of a neural codec that CompressAI publishes (loads PyTorch)."""
        if self.name in CODECS or self.unavailable:
            return ()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecation warnings while packages are imported
            from compressai.zoo.image import model_urls

        url = model_urls[self.name.replace("_", "-")]["mse"][int(rate or self.rates[0])]
        return (Checkpoint("codec", (url.rsplit("/", 1)[1],), url),)


_CODECS = (
    InputCodec("png", FRANKENSPLIT, "PNG (ISO/IEC 15948), by Pillow"),
    InputCodec("jpeg", SC2, "Wallace: The JPEG Still Picture Compression Standard, 1991, by Pillow",
               _TEN),
    InputCodec("webp", SC2, "WebP (RFC 9649), by Pillow", (*_TEN, "lossless")),
    InputCodec("bpg", SC2, "Bellard: BPG Image Format, by libbpg's bpgenc and bpgdec", _QUANTISERS,
               notes=("a rate is the quantiser: 0 is best, 51 worst; both ends need libbpg's tools; "
                      "sc2bench gives bpgenc a JPEG of quality 100, this a PNG",)),
    InputCodec("heic", SC2, "HEVC-intra in HEIF (ISO/IEC 23008-12), by libheif through pillow-heif",
               _TEN, notes=("HEVC-intra, as BPG is, where libbpg's tools are missing; its bytes are "
                            "not BPG's, and its rates are libheif's qualities",)),
    InputCodec("bmshj2018_factorized", SC2, _BALLE18, tuple("12345678"), 16,
               ("CompressAI's; the rates are its qualities", f"FrankenSplit cites {_BALLE17}")),
    InputCodec("bmshj2018_hyperprior", SC2, _BALLE18, tuple("12345678"), 64,
               ("CompressAI's scale hyperprior; the rates are its qualities",)),
    InputCodec("mbt2018_mean", SC2, _MINNEN, tuple("12345678"), 64,
               ("CompressAI's mean-scale hyperprior; the rates are its qualities",)),
    InputCodec("mbt2018", SC2, _MINNEN, tuple("12345678"), 64,
               ("CompressAI's joint autoregressive prior; the rates are its qualities", _CONTEXT)),
    InputCodec("cheng2020_anchor", FRANKENSPLIT, _CHENG, tuple("123456"), 64,
               ("CompressAI's; the rates are its qualities", _CONTEXT)),
    InputCodec("chen2021", FRANKENSPLIT, "Chen et al.: End-to-End Learnt Image Compression via "
               "Non-Local Attention Optimization, IEEE TIP 2021",
               unavailable="no package has its network, and FrankenSplit took weights that only its "
               "authors' own repository had; its published figures can be put beside a run"),
    InputCodec("lu2022", FRANKENSPLIT, "Lu et al.: Transformer-based Image Compression, DCC 2022",
               unavailable="no package has its network, and its weights were not available to "
               "FrankenSplit's authors either; its published figures can be put beside a run"),
)  # fmt: skip
CODEC_ROWS = {codec.name: codec for codec in _CODECS}


def server_models(known: Mapping[str, System]) -> dict[str, System]:
    """The systems that an input codec can precede: those of one part on the board."""
    return {n: s for n, s in known.items() if s.family in ("local", "whole")}


def compose(name: str, known: Mapping[str, System]) -> System:
    """The system CODEC+MODEL.

    Raises:
        UsageError: no such codec or model, with the nearest known ones.
    """
    codec, _, model = name.partition("+")
    check_known("input codec", codec, CODEC_ROWS)
    whole = server_models(known)
    if model in known and model not in whole:
        raise UsageError(
            f"{model} is a split system, which takes no input codec", f"known: {', '.join(whole)}"
        )
    check_known("model after an input codec", model, whole)
    return _system(CODEC_ROWS[codec], whole[model])


def _system(codec: InputCodec, inner: System) -> System:
    def build(rate: str | None) -> Network:
        from splitwatt.export.networks.image_codecs import InputCompression, compressor

        return InputCompression(compressor(codec.name, rate), inner, _preprocess(codec, inner))

    return System(
        name=f"{codec.name}+{inner.name}",
        family="input_compression",
        paper=codec.paper,
        citation=codec.citation,
        tasks=inner.tasks,
        preprocess=_preprocess(codec, inner),
        postprocess=inner.postprocess,
        build=build,
        checkpoints=lambda rate: (*codec.checkpoints(rate), *inner.checkpoints(None)),
        rates=codec.rates,
        notes=(*codec.notes, *(note for note in inner.notes if "+" not in note)),
        unavailable=codec.unavailable,
    )


def _preprocess(codec: InputCodec, inner: System) -> Preprocess:
    """The model's own, but not normalised, and padded as a neural codec needs it."""
    own = inner.preprocess
    multiple = own.pad_multiple
    if codec.multiple is not None:
        multiple = math.lcm(codec.multiple, multiple or 1)
    return own._replace(mean=(0.0,) * 3, std=(1.0,) * 3, pad_multiple=multiple)


def _row(codec: InputCodec) -> System:
    """A codec before ResNet-50, for the list."""
    inner = next(system for system in whole.SYSTEMS if system.name == "resnet50")
    row = _system(codec, inner)
    if codec.unavailable:
        return row
    rate = f"@{codec.rates[0]}" if codec.rates else ""
    return replace(row, notes=(f"before any whole model: {codec.name}{rate}+swin_b", *row.notes))


SYSTEMS = [_row(codec) for codec in _CODECS]
