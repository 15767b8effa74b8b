"""Real rails, honest joules: power sensors, a sampler, windows, energy per inference.

For a program (see docs/energy.md):

    from energy.monitor import EnergyMonitor
    with EnergyMonitor("nano") as monitor:          # its own process samples from here on
        monitor.idle(2.0)                           # what the idle board draws
        monitor.begin("encode"); ...; monitor.end("encode")      # nesting, repeating, < 20 us
        monitor.idle(2.0)
    for energy in monitor.results(): ...            # per window: rails, total, net of idle

For the profiler, which records a trace per block and goes on without one:

    from energy.monitor import open_for
    monitor, why_not = open_for(target_name, sysfs="/sys", trace_path=RUN + "/power/BLOCK.csv")
    if monitor is None:
        for no in why_not: ...                      # no.driver, no.reason, no.remedy: say so once
    else:
        with monitor:                               # writes BLOCK.csv (t_s, a column a rail, W)
            monitor.idle(2.0)                       # and BLOCK.json (rails, total, events, ...)
            ...warm-up...
            monitor.begin(BLOCK); ...N inferences...; monitor.end(BLOCK)
            monitor.idle(2.0)
        monitor.windows                             # Window(name, start_s, end_s), monotonic clock

`t_s` and the windows are CLOCK_MONOTONIC of this machine, so the run's own windows.jsonl fits the
trace. Afterwards, from the files alone, here or on another machine:

    from energy.per_image import block_energy
    block_energy("RUN/power/BLOCK.csv", start_s, end_s, inferences, idle=[(start_s, end_s), ...])

Joules of one stage need a block of that stage alone (`splitwatt.energy.joules.per_image.repeat_stage`, >= 10 s): a
Nano's sensor changes every 54 ms, and nothing shorter than ten of its readings is claimed.

Modules: `rails` (the interface of a driver), `drivers/` (one file each), `opening` (which drivers
work here), `sampler` and `sampler_process`, `traces` and `trace_writer`, `readings` (which samples
count), `integrate`, `summary`, `monitor`, `per_image`, `confidence`, `prometheus`, `cli`.
"""
