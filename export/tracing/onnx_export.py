"""One part -> one ONNX graph, cleaned up."""

from __future__ import annotations

import io
import logging
import warnings
from typing import TYPE_CHECKING

import onnx
import torch

from splitwatt.device_configs.errors import ExportError
from splitwatt.export.spec import Part
from splitwatt.export.tracing.cleanup import clean

if TYPE_CHECKING:
    from splitwatt.export.spec import Tensors

# The exporter warns of its own age.
logging.getLogger("torch.onnx").setLevel(logging.ERROR)
_DIMENSION_NAMES = {2: ("n", "c"), 1: ("n",), 4: ("n", "c", "h", "w"), 3: ("n", "h", "w")}


def to_onnx(part: Part, example: Tensors, opset: int, ir_version: int) -> onnx.ModelProto:
    """Trace a part and clean its graph; its `checks` are still outputs.

    Args:
        example: the part's inputs by name, of any size it accepts.

    Raises:
        ExportError: PyTorch cannot write the graph at this opset.
    """
    ports = (*part.inputs, *part.outputs)
    buffer = io.BytesIO()
    part.module.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # on shapes that are traced on purpose
            torch.onnx.export(
                part.module,
                tuple(example[port.name] for port in part.inputs),
                buffer,  # type: ignore[arg-type]
                input_names=[port.name for port in part.inputs],
                output_names=[port.name for port in part.outputs] + list(part.checks),
                dynamic_axes={
                    port.name: {
                        axis: f"{port.name}_{_DIMENSION_NAMES[len(port.shape)][axis]}"
                        for axis, size in enumerate(port.shape)
                        if size is None
                    }
                    for port in ports
                    if None in port.shape
                },
                opset_version=opset,
                do_constant_folding=True,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(
            f"PyTorch cannot write the part '{part.name}' at opset {opset}: {reason}",
            "choose a target with a newer opset",
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    return clean(model, ir_version, part.name)
