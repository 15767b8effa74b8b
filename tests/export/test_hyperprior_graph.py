"""The indexes that both ends compute, against CompressAI's own and another machine's."""

import hashlib
import shutil

import numpy as np
import onnx
import pytest
import torch
from compressai.entropy_models import GaussianConditional
from compressai.models.google import get_scale_table
from onnx import numpy_helper
from torch import nn

from splitwatt.device_configs.errors import DesyncError, ExportError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Port
from splitwatt.engines.codecs.hyperprior import PART
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, ServerPipeline
from splitwatt.engines.verify.samples import write_manifest
from splitwatt.export.graphs.codecs import Parameters
from splitwatt.export.spec import Part
from splitwatt.export.tracing.parity import Difference
from tests.conftest import splitwatt


@pytest.mark.parametrize(
    ("table", "bound"),
    [(None, 0.11), ([0.11, 0.5, 1.0, 4.0], 0.11), ([0.05, 0.2, 1.0], 0.3), ([0.5, 2.0], 0.11)],
    ids=["CompressAI's", "four", "a bound above a step", "two"],
)
def test_indexes_are_compressais_at_and_beside_every_step(table, bound):
    gaussian = GaussianConditional(None, scale_bound=bound)
    gaussian.update_scale_table(get_scale_table() if table is None else table)
    steps = gaussian.scale_table
    near = [torch.nextafter(steps, torch.tensor(float(side))) for side in (-1, 1000)]
    scales = torch.cat([steps, *near, torch.tensor([-3.0, 0.0, 1e9])]).reshape(1, -1, 1, 1)
    (indexes,) = Parameters(nn.Identity(), gaussian, scales.shape[1], False)(scales)
    assert indexes.dtype == torch.int32
    assert torch.equal(indexes, gaussian.build_indexes(scales))


def test_parity_allows_an_index_at_a_step_to_move_and_nothing_more():
    port = Port("indexes", "int32", (1, 1, None, None))
    part = Part("parameters", "both", nn.Identity(), (), (port,), lambda tensors: tensors, [])
    due = {"indexes": torch.arange(4096).reshape(1, 1, 64, 64) % 60}
    outputs = {"indexes": due["indexes"].numpy().copy()}
    outputs["indexes"][0, 0, 3, :2] += 1
    difference = Difference(part)
    difference.add(outputs, due, "at 64x64")
    assert "2 of 4096 indexes" in difference.notes[0]
    outputs["indexes"][0, 0, 4] += 1
    with pytest.raises(ExportError, match="indexes at 64x64 are others"):
        difference.add(outputs, due, "at 64x64")
    outputs = {"indexes": due["indexes"].numpy().copy()}
    outputs["indexes"][0, 0, 0, 0] += 2
    with pytest.raises(ExportError):
        difference.add(outputs, due, "at 64x64")


def _of_another_machine(bundle, folder, off):
    """A bundle's copy, the weights of its `parameters` off by a share: another floating point."""
    shutil.copytree(bundle, folder)
    manifest = Bundle.open(str(folder)).manifest
    path = folder / manifest.part(PART).file
    model = onnx.load(str(path))
    random = np.random.RandomState(1)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:  # a convolution's
            weights = numpy_helper.to_array(tensor)
            weights = weights * (1 + off * random.choice([-1, 1], weights.shape))
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), tensor.name))
    data = model.SerializeToString()
    path.write_bytes(data)
    changed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    parts = [p._replace(**changed) if p.name == PART else p for p in manifest.parts]
    write_manifest(str(folder), manifest._replace(parts=parts))
    return Bundle.open(str(folder))


def test_another_machines_floating_point_is_told_or_moves_no_latent(bundles, tmp_path):
    path = bundles / "entropic_student_ic_mshp@3.84"
    bundle = Bundle.open(str(path))
    with BoardPipeline(bundle) as board, ServerPipeline(bundle) as server:
        request = board.run(decode_image(bundle.samples()[0].photo))
        due = server.decode(request.payload, request.sizes)["latent"]
    assert np.abs(due).max() > 1
    told = []
    for off in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        other = _of_another_machine(path, tmp_path / str(off), off)
        with ServerPipeline(other) as server:
            try:
                latent = server.decode(request.payload, request.sizes)["latent"]
            except DesyncError as error:
                assert "computed different table indexes" in str(error)
                told.append(off)
                continue
        assert np.abs(latent - due).max() < 1e-3, off
    assert told and told[-1] == 1e-2
    result = splitwatt("verify", tmp_path / "0.01", check=False)
    assert result.returncode == 1 and "their floating point differs" in result.stderr
