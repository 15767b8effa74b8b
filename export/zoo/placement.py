"""Where to cut a plain ResNet-50 (the SC2 benchmark, section 5.3): after layer1 to layer4 or avgpool,
with an entropy bottleneck, or with the features as JPEG or WebP files.
"""

from __future__ import annotations

from splitwatt.export.spec import Checkpoint, Network, System
from splitwatt.export.weights.sc2_release import PAGE, system

# The betas of the released checkpoints, from the most to the fewest bytes.
_BETAS = {
    "layer1": ("1.0e-15", "5.0e-11", "8.0e-10", "1.28e-8", "1.024e-7", "8.192e-7", "6.5536e-6",
               "1.0e-5", "1.0e-4"),
    "layer2": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "1.0e-4"),
    "layer3": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "5.0e-5", "1.0e-4"),
    "layer4": ("1.0e-15", "1.0e-10", "1.0e-8", "1.0e-6", "1.0e-5", "5.0e-5", "1.0e-4", "5.0e-4",
               "1.0e-3"),
    "avgpool": ("1.0e-15", "1.0e-10", "8.0e-10", "6.5536e-6", "1.0e-4", "1.0e-2", "1.0e-1"),
}  # fmt: skip
_QUALITIES = ("90", "70", "50", "30", "10")
_TORCHVISION = "resnet50-0676ba61.pth"


def _entropic(place: str) -> System:
    rates = _BETAS[place]

    def build(rate: str | None) -> Network:
        from splitwatt.export.networks.placement import EntropicResNet
        from splitwatt.export.weights.random_weights import bits_between

        return EntropicResNet(place, bits_between(rates.index(str(rate)), len(rates)))

    def checkpoints(rate: str | None) -> tuple[Checkpoint, ...]:
        # Unlike all others of that release, not below supervised_compression.
        file = f"ilsvrc2012-resnet50-eb_after_{place}-beta{rate}.pt"
        paths = (
            f"ilsvrc2012/fine-tuning/{file}",
            f"ilsvrc2012/supervised_compression/fine-tuning/{file}",
        )
        return (Checkpoint("classification", paths, PAGE, archive=True),)

    return system(
        f"resnet50_{place}_eb",
        "classification",
        build,
        checkpoints,
        rates,
        family="placement",
        citation="Matsubara, Yang, Levorato, Mandt: SC2 Benchmark, TMLR 2023, section 5.3",
    )


def _images(place: str, format: str) -> System:
    def build(rate: str | None) -> Network:
        from splitwatt.export.networks.placement import feature_images

        return feature_images(place, format, int(str(rate)))

    checkpoint = Checkpoint(
        "classification",
        ("ilsvrc2012-resnet50.pt", _TORCHVISION),
        "https://download.pytorch.org/models/" + _TORCHVISION,
    )
    return system(
        f"resnet50_{place}_{format.lower()}",
        "classification",
        build,
        lambda rate: (checkpoint,),
        _QUALITIES,
        family="placement",
        citation="Matsubara, Yang, Levorato, Mandt: SC2 Benchmark, TMLR 2023, section 5.3, after Alvar, "
        "Bajic: Pareto-Optimal Bit Allocation for Collaborative Intelligence, TIP 2021",
        notes=("the rate point is the files' quality; the released configurations use 90 after "
               "layer2",),
    )  # fmt: skip


SYSTEMS = [
    *(_entropic(place) for place in _BETAS),
    *(_images(place, format) for format in ("JPEG", "WEBP") for place in _BETAS),
]
