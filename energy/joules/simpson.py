"""From power samples to joules: composite Simpson on uneven samples, and the rules to compare with.

Plain Python on lists: boards need no scipy (`simpson` equals scipy's, even counts included), and a
trace of ten minutes at 1 kHz takes about a second.
"""

import math
from bisect import bisect_left
from typing import List, Sequence, Tuple

from splitwatt.device_configs.errors import SensorError

Numbers = Sequence[float]

# Half-width of the interval in standard errors: 97.5 % if the errors were independent, which they
# are not quite, so that at least 95 % is kept.
_Z = 2.24


def simpson(times: Numbers, watts: Numbers) -> float:
    """Joules by the composite Simpson rule on unevenly spaced samples.

    Each pair of intervals gets the parabola through its three samples. Where the count of samples
    is even, the last interval gets the parabola through the last three samples, cut to that
    interval (Cartwright's correction, as scipy >= 1.11 does). Two samples are the trapezoid.

    Args:
        times: seconds, strictly increasing.
        watts: the power at each of them.
    """
    check(times, watts)
    n = len(times)
    parts = []
    for i in range(0, n - 2, 2):
        h0, h1 = times[i + 1] - times[i], times[i + 2] - times[i + 1]
        both = h0 + h1
        parts.append(both / 6 * (2 - h1 / h0) * watts[i])
        parts.append(both / 6 * (both / h0) * (both / h1) * watts[i + 1])
        parts.append(both / 6 * (2 - h0 / h1) * watts[i + 2])
    if n == 2:
        parts.append((times[1] - times[0]) * (watts[0] + watts[1]) / 2)
    elif n % 2 == 0:
        h0, h1 = times[-2] - times[-3], times[-1] - times[-2]
        parts.append((2 * h1 * h1 + 3 * h0 * h1) / (6 * (h0 + h1)) * watts[-1])
        parts.append((h1 * h1 + 3 * h0 * h1) / (6 * h0) * watts[-2])
        parts.append(-h1 * h1 * h1 / (6 * h0 * (h0 + h1)) * watts[-3])
    return math.fsum(parts)


def trapezoid(times: Numbers, watts: Numbers) -> float:
    """Joules by the trapezoid rule; arguments as for `simpson`."""
    check(times, watts)
    return math.fsum(
        (times[i] - times[i - 1]) * (watts[i] + watts[i - 1]) / 2 for i in range(1, len(times))
    )


def rectangle(times: Numbers, watts: Numbers) -> float:
    """Joules of a sensor whose every reading is the mean since the one before: exact for it.

    Arguments as for `simpson`; the first reading only says where the first interval begins.
    """
    check(times, watts)
    return math.fsum((times[i] - times[i - 1]) * watts[i] for i in range(1, len(times)))


def error(times: Numbers, watts: Numbers) -> float:
    """Half of the (at least) 95 % interval around the trapezoid, J, of what happened between samples.

    Between two samples of different power a load may have switched at any moment. Seen so, the
    trapezoid errs by a uniform step x interval, of standard deviation step x interval / sqrt(12),
    once per pair of samples, independently. For a smooth load this errs on the large side. Offset
    and gain of the sensor are not in it. Arguments as for `simpson`.
    """
    check(times, watts)
    return _Z * math.sqrt(
        math.fsum(
            ((watts[i] - watts[i - 1]) * (times[i] - times[i - 1])) ** 2 / 12
            for i in range(1, len(times))
        )
    )


def cut(
    times: Numbers, watts: Numbers, start_s: float, end_s: float, averages: bool = False
) -> Tuple[List[float], List[float]]:
    """The samples of the window [start_s, end_s], its edges interpolated between their neighbours.

    Args:
        averages: the readings are means since the one before: the edge gets the value of the
            reading that covers it instead of an interpolated one.

    Raises:
        SensorError: the samples do not reach around the window (nothing is extrapolated).
    """
    if len(times) < 2:
        check(times, watts)
    if not start_s < end_s:
        raise SensorError("a window from %.6f s to %.6f s has no length" % (start_s, end_s))
    if start_s < times[0] or end_s > times[-1]:
        raise SensorError(
            "the window from %.3f s to %.3f s is not covered by the samples, which go from %.3f s"
            " to %.3f s" % (start_s, end_s, times[0], times[-1]),
            "start the monitor before the window and stop it after",
        )
    # Samples closer than this to an edge are the edge: a sliver would make Simpson's weights huge.
    sliver = 1e-6
    low = bisect_left(times, start_s + sliver)
    high = bisect_left(times, end_s - sliver)
    value = _covering if averages else _interpolated
    inside_t, inside_w = list(times[low:high]), list(watts[low:high])
    return (
        [start_s] + inside_t + [end_s],
        [value(times, watts, start_s)] + inside_w + [value(times, watts, end_s)],
    )


def _interpolated(times: Numbers, watts: Numbers, at: float) -> float:
    i = min(max(bisect_left(times, at), 1), len(times) - 1)
    part = (at - times[i - 1]) / (times[i] - times[i - 1])
    return watts[i - 1] + part * (watts[i] - watts[i - 1])


def _covering(times: Numbers, watts: Numbers, at: float) -> float:
    return watts[min(bisect_left(times, at), len(times) - 1)]


def check(times: Numbers, watts: Numbers) -> None:
    """Raise SensorError unless there are two samples or more at strictly increasing times."""
    if len(times) != len(watts):
        raise SensorError("%d times but %d powers" % (len(times), len(watts)))
    if len(times) < 2:
        raise SensorError(
            "%d sample%s: energy needs at least two" % (len(times), "" if len(times) == 1 else "s"),
            "measure for longer",
        )
    for i in range(1, len(times)):
        if not times[i] > times[i - 1]:
            raise SensorError("the times of samples %d and %d do not increase" % (i - 1, i))
