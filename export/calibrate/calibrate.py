"""Entropy tables refitted to a deployment's own images, without retraining anything.

A factorized prior codes every place of a channel under one distribution, which training fitted to
its images. Other images have other latents; counting them gives tables that cost fewer bits.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitwatt.device_configs.errors import ExportError, UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.arrays import unpacked_bytes
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import CodecSpec, TablesFile
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.engines.rangecoder.tables import PRECISION, TOTAL
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.precision.bundle import state_trials
from splitwatt.export.replacing import check_place, replacing
from splitwatt.export.tracing.in_graph import add_coder

# One of this many images is held out, to measure the tables on images that they were not fitted to.
HOLD_OUT_EVERY = 5
MIN_IMAGES = 5
# The old tables count as this many symbols per channel; one image has some 8,000.
_PRIOR_SYMBOLS = 500.0
# Longer tables are too long for the coder's fast path; other symbols are escaped.
_MAX_LENGTH = 128
_RESAMPLES = 2000


@dataclass(frozen=True)
class Saving:
    """Bytes of each held-out image before and after; the saving in percent with its interval.

    low, high: the ends of the 95 % bootstrap interval over images; None for a single image.
    """

    before_bytes: tuple[int, ...]
    after_bytes: tuple[int, ...]
    percent: float
    low: float | None
    high: float | None


def calibrate(
    bundle: Bundle, images: Sequence[str], out: Path, advance: Callable[[], None]
) -> Saving:
    """Write a copy of a bundle whose tables are fitted to images; returns what that saves.

    Args:
        bundle: a split model with a factorized prior, opened with all its parts.
        images: paths, at least `MIN_IMAGES`.
        out: the new bundle's folder.
        advance: called after each image.

    Raises:
        UsageError: too few images, another kind of model, or `out` holds something else.
        ImageError, EngineError: as the pipeline raises them.
    """
    spec = bundle.manifest.codec
    if spec is None or spec.kind != "rangecoder":
        raise UsageError(
            f"{bundle.manifest.model} has no factorized prior to refit",
            "calibrate is for models with one entropy table per channel of the latent",
        )
    if len(images) < MIN_IMAGES:
        raise UsageError(
            f"{len(images)} images are too few to fit tables and to check them",
            f"give at least {MIN_IMAGES}, better some hundreds",
        )
    check_place(out)
    with BoardPipeline(bundle) as board:
        old = Tables.load(str(Path(bundle.path) / spec.tables[0].file))
        fitted, held_out = _latents(board, images, old, advance)
    tables = refit(old, fitted)
    saving = _saving(old, tables, held_out)
    _write(bundle, spec, tables, saving, len(images), out)
    return saving


def refit(old: Tables, counts: Sequence[dict[int, int]]) -> Tables:
    """Tables fitted to `counts`, which has symbol -> how often for each channel."""
    rows, lengths, offsets = [], [], []
    for channel, histogram in enumerate(counts):
        offset, pmf = _distribution(old, channel, histogram)
        cdf = _quantised(pmf)
        rows.append(cdf)
        lengths.append(len(cdf))
        offsets.append(offset)
    cdfs = np.zeros((len(rows), max(lengths)), np.int32)
    for row, cdf in zip(cdfs, rows, strict=True):
        row[: len(cdf)] = cdf
    return Tables(cdfs, np.array(lengths), np.array(offsets), old.medians)


def _latents(
    board: BoardPipeline, images: Sequence[str], old: Tables, advance: Callable[[], None]
) -> tuple[list[dict[int, int]], list[np.ndarray]]:
    """The symbol counts of the images to fit to, and the latents of the held-out ones."""
    counts: list[dict[int, int]] = [{} for _ in range(old.count)]
    held_out = []
    for index, path in enumerate(images):
        request = board.run(decode_image(path))
        input_size = (int(request.sizes[4]), int(request.sizes[5]))
        latent = board.codec.decode(request.payload, input_size)["latent"]
        if index % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1:
            held_out.append(latent)
        else:
            symbols = np.rint(latent[0] - old.medians.reshape(-1, 1, 1)).astype(np.int64)
            for own, values in zip(counts, symbols, strict=True):
                distinct, times = np.unique(values, return_counts=True)
                for symbol, count in zip(distinct.tolist(), times.tolist(), strict=True):
                    own[symbol] = own.get(symbol, 0) + count
        advance()
    return counts, held_out


def _distribution(old: Tables, channel: int, counts: dict[int, int]) -> tuple[int, list[float]]:
    """The first symbol, and the probabilities of it and the next ones; the escape's is last."""
    last = int(old.cdf_length[channel]) - 2
    prior = np.diff(old.cdf[channel][: last + 2].astype(np.float64)) / TOTAL
    first = int(old.offset[channel])
    low, high = min([first, *counts]), max([first + last - 1, *counts])
    weight = np.zeros(high - low + 1)
    weight[first - low : first - low + last] = _PRIOR_SYMBOLS * prior[:last]
    escaped = _PRIOR_SYMBOLS * prior[last]
    for symbol, count in counts.items():
        weight[symbol - low] += count
    low, weight, outside = _trimmed(low, weight, max(_MAX_LENGTH, last + 2) - 2)
    total = weight.sum() + escaped + outside
    return low, [*(weight / total).tolist(), float((escaped + outside) / total)]


def _trimmed(low: int, weight: np.ndarray, most: int) -> tuple[int, np.ndarray, float]:
    """At most `most` entries without the lightest ends; also returns the weight of what was cut."""
    outside = 0.0
    start, end = 0, len(weight)
    while end - start > most:
        if weight[start] <= weight[end - 1]:
            outside += weight[start]
            start += 1
        else:
            end -= 1
            outside += weight[end]
    return low + start, weight[start:end], outside


def _quantised(pmf: list[float]) -> list[int]:
    """CompressAI's own quantisation: every symbol keeps at least one of 65536 parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings while packages are imported
        from compressai._CXX import pmf_to_quantized_cdf

    return list(pmf_to_quantized_cdf(pmf, PRECISION))


def _saving(old: Tables, new: Tables, latents: Sequence[np.ndarray]) -> Saving:
    coders = (RangeCoder(old), RangeCoder(new))
    sizes = np.array([[len(coder.encode(latent)[0]) for coder in coders] for latent in latents])
    totals = sizes.sum(0)
    percent = 100.0 * (1 - totals[1] / totals[0])
    low = high = None
    if len(sizes) > 1:
        random = np.random.default_rng(2025)
        drawn = sizes[random.integers(0, len(sizes), (_RESAMPLES, len(sizes)))].sum(1)
        low, high = np.percentile(100.0 * (1 - drawn[:, 1] / drawn[:, 0]), [2.5, 97.5]).tolist()
    before, after = (tuple(int(size) for size in column) for column in sizes.T)
    return Saving(before, after, float(percent), low, high)


def _write(
    bundle: Bundle, spec: CodecSpec, tables: Tables, saving: Saving, images: int, out: Path
) -> None:
    if out.resolve() == Path(bundle.path).resolve():
        raise UsageError("--out is the bundle itself", "give another folder")
    with replacing(out) as folder:
        # Only the bundle's files: a link in its folder may lead anywhere.
        for name in bundle.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(bundle.path) / name, folder / name)
        file = spec.tables[0].file
        tables.save(str(folder / file))
        entry = TablesFile(
            file, sha256_file(str(folder / file)), tables.id, unpacked_bytes(str(folder / file))
        )
        manifest = bundle.manifest
        note = (
            f"tables refitted to {images} images: {saving.percent:.2f} % fewer bytes for "
            f"{len(saving.before_bytes)} of them that were held out"
        )
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        made: dict[str, Any] = {**manifest.made, "calibrated": stamp}
        photos = [sample.photo for sample in bundle.samples()]
        size = manifest.encoder_size_bytes
        if size is not None:
            longer = (folder / file).stat().st_size - (Path(bundle.path) / file).stat().st_size
            size = size._replace(deployed=size.deployed + longer)
        in_graph = any(part.with_coder is not None for part in manifest.parts)
        manifest = manifest._replace(
            parts=[part._replace(with_coder=None) for part in manifest.parts],
            encoder_size_bytes=size,
            codec=spec._replace(tables=[entry]),
            weights=manifest.weights._replace(notes=[*manifest.weights.notes, note]),
            samples=[],
            made=made,
        )
        write_manifest(str(folder), manifest)
        made_again = make_samples(str(folder), photos)
        if manifest.rounding and manifest.precision == FP32:
            made_again = state_trials(Bundle.open(str(folder)), photos)
        if in_graph:
            made_again = add_coder(folder, made_again)
        if made_again.codec is None or made_again.codec.tables[0].id != tables.id:
            raise ExportError(f"{out} does not have the fitted tables", "try again")
