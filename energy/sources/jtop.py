"""Jetson rails through the jtop service (jetson-stats), where the user installed it.

It refreshes about once a second and needs no root; far slower than the sensor, it comes last.
"""

from typing import Any, Dict, List, Optional

from splitwatt.energy.rails import rail as rails


class Driver(rails.Driver):
    """Reads `jtop().power`: rails by label, milliwatts and millivolts."""

    name = "jtop"

    def __init__(self, context: rails.Context) -> None:
        if not context.is_this_machine and "jtop" not in context.options:
            raise rails.UnavailableError("%s is another machine's tree" % context.sysfs)
        self._jtop = context.options.get("jtop") or _connect()
        self._labels = sorted(
            label for label in flatten(self._jtop.power) if label not in context.power.ignored
        )
        if not self._labels:
            self.close()
            raise rails.UnavailableError("the jtop service knows no power rail")
        self.rails = [context.rail(label, self.name, "jtop") for label in self._labels]

    def read(self) -> List[Optional[float]]:
        """Watts of each rail."""
        return self._values("power")

    def volts(self) -> List[Optional[float]]:
        """The voltage of each rail."""
        return self._values("volt")

    def _values(self, key: str) -> List[Optional[float]]:
        rails_now = flatten(self._jtop.power)
        readings = [rails_now.get(label, {}).get(key) for label in self._labels]
        return [None if value is None else value / 1000.0 for value in readings]

    def close(self) -> None:
        """Close the connection."""
        self._jtop.close()


def _connect() -> Any:
    try:
        from jtop import jtop
    except ImportError:
        raise rails.UnavailableError(
            "jetson-stats is not installed", "sudo pip3 install jetson-stats"
        )
    client = jtop(interval=0.5)
    try:
        client.start()
    except Exception as error:  # jtop has its own exceptions, which differ between its versions
        raise rails.UnavailableError(
            "the jtop service does not answer: %s" % str(error).split("\n")[0],
            "sudo systemctl start jtop",
        )
    return client


def flatten(power: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    """jtop's power (rails, and the total apart under `tot`) as one dictionary by label.

    A `tot` without a name is jtop's own sum of the others and is left out: which rails make the
    total is the target's data.
    """
    rails_now = {label: values for label, values in power.get("rail", {}).items() if values}
    total = power.get("tot", {})
    if total.get("name"):
        rails_now[total["name"]] = total
    return rails_now
