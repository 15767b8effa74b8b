"""The bundles of split_lite0 against the model that was trained, in PyTorch and CompressAI.

The model is put together here from the two files of weights, gains apart from the convolutions, as
training has it: no part of the export is used.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, ServerPipeline
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.export.networks.backbones import make_timm
from splitwatt.export.networks.gained_split import GainedSplit, trained
from splitwatt.export.networks.timm_cut import Cut
from splitwatt.export.weights.files import locate
from splitwatt.export.zoo.trained import LITE0, RATES
from tests.conftest import ROOT, splitwatt

WEIGHTS = ROOT / "export" / "weights" / "trained" / "split_lite0.safetensors"
TRIED = ("1", "3", "5")
# How far another order of additions may move a latent, and a logit.
LATENT, LOGIT = 1e-3, 1e-3


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    models = [text for rate in TRIED for text in ("--model", f"split_lite0@{rate}")]
    splitwatt("export", *models, "--target", "cpu", "--bundles", folder)
    return {rate: Bundle.open(str(folder / "cpu" / f"split_lite0@{rate}")) for rate in TRIED}


@pytest.fixture(scope="module")
def model():
    backbone = make_timm("tf_efficientnet_lite0")
    path = locate((LITE0.model,), None, "efficientnet_lite0", None)["model"]
    values = torch.load(path, weights_only=True).values()
    backbone.load_state_dict(dict(zip(backbone.state_dict(), values, strict=True)))
    return filled(GainedSplit(Cut(backbone, "blocks.3.0", 224), len(RATES)), WEIGHTS)


def filled(split, weights):
    """`split` with trained weights, its entropy models ready."""
    missing, unexpected = trained(split).load_state_dict(load_file(weights), strict=False)
    tables = ("_quantized_cdf", "_offset", "_cdf_length", "num_batches_tracked")
    assert not unexpected and all(name.endswith(tables) for name in missing)
    for entropy in split.bottleneck.entropy:
        entropy.update(force=True)
    return split


@pytest.mark.parametrize("rate", TRIED)
def test_symbols_strings_and_answers_are_the_models(deployed, model, rate):
    check_bundle(deployed[rate], model, RATES.index(rate))


def check_bundle(bundle, model, index):
    """Bytes, symbols and answers on the packaged photographs are those of `model`, in PyTorch."""
    assert bundle.manifest.weights.trained
    entropy = model.bottleneck.entropy[index]
    tables = Tables.from_compressai(entropy)
    assert bundle.manifest.codec.tables[0].id == tables.id
    coder = RangeCoder(tables, "compressai")
    with BoardPipeline(bundle) as board, ServerPipeline(bundle) as server, torch.no_grad():
        for path in default_photos():
            photograph = decode_image(path)
            image = torch.from_numpy(preprocess(photograph, bundle.manifest.preprocess).tensor)
            features = model.maps(model.before(model.front(image)))
            latent = model.bottleneck.latent(features, index)
            (string,) = entropy.compress(latent)
            symbols = entropy.decompress([string], latent.shape[2:])
            # CompressAI's own bytes of the model's latent, and the bundle's symbols of the photograph.
            assert coder.encode(latent.numpy())[0] == string
            request = board.run(photograph)
            received = server.decode(request.payload, request.sizes)["latent"]
            tie = (latent - entropy._get_medians().reshape(1, -1, 1, 1)).frac().abs() - 0.5
            certain = tie.abs().numpy() > LATENT
            assert certain.mean() > 0.99
            np.testing.assert_allclose(received[certain], symbols.numpy()[certain], atol=1e-6)
            assert coder.encode(received)[0] == string or not certain.all()
            restored = model.bottleneck.restored(torch.from_numpy(received), index)
            due = model.tail(model.after(model.own(restored)))
            answer, _ = server.run(request.payload, request.sizes)
            scores, labels = due.softmax(1)[0].topk(5)
            answered = answer["classification"]
            np.testing.assert_allclose(answered["scores"], scores.numpy(), atol=LOGIT)
            apart = (scores[:-1] - scores[1:]).min() > 2 * LOGIT
            assert not apart or answered["labels"].tolist() == labels.tolist()
            assert answered["labels"][0] == labels[0]
