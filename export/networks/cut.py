"""A classifier cut in two: its first layers on the board, a codec, and the others on the server.

`CutResNet` is the SC2 benchmark's bottleneck placement: a plain ResNet-50 cut after one of its layers.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sc2bench.models.layer import EntropyBottleneckLayer
from torch import nn
from torchvision.models import resnet50

from splitwatt.export import ports
from splitwatt.export.networks.backbones import last_linear
from splitwatt.export.networks.latent_codecs import Entropic, LatentCodec
from splitwatt.export.networks.split import LOGIT_SPREAD
from splitwatt.export.networks.trunks import PooledClassifier
from splitwatt.export.spec import LoadedFile, Network, Part, Photo
from splitwatt.export.tracing.photos import squares
from splitwatt.export.weights.checkpoints import fill, fill_bottleneck, subset
from splitwatt.export.weights.random_weights import fit_batch_norms, level, seeded

CHANNELS = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048, "avgpool": 2048}


class CutClassifier(Network):
    """image -> latent -> (features ->) logits.

    Args:
        model: the whole model, which the checkpoint `classification` fills.
        encoder: its first layers.
        body: the layers after them; None if the head takes the latent itself.
        head: (1, C, H, W) -> logits.
        channels: of the latent, and of the head's input.
        codec: between encoder and body.
    """

    def __init__(
        self,
        model: nn.Module,
        encoder: nn.Module,
        body: nn.Module | None,
        head: nn.Module,
        channels: tuple[int, int],
        codec: LatentCodec,
    ) -> None:
        self.model = model.eval()
        self.encoder, self.head = encoder.eval(), head.eval()
        self.body = None if body is None else body.eval()
        self.channels, self.codec = channels, codec
        self.encoder_modules = (self.encoder, *codec.modules)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """The whole model's tensors: a plain state_dict, or torchdistill's.

        They have no weights for the codec, which is fitted to the packaged photographs.
        """
        loaded = states["classification"]
        fill(self.model, loaded.state, loaded)
        if not self.codec.modules:
            return []
        with torch.no_grad():
            self.codec.fit(self.encoder(torch.from_numpy(squares())))
        return [
            "entropy tables fitted to the packaged photographs; 'splitwatt calibrate' refits them "
            "to a deployment's own"
        ]

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """Make random weights with fitted statistics and classes that differ between photographs."""
        images = torch.from_numpy(squares())
        with seeded(key), torch.no_grad():
            fit_batch_norms([self.model], lambda: self.model(images))
            latents = self.encoder(images)
            self.codec.fit(latents)
            features = self.codec.received(latents)
            features = features if self.body is None else self.body(features)
            level(last_linear(self.head), self.head(features), LOGIT_SPREAD)

    def parts(self) -> list[Part]:
        """encoder; body, if there is one; classifier."""
        latent = ports.maps("latent", self.channels[0])
        parts = [Part("encoder", "board", self.encoder, (ports.image(),), (latent,))]
        features = latent
        if self.body is not None:
            features = ports.maps("f4", self.channels[1])
            parts.append(Part("body", "server", self.body, (latent,), (features,)))
        logits = ports.logits(last_linear(self.head).out_features)
        return [*parts, Part("classifier", "server", self.head, (features,), (logits,))]


class CutResNet(CutClassifier):
    """The layers of a ResNet-50 up to `place` on the board.

    Args:
        place: one of CHANNELS.
        codec: of the features.
    """

    def __init__(self, place: str, codec: LatentCodec, num_classes: int = 1000) -> None:
        model = resnet50(num_classes=num_classes)
        layers = OrderedDict(model.named_children())
        head = PooledClassifier(layers.popitem()[1])
        encoder = nn.Sequential()
        while place not in dict(encoder.named_children()):
            encoder.add_module(*layers.popitem(last=False))
        layers.pop("avgpool", None)
        body = nn.Sequential(layers) if layers else None
        super().__init__(model, encoder, body, head, (CHANNELS[place], 2048), codec)


class EntropicResNet(CutResNet):
    """With an entropy bottleneck: sc2bench's EntropicClassifier."""

    def __init__(self, place: str, num_classes: int = 1000) -> None:
        self.layer: Any = EntropyBottleneckLayer(entropy_bottleneck_channels=CHANNELS[place]).eval()
        super().__init__(place, Entropic(self.layer.entropy_bottleneck), num_classes)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """sc2bench's checkpoint: entropy_bottleneck, encoder, decoder and classifier."""
        loaded = states["classification"]
        fill_bottleneck(self.layer, subset(loaded.state, "entropy_bottleneck."), loaded)
        whole = {
            "encoder": self.encoder,
            "decoder": self.body or nn.Identity(),
            "classifier": nn.ModuleDict({"fc": last_linear(self.head)}),
        }
        fill(nn.ModuleDict(whole), loaded.state, loaded, handled=("entropy_bottleneck.",))
        return []
