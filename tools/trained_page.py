"""The measurements and the figure of docs/trained.md: `python -m tools.trained_page DIR`.

DIR is the folder that `splitwatt evaluate --against efficientnet_lite0 --out DIR` filled. Crops of
one photograph are alike: intervals resample photographs, not crops.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "trained.md"
TRAINING = ROOT / "export" / "weights" / "trained" / "training.json"
FIGURE = ROOT / "docs" / "images" / "agreement.svg"
LEVELS = (70, 75, 80)
# Colours as in the report of `make demo`.
_SYSTEMS = {"split_lite0": ("split_lite0", "#0072b2", "o"), "jpeg": ("JPEG", "#e08a00", "s"),
            "webp": ("WebP", "#cc79a7", "^")}  # fmt: skip
_RESAMPLES = 2000


@dataclass(frozen=True)
class Point:
    """A rate point: bytes and agreement of each photograph's crops, as sums; crops of each."""

    system: str
    model: str
    sums: np.ndarray

    def at(self, weights: np.ndarray) -> tuple[float, float]:
        """Mean bytes and percent of agreement, with these weights of photographs."""
        crops, size, same = weights @ self.sums
        return size / crops, 100 * same / crops


def points(folder: Path) -> list[Point]:
    """The points of every evaluated model, in order of the mean bytes."""
    curve_points = []
    results = json.loads((folder / "agreement.json").read_text())["results"]
    for result in results:
        lines = (folder / result["records"]["file"]).read_text().splitlines()[1:]
        sums: dict[str, np.ndarray] = {}
        for row in map(json.loads, lines):
            record = row["classification"]["record"]
            one = np.array([1, row["payload_bytes"], record["labels"][0] == record["truth"]], float)
            photograph = row["name"].split("-")[0]
            sums[photograph] = sums.get(photograph, 0) + one
        system = re.split("[@+]", result["model"])[0]
        ordered = np.array([sums[name] for name in sorted(sums)])
        curve_points.append(Point(system, result["model"], ordered))
    return sorted(curve_points, key=lambda p: (list(_SYSTEMS).index(p.system), p.sums[:, 1].sum()))


def draws(photographs: int) -> list[np.ndarray]:
    """The weights of photographs: first all of them once, then resampled."""
    random = np.random.default_rng(2025)
    even = np.full(photographs, 1 / photographs)
    return [np.ones(photographs), *random.multinomial(photographs, even, _RESAMPLES)]


def bytes_at(curve: list[Point], level: float, weights: np.ndarray) -> float:
    """Bytes at a level of agreement, by a line between logarithms of bytes; NaN outside the curve."""
    size, same = np.array([point.at(weights) for point in curve]).T
    same = np.maximum.accumulate(same)
    if not same[0] <= level <= same[-1]:
        return float("nan")
    return float(np.exp(np.interp(level, same, np.log(size))))


def _span(values: list[float], digits: int) -> str:
    if np.isnan(values[0]):
        return "-"
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return f"{values[0]:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def tables(curve_points: list[Point]) -> str:
    """Every point, then bytes at three levels."""
    weights = draws(len(curve_points[0].sums))
    crops = int(curve_points[0].sums[:, 0].sum())
    text = f"\n{crops} crops of {len(curve_points[0].sums)} photographs; 95 % intervals over photographs.\n\n"
    text += "| model | bytes | top-1 agreement in percent |\n|---|---|---|\n"
    for point in curve_points:
        values = [point.at(w) for w in weights]
        size, same = ([v[i] for v in values] for i in (0, 1))
        text += f"| `{point.model}` | {_span(size, 0)} | {_span(same, 1)} |\n"
    heads = [f"bytes at {level} %" for level in LEVELS]
    text += "\n| system | " + " | ".join(heads) + " |\n" + "|---" * (len(LEVELS) + 1) + "|\n"
    for system, (name, _, _) in _SYSTEMS.items():
        curve = [p for p in curve_points if p.system == system]
        cells = [_span([bytes_at(curve, level, w) for w in weights], 0) for level in LEVELS]
        text += f"| {name} | " + " | ".join(cells) + " |\n"
    return text + "\n"


def draw(curve_points: list[Point], path: Path) -> None:
    """Agreement over bytes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "splitwatt"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    weights = draws(len(curve_points[0].sums))
    for system, (name, colour, marker) in _SYSTEMS.items():
        values = np.array([[p.at(w) for w in weights] for p in curve_points if p.system == system])
        size, same = values[:, 0, 0], values[:, 0, 1]
        low, high = np.percentile(values[:, :, 1], [2.5, 97.5], axis=1)
        axes.fill_between(size, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(size, same, color=colour, marker=marker, markersize=5)
        axes.annotate(name, (size[-1], same[-1]), textcoords="offset points", xytext=(8, -3))
    axes.set(
        xscale="log", xlabel="bytes an image", ylabel="top-1 agreement with the local model [%]"
    )
    ticks = [500, 1000, 2000, 5000, 10000, 20000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def made(training: dict[str, Any]) -> str:
    """How the weights in the repository were made, as their training.json says."""
    return (
        f"The weights in the repository are those of `{training['command']}`: "
        f"{training['iterations']:,} iterations of 20 crops\nwith seed {training['seed']}, in "
        f"{training['minutes']:.0f} minutes on {training['machine']}.\n"
        "`export/weights/trained/training.json` records the same.\n"
    )


def _filled(text: str, marks: str, content: str) -> str:
    between = rf"(?s)(<!-- {marks} -->\n).*?(<!-- end of {marks} -->)"
    return re.sub(between, lambda pair: pair.group(1) + content + pair.group(2), text)


def main() -> None:
    """Write both."""
    curve_points = points(Path(sys.argv[1]))
    text = _filled(PAGE.read_text(), "rows", tables(curve_points))
    PAGE.write_text(_filled(text, "making", made(json.loads(TRAINING.read_text()))))
    draw(curve_points, FIGURE)


if __name__ == "__main__":
    main()
