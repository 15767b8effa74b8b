"""From PyTorch models to bundles of ONNX graphs, for a target. Runs on a host, never on a board.

The sub-folders import each other one way: those on a line only from lines above it.

    spec, compat, graphs, labels, replacing, experiment               what a model is; what a target runs
    ports, precision, tracing                                         graphs, and graphs in fp16 and int8
    weights                                                           checkpoints and random weights
    calibrate
    own_graphs
    networks                                                          the models in PyTorch
    zoo, sc2bench                                                     packaged models; a user's own
    own, request                                                      what a user asked for
    exporter                                                          the bundle
    training                                                          a split model, trained
    cli, doctor
"""
