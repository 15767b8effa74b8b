"""From PyTorch models to bundles of ONNX graphs, for a target. Runs on a host, never on a board."""
