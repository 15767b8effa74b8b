"""NVIDIA GPUs: the energy counter (Volta and newer), else instant power, else the power reading."""

import time
from typing import List, Optional

from splitwatt.device_configs.nvml import LIBRARY, Device, Nvml, NvmlError
from splitwatt.energy.rails import rail as rails

# A GPU uses power at rest too: its counter moves within this time, s.
_COUNTS_S, _STEP_S = 0.3, 0.01


class Driver(rails.Driver):
    """Reads each GPU's best figure: a counter is exact, and an average lags."""

    name = "nvml"

    def __init__(self, context: rails.Context) -> None:
        if not context.is_this_machine and "nvml_library" not in context.options:
            raise rails.UnavailableError("%s is another machine's tree" % context.sysfs)
        try:
            nvml = self._nvml = Nvml(context.options.get("nvml_library", LIBRARY))
        except NvmlError as error:
            raise rails.UnavailableError(str(error))
        self.rails = []
        self._read = []
        for index, device in enumerate(nvml.devices):
            ways = (
                (rails.COUNTER, nvml.energy_j),
                (rails.INSTANT, nvml.instant_power_w),
                (rails.AVERAGE, nvml.power_w),
            )
            if device is None:
                continue
            # A counter that does not move is used only without any other source.
            ways = ways if _counts(nvml, device) else ways[1:] + ways[:1]
            for kind, read in ways:
                if read(device) is not None:
                    path = "NVML device %d" % index
                    self.rails.append(context.rail("gpu%d" % index, self.name, path, kind))
                    self._read.append((read, device))
                    break
        if not self.rails:
            self.close()
            raise rails.UnavailableError("NVML has no GPU with a power reading")

    def read(self) -> List[Optional[float]]:
        """Watts of each GPU, or joules so far where it counts them."""
        return [read(device) for read, device in self._read]

    def close(self) -> None:
        """Close the library."""
        self._nvml.close()


def _counts(nvml: Nvml, device: Device) -> bool:
    """Whether the GPU's energy counter moves."""
    first, end = nvml.energy_j(device), time.monotonic() + _COUNTS_S
    while first is not None and time.monotonic() < end:
        if nvml.energy_j(device) != first:
            return True
        time.sleep(_STEP_S)
    return False
