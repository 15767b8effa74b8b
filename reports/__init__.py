"""Reports: run folders become tables and figures, every number with where it comes from.

What the papers state and what the runs recorded become metrics, then tables and figures, then files.
The sub-folders import each other one way: those on a line only from lines above it.

    papers
    load
    metrics
    tables
    figures
    write
    compare
    cli, doctor
"""
