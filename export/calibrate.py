"""Entropy tables refitted to a deployment's own images, without retraining anything.

A factorized prior codes every place of a channel under one distribution, which training fitted to
its images. Other images have other latents; counting them gives tables that cost fewer bits.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from splitwatt.device_configs.errors import ExportError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.bundle.model_name import FP32
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.engines.rangecoder.tables import TOTAL
from splitwatt.engines.verify.samples import make_samples, write_manifest
from splitwatt.export.precision.bundle import state_trials
from splitwatt.export.replacing import check_place, link_files, replacing
from splitwatt.export.tracing.in_graph import add_coder
from splitwatt.export.tracing.pieces import write_tables

# One of this many images is held out, to measure the tables on images that they were not fitted to.
HOLD_OUT_EVERY = 5
MIN_IMAGES = 5
# The old tables count as this many symbols per channel; one image has some 8,000.
_PRIOR_SYMBOLS = 500.0
# Longer tables are too long for the coder's fast path; other symbols are escaped.
_MAX_LENGTH = 128
_LARGEST_SYMBOL = 4096
# How many more symbols a new table has than were seen, on each side.
_MARGIN = 4


def calibrate(
    bundle: Bundle, images: Sequence[str], out: Path, advance: Callable[[], None]
) -> tuple[int, int, int]:
    """Write a copy of a bundle whose tables are fitted to images.

    Args:
        bundle: a split model with a factorized prior, opened with all its parts.
        images: paths, at least `MIN_IMAGES`.
        out: the new bundle's folder.
        advance: called after each image.

    Returns:
        The number of held-out images, and their bytes under the old and the new tables.

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
    if out.resolve() == Path(bundle.path).resolve():
        raise UsageError("--out is the bundle itself", "give another folder")
    check_place(out)
    old = Tables.load(str(Path(bundle.path) / spec.tables[0].file))
    with BoardPipeline(bundle) as board:
        fitted, held_out = _latents(board, images, old, advance)
    tables = refit(old, fitted)
    before, after = (
        sum(len(RangeCoder(one).encode(latent)[0]) for latent in held_out) for one in (old, tables)
    )
    note = (
        f"tables refitted to {len(images)} images: {100 * (1 - after / before):.2f} % fewer bytes for "
        f"{len(held_out)} of them that were held out"
    )
    _write(bundle, spec, tables, note, out)
    return len(held_out), before, after


def refit(old: Tables, counts: Sequence[Mapping[int, int]]) -> Tables:
    """Tables fitted to `counts`, which has symbol -> how often for each channel."""
    rows = [_weights(old, channel, count) for channel, count in enumerate(counts)]
    return _tables(rows, old.medians)


def fit_tables(latents: Sequence[np.ndarray]) -> Tables:
    """A table for each channel, fitted to the rounded values of latents (1, C, H, W).

    Raises:
        ExportError: values too far apart for tables of 16 bits.
    """
    rows = []
    for channel in range(latents[0].shape[1]):
        symbols = np.concatenate([np.rint(x[0, channel]).ravel() for x in latents])
        if not np.isfinite(symbols).all() or np.abs(symbols).max() > _LARGEST_SYMBOL:
            raise ExportError(
                f"channel {channel} of the latent reaches {np.abs(symbols).max():.3g}",
                f"scale the encoder's output: whole numbers up to {_LARGEST_SYMBOL} can be coded",
            )
        low = int(symbols.min()) - _MARGIN
        counts = np.bincount((symbols - low).astype(np.int64))
        rows.append((low, np.pad(counts, (0, _MARGIN + 1)) + 0.5))
    return _tables(rows)


def _tables(rows: Sequence[tuple[int, np.ndarray]], medians: np.ndarray | None = None) -> Tables:
    """Tables of a first symbol and weights for each channel; the last weight is the escape's.

    Every symbol keeps at least one part of the table.
    """
    lengths = [len(weights) + 1 for _, weights in rows]
    cdf = np.zeros((len(rows), max(lengths)), np.int32)
    for own, (_, weights) in zip(cdf, rows, strict=True):
        share = weights / weights.sum()
        width = 1 + np.floor(share * (TOTAL - len(share))).astype(np.int64)
        width[int(width.argmax())] += TOTAL - int(width.sum())
        own[1 : len(width) + 1] = np.cumsum(width)
    return Tables(cdf, np.array(lengths), np.array([first for first, _ in rows]), medians)


def _latents(
    board: BoardPipeline, images: Sequence[str], old: Tables, advance: Callable[[], None]
) -> tuple[list[Counter[int]], list[np.ndarray]]:
    """The symbol counts of the images to fit to, and the latents of the held-out ones."""
    counts: list[Counter[int]] = [Counter() for _ in range(old.count)]
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
                own.update(dict(zip(distinct.tolist(), times.tolist(), strict=True)))
        advance()
    return counts, held_out


def _weights(old: Tables, channel: int, counts: Mapping[int, int]) -> tuple[int, np.ndarray]:
    """The first symbol, and the weights of it and the next ones; the escape's is last."""
    last = int(old.cdf_length[channel]) - 2
    prior = _PRIOR_SYMBOLS / TOTAL * np.diff(old.cdf[channel][: last + 2])
    first = int(old.offset[channel])
    low, high = min([first, *counts]), max([first + last - 1, *counts])
    weight = np.zeros(high - low + 1)
    weight[first - low : first - low + last] = prior[:last]
    for symbol, count in counts.items():
        weight[symbol - low] += count
    start, end = 0, len(weight)
    while end - start > max(_MAX_LENGTH - 2, last):
        if weight[start] <= weight[end - 1]:
            start += 1
        else:
            end -= 1
    escaped = prior[last] + weight[:start].sum() + weight[end:].sum()
    return low + start, np.append(weight[start:end], escaped)


def _write(bundle: Bundle, spec: CodecSpec, tables: Tables, note: str, out: Path) -> None:
    with replacing(out) as folder:
        # Only the bundle's files: a link in its folder may lead anywhere.
        link_files(Path(bundle.path), bundle.files(), folder)
        file = folder / spec.tables[0].file
        before = file.stat().st_size
        entry = write_tables(file, tables)
        manifest = bundle.manifest
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        photos = [sample.photo for sample in bundle.samples()]
        size = manifest.encoder_size_bytes
        if size is not None:
            size = size._replace(deployed=size.deployed + file.stat().st_size - before)
        in_graph = any(part.with_coder is not None for part in manifest.parts)
        manifest = manifest._replace(
            parts=[part._replace(with_coder=None) for part in manifest.parts],
            encoder_size_bytes=size,
            codec=spec._replace(tables=[entry]),
            weights=manifest.weights._replace(notes=[*manifest.weights.notes, note]),
            samples=[],
            made={**manifest.made, "calibrated": stamp},
        )
        write_manifest(str(folder), manifest)
        made_again = make_samples(str(folder), photos)
        if manifest.rounding and manifest.precision == FP32:
            made_again = state_trials(Bundle.open(str(folder)), photos)
        if in_graph:
            add_coder(folder, made_again)
