"""Maps of bits per pixel: of one system, or of two and their difference."""
# board: no

from typing import List, Tuple

import numpy as np
from PIL import Image

from splitwatt.device_configs.files import write_atomic_with

_NAME_SIZE = 9


def draw_bitmap(path: str, rgb: np.ndarray, maps: List[Tuple[str, np.ndarray, int]]) -> None:
    """Draw the photograph, the map of each system, and the difference of two.

    Args:
        path: of the picture, a PNG.
        rgb: the photograph, uint8 (H, W, 3).
        maps: a system's name, its bits per pixel (h, w), and its payload's bytes; one or two.

    Raises:
        SplitwattError: the picture cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (rgb.shape[1], rgb.shape[0])
    # Stretched to the photograph, so that two systems' maps meet pixel by pixel.
    stretched = [
        np.asarray(Image.fromarray(m).resize(size, Image.NEAREST))  # type: ignore[attr-defined]
        for _, m, _ in maps
    ]
    most = max(float(np.percentile(m, 99.5)) for m in stretched) or 1.0
    panels = 1 + len(maps) + (len(maps) == 2)
    aspect = rgb.shape[0] / rgb.shape[1]
    figure, axes = pyplot.subplots(
        1, panels, figsize=(3.1 * panels, 3.1 * aspect + 1.2), layout="constrained"
    )
    axes[0].imshow(rgb)
    axes[0].set_title("photograph\n", fontsize=_NAME_SIZE)
    for axis, (name, _, payload_bytes), bits in zip(axes[1:], maps, stretched):
        drawn = axis.imshow(bits, cmap="cividis", vmin=0, vmax=most)
        axis.set_title("%s\n%.1f kB" % (name, payload_bytes / 1000), fontsize=_NAME_SIZE)
    _bar(figure, drawn, axes[1 : 1 + len(maps)].tolist(), "bits per pixel")
    if len(maps) == 2:
        change = stretched[0] - stretched[1]
        span = float(np.percentile(np.abs(change), 99.5)) or 1.0
        drawn = axes[3].imshow(change, cmap="PuOr", vmin=-span, vmax=span)
        axes[3].set_title("difference\n(first less second)", fontsize=_NAME_SIZE)
        _bar(figure, drawn, [axes[3]], "bits per pixel")
    for axis in axes:
        axis.set_axis_off()
    write_atomic_with(path, lambda stream: figure.savefig(stream, dpi=200, format="png"))
    pyplot.close(figure)


def _bar(figure: object, drawn: object, axes: List[object], label: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.7, aspect=35)  # type: ignore[attr-defined]
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
