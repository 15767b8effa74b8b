"""NVIDIA GPUs: the energy counter (Volta and newer), else instant power, else the power reading."""

from typing import List, Optional

from splitwatt.device_configs.nvml import LIBRARY, Nvml, NvmlError
from splitwatt.energy.rails import rail as rails


class Driver(rails.Driver):
    """Reads each GPU's best figure: a counter is exact, and an average lags behind."""

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
            for kind, read in ways:
                if device is not None and read(device) is not None:
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
