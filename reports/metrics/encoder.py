"""The size of the files on the board: the encoder, and all graphs."""

from functools import partial

from splitwatt.reports.load.model import Entry
from splitwatt.reports.load.values import MIB, Value, exact, missing
from splitwatt.reports.metrics.metric import Metric

_NOTE = (
    "Encoder: fp32 parameters of encoder and entropy model (as the paper counts), and the bytes of "
    "the deployed files; an encoder that models share counts once; 1 MiB = 1024^2 bytes."
)


def encoder_mib(entry: Entry, which: str = "fp32_params") -> Value:
    """Encoder and entropy model, each shared encoder once: `fp32_params` or `deployed`, in MiB."""
    if not entry.split:
        return missing("local computing has no encoder")
    if entry.undescribed:
        return missing(entry.undescribed)
    sizes: dict[str, int] = {}
    for bundle in entry.bundles:
        size = bundle.get("encoder_size_bytes")
        if size is None or size.get(which) is None:
            return missing("the bundle does not state its encoder's size")
        files = [p["sha256"] for p in bundle["parts"] if p["placement"] == "board"]
        sizes["+".join(map(str, files))] = size[which]
    return exact(sum(sizes.values()) / MIB, "estimated" if which == "fp32_params" else "measured")


def board_files_mib(entry: Entry) -> Value:
    """The graphs that the board must hold, a file that models share counted once, in MiB."""
    if entry.undescribed:
        return missing(entry.undescribed)
    files = {part["sha256"]: part["bytes"] for part in entry.board_parts}
    return exact(sum(files.values()) / MIB, "measured")


_DEPLOYED = partial(encoder_mib, which="deployed")
METRICS = (
    Metric("encoder_fp32_mib", "Encoder", "MiB", encoder_mib, 40, ("summary", "costs"), note=_NOTE),
    Metric(
        "encoder_deployed_mib", "Encoder deployed", "MiB", _DEPLOYED, 41, ("costs",), note=_NOTE
    ),
    Metric("board_files_mib", "All graphs on the board", "MiB", board_files_mib, 42, ("costs",)),
)
