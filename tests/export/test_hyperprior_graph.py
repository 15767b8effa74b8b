"""The indexes that both ends compute, against CompressAI's own."""

import pytest
import torch
from compressai.entropy_models import GaussianConditional
from compressai.models.google import get_scale_table
from torch import nn

from device_configs.errors import ExportError
from engines.manifest import Port
from export.graphs.hyperprior import Parameters
from export.parity import Difference
from export.spec import Part


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
    (found,) = Parameters(nn.Identity(), gaussian, scales.shape[1], False)(scales)
    assert found.dtype == torch.int32
    assert torch.equal(found, gaussian.build_indexes(scales))


def test_parity_allows_an_index_at_a_step_to_move_and_nothing_more():
    port = Port("indexes", "int32", (1, 1, None, None))
    part = Part("parameters", "both", nn.Identity(), (), (port,), lambda tensors: tensors, [])
    due = {"indexes": torch.arange(4096).reshape(1, 1, 64, 64) % 60}
    found = {"indexes": due["indexes"].numpy().copy()}
    found["indexes"][0, 0, 3, :2] += 1
    difference = Difference(part)
    difference.add(found, due, "at 64x64")
    assert "2 of 4096 indexes" in difference.notes[0]
    found["indexes"][0, 0, 4] += 1
    with pytest.raises(ExportError, match="indexes at 64x64 are others"):
        difference.add(found, due, "at 64x64")
    found = {"indexes": due["indexes"].numpy().copy()}
    found["indexes"][0, 0, 0, 0] += 2
    with pytest.raises(ExportError):
        difference.add(found, due, "at 64x64")
