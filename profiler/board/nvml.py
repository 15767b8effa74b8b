"""A discrete NVIDIA GPU's clock, temperature and reasons to be slow."""

from typing import Callable, List, NamedTuple, Optional

from splitwatt.device_configs.nvml import LIBRARY, Device, Nvml, NvmlError

# Of NVML's throttle reasons: thermal slowdown by software and by hardware; power brake, and hardware
# slowdown for either. Caps that a user sets, and idling, are not counted.
_HEAT, _HARDWARE = 0x20 | 0x40, 0x08 | 0x80


class Source(NamedTuple):
    """Something of a GPU that can be read: its name, whether a number above 0 means that the GPU is
    slowed down, and how it is read (None: not now).
    """

    name: str
    sign: bool
    read: Callable[[], Optional[float]]


class NvmlProbe:
    """What the driver reports of its GPUs; nothing where there is no driver.

    Attributes:
        sources: what had a value when it was first read.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        self.sources: List[Source] = []
        try:
            self._nvml: Optional[Nvml] = Nvml(library)
        except NvmlError:
            self._nvml = None
            return
        for index, device in enumerate(self._nvml.devices):
            if device is not None:
                every = _sources(self._nvml, index, device)
                self.sources += [source for source in every if source.read() is not None]

    def close(self) -> None:
        """Close the library."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None


def _sources(nvml: Nvml, index: int, device: Device) -> List[Source]:
    def slowed_by(mask: int) -> Optional[float]:
        reasons = nvml.throttle_reasons(device)
        return None if reasons is None else float(reasons & mask)

    gpu = "gpu%d" % index
    return [
        Source(gpu + " slowed down by heat", True, lambda: slowed_by(_HEAT)),
        Source(gpu + " slowed down by hardware", True, lambda: slowed_by(_HARDWARE)),
        Source(gpu + "_hz", False, lambda: nvml.clock_hz(device)),
        Source(gpu + "_c", False, lambda: nvml.temperature_c(device)),
    ]
