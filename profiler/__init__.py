"""The profiler: it times what engines does, on this machine against a server, and writes a run.

A run flows config -> execute -> records -> analyse. Its sub-folders import each other one way: those
on a line only from lines above it.

    links
    config
    records
    analyse
    board, client
    capacity
    execute
    server, whatif, infer
    evaluate, deploy
    check, choose
    cli, doctor
"""
