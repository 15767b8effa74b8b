"""What `splitwatt doctor` asks this room: which power sensors can be read here."""

from typing import List

from splitwatt.device_configs.diagnosis import Check
from splitwatt.device_configs.errors import SplitwattError


def checks(sysfs: str = "/sys") -> List[Check]:
    """The rails of this machine, and each driver that has none here.

    Args:
        sysfs: the folder to use instead of /sys.
    """
    from splitwatt.device_configs.detect import detect_target
    from splitwatt.energy.rail_set import open_rails

    target = "this machine"
    try:
        target = detect_target(sysfs) or "cpu"
        with open_rails(target, sysfs) as rails:
            labels = ", ".join(rail.label for rail in rails.rails)
            first = Check("power of " + target, True, "%s (%s)" % (labels, rails.provenance), "")
            tried = rails.tried
    except SplitwattError as error:
        tried = getattr(error, "tried", [])
        detail = "no sensor can be read" if tried else error.message
        first = Check("power of " + target, False, detail, error.remedy)
    return [first] + [Check("driver " + no.driver, False, no.reason, no.remedy) for no in tried]
