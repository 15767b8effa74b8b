"""Power sensors, a sampler, windows, energy per inference; docs/energy.md shows how programs use them.

The parts import each other one way: those on a line only from lines above it.

    rails           what a driver offers; which rails make the total
    trace           traces on disk; which of their samples count
    sources         the drivers
    rail_set        opens the drivers of a target
    sampler         the process that reads the rails on time
    joules          integration, windows, joules per image
    monitor         the sampler and windows together, for programs
    commands        read, watch, record, integrate
    endpoint        serve
    cli, doctor
"""
