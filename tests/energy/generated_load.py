"""The exact energy of the driver `generated`, integrated by hand."""

import math


def joules(start_s, end_s):
    """The integral of 2 W + 1.5 W * sin(2 pi t / 4 s)."""

    def antiderivative(at):
        turn = 2 * math.pi / 4.0
        return 2.0 * at - 1.5 / turn * math.cos(turn * at)

    return antiderivative(end_s) - antiderivative(start_s)
