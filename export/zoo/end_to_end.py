"""Compressible features learned end to end, without a teacher (Singh et al., ICIP 2020), on the Entropic
Student's layers, as the SC2 benchmark trains and releases it.
"""

from __future__ import annotations

from splitwatt.export.spec import SC2_TASKS, Network, System
from splitwatt.export.weights.sc2_release import checkpoint, system

_RATES = ("1.28e-8", "1.024e-7", "2.048e-7", "8.192e-7", "3.2768e-6")


def _system(task: str) -> System:
    def build(rate: str | None) -> Network:
        from splitwatt.export.networks import bottlenecks, split
        from splitwatt.export.weights.random_weights import bits_between

        bottleneck = bottlenecks.Factorized(num_bottleneck_channels=24)
        bits = bits_between(_RATES.index(str(rate)), len(_RATES))
        return split.on_resnet50(task, bottleneck, bits, f"end_to_end@{rate}/encoder")

    return system(
        f"end_to_end_{SC2_TASKS[task][0]}",
        task,
        build,
        lambda rate: checkpoint(task, "end-to-end", f"splittable_resnet50-fp-beta{rate}"),
        _RATES,
        family="end_to_end",
        citation="Singh, Abu-El-Haija, Johnston, Balle, Shrivastava, Toderici: End-to-end Learning of "
        "Compressible Features, ICIP 2020",
    )


SYSTEMS = [_system(task) for task in SC2_TASKS]
