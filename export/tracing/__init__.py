"""From PyTorch modules to ONNX graphs, compared with the modules."""
