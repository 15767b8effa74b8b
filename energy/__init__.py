"""Power sensors, a sampler, windows, energy per inference.

For a program (see docs/energy.md):

    from splitwatt.energy.monitor import EnergyMonitor
    with EnergyMonitor("nano") as monitor:          # a separate process samples from here on
        monitor.idle(2.0)                           # what the idle board uses
        monitor.begin("encode"); ...; monitor.end("encode")      # nesting, repeating, < 20 us
        monitor.idle(2.0)
    for energy in monitor.results(): ...            # per window: rails, total, net of idle

For the profiler, which records a trace per block and goes on without one:

    from splitwatt.energy.monitor import open_for
    monitor, why_not = open_for(target_name, sysfs="/sys", trace_path=RUN + "/power/BLOCK.csv")
    if monitor is None:
        for no in why_not: ...                      # no.driver, no.reason, no.remedy
    else:
        with monitor:                               # writes BLOCK.csv (t_s, a column per rail, W)
            monitor.idle(2.0)                       # and BLOCK.json (rails, total, events, ...)
            ...warm-up...
            monitor.begin(BLOCK); ...N inferences...; monitor.end(BLOCK)
            monitor.idle(2.0)
        monitor.windows                             # Window(name, start_s, end_s), monotonic clock

`t_s` and the windows are CLOCK_MONOTONIC of this machine, as in the run's own windows.jsonl.
Afterwards, from the files alone, here or on another machine:

    from splitwatt.energy.joules.per_image import block_energy
    block_energy("RUN/power/BLOCK.csv", start_s, end_s, inferences, idle=[(start_s, end_s), ...])

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
