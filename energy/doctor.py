"""What `splitwatt doctor` asks of this room: which power sensors can be read here."""

from typing import List

from splitwatt.device_configs.diagnosis import Check
from splitwatt.device_configs.errors import SensorError


def checks(sysfs: str = "/sys") -> List[Check]:
    """The rails of this machine, and each driver that has none here.

    Args:
        sysfs: the root of the tree that stands for /sys.
    """
    from splitwatt.energy.rails.opening import detect_target, open_rails

    target = detect_target(sysfs) or "cpu"
    try:
        with open_rails(target, sysfs) as rails:
            labels = ", ".join(rail.label for rail in rails.rails)
            found = [Check("power of " + target, True, "%s (%s)" % (labels, rails.provenance), "")]
            tried = rails.tried
    except SensorError as error:
        tried = getattr(error, "tried", [])
        found = [Check("power of " + target, False, "no sensor can be read", error.remedy)]
    return found + [Check("driver " + no.driver, False, no.reason, no.remedy) for no in tried]
