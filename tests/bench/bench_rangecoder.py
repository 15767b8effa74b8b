"""The range coder against CompressAI, constriction and the limit of the memory.

    python -m tests.bench.bench_rangecoder [OUTPUT.json]

One thread; every contender in turn in one process, in processor time, so that a busy machine does
not stretch the long calls more than the short. $SPLITWATT_HTSCODECS names a shared library of
htscodecs, to stand beside.
"""

import ctypes
import json
import math
import os
import statistics
import sys
import time
import warnings
from typing import Any, Callable

import numpy as np

from splitwatt.device_configs.files import write_atomic
from splitwatt.engines.rangecoder import RangeCoder, Tables, native
from splitwatt.engines.rangecoder.tables import TOTAL
from tests.bench.measure import publish

CHANNELS = 24
LARGE, SMALL = (199, 303), (55, 55)
RATES = {3.5: 2.75, 0.8: 0.35}  # bits a symbol, and the spread of a latent that takes them


def side_by_side(contenders: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median processor seconds of one call of each contender, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, call in contenders.items():
            start = time.thread_time()
            call()
            times[name].append(time.thread_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def fitted(shape: tuple[int, int], spread: float, seed: int = 0) -> tuple[np.ndarray, Tables]:
    """A Gaussian latent (1, 24, H, W) and tables fitted to it, channel by channel."""
    rng = np.random.RandomState(seed)
    medians = rng.uniform(-0.5, 0.5, CHANNELS).astype(np.float32)
    spreads = spread * np.exp(rng.randn(CHANNELS) * 0.15)
    noise = rng.randn(1, CHANNELS, *shape) * spreads.reshape(1, -1, 1, 1)
    latent = (noise + medians.reshape(1, -1, 1, 1)).astype(np.float32)
    rows, offsets = [], []
    for channel in range(CHANNELS):
        symbols = np.rint(latent[0, channel] - medians[channel]).astype(int).ravel()
        counts = np.bincount(symbols - symbols.min())
        freqs = np.maximum(1, np.round(np.append(counts / symbols.size, 0) * TOTAL)).astype(int)
        while freqs.sum() != TOTAL:
            freqs[freqs.argmax()] += TOTAL - freqs.sum()
        rows.append(np.append(0, np.cumsum(freqs)))
        offsets.append(symbols.min())
    lengths = [len(row) for row in rows]
    cdf = np.zeros((CHANNELS, max(lengths)), np.int32)
    for row, values in zip(cdf, rows, strict=True):
        row[: len(values)] = values
    return latent, Tables(cdf, lengths, offsets, medians)


def entropy_bytes(latent: np.ndarray, tables: Tables) -> float:
    """What the symbols take under the 16-bit tables."""
    bits = 0.0
    for channel in range(CHANNELS):
        freqs = np.diff(tables.cdf[channel, : tables.cdf_length[channel]])
        symbols = np.rint(latent[:, channel] - tables.medians[channel]).astype(int).ravel()
        bits -= float(np.log2(freqs[symbols - tables.offset[channel]] / TOTAL).sum())
    return bits / 8


def compressai_model(tables: Tables) -> Any:
    """An EntropyBottleneck that holds `tables`."""
    import torch
    from compressai.entropy_models import EntropyBottleneck

    torch.set_num_threads(1)
    model = EntropyBottleneck(CHANNELS).eval()
    model._quantized_cdf = torch.from_numpy(tables.cdf.copy())
    model._cdf_length = torch.from_numpy(tables.cdf_length.copy())
    model._offset = torch.from_numpy(tables.offset.copy())
    model.quantiles.data[:, 0, 1] = torch.from_numpy(tables.medians.copy())
    return model


def compressai_contenders(latent: np.ndarray, tables: Tables) -> dict[str, Callable[[], Any]]:
    """CompressAI whole, and its C++ coder called with lists made beforehand."""
    import torch

    model, tensor = compressai_model(tables), torch.from_numpy(latent)
    shape = torch.Size(latent.shape[2:])
    strings = model.compress(tensor)
    symbols = np.rint(latent - tables.medians.reshape(1, -1, 1, 1)).astype(int).ravel().tolist()
    indexes = np.repeat(np.arange(CHANNELS), latent[0, 0].size).tolist()
    arguments = (tables.cdf.tolist(), tables.cdf_length.tolist(), tables.offset.tolist())
    coder = model.entropy_coder
    return {
        "CompressAI encode": lambda: model.compress(tensor),
        "CompressAI decode": lambda: model.decompress(strings, shape),
        "CompressAI's C++ encode": lambda: coder.encode_with_indexes(symbols, indexes, *arguments),
        "CompressAI's C++ decode": lambda: coder.decode_with_indexes(
            strings[0], indexes, *arguments
        ),
    }


def constriction_contenders(latent: np.ndarray, tables: Tables) -> dict[str, Callable[[], Any]]:
    """constriction's ANS coder with a categorical model a channel."""
    try:
        import constriction
    except ImportError:
        return {}
    models, rows = [], []
    for channel in range(CHANNELS):
        freqs = np.diff(tables.cdf[channel, : tables.cdf_length[channel]]) / TOTAL
        models.append(
            constriction.stream.model.Categorical(freqs.astype(np.float32), perfect=False)
        )
        symbols = np.rint(latent[0, channel] - tables.medians[channel]).ravel()
        rows.append((symbols - tables.offset[channel]).astype(np.int32))

    def encode() -> np.ndarray:
        coder = constriction.stream.stack.AnsCoder()
        for row, model in zip(rows[::-1], models[::-1], strict=True):
            coder.encode_reverse(row, model)
        return coder.get_compressed()

    words = encode()

    def decode() -> None:
        coder = constriction.stream.stack.AnsCoder(words)
        for row, model in zip(rows, models, strict=True):
            coder.decode(model, row.size)

    return {"constriction encode": encode, "constriction decode": decode}


def htscodecs_contenders(latent: np.ndarray, tables: Tables) -> dict[str, Callable[[], Any]]:
    """htscodecs' rANS 32x16, of order 0: one 12-bit table, its counting and table included."""
    path = os.environ.get("SPLITWATT_HTSCODECS")
    if not path:
        return {}
    library = ctypes.CDLL(path)
    symbols = np.rint(latent - tables.medians.reshape(1, -1, 1, 1)).astype(int).ravel()
    data = (symbols - symbols.min()).astype(np.uint8)
    packed, unpacked = np.empty(2 * data.size + 65536, np.uint8), np.empty_like(data)
    size = ctypes.c_uint(packed.size)

    def call(name: str, source: np.ndarray, count: int, target: np.ndarray, *order: int) -> int:
        size.value = target.size
        function = getattr(library, name)
        function.restype = ctypes.c_void_p
        done = function(
            ctypes.c_void_p(source.ctypes.data), count, ctypes.c_void_p(target.ctypes.data),
            ctypes.byref(size), *order,
        )  # fmt: skip
        if not done:
            raise RuntimeError(name)
        return size.value

    length = call("rans_compress_to_4x16", data, data.size, packed, 4)
    call("rans_uncompress_to_4x16", packed, length, unpacked)
    if not np.array_equal(unpacked, data):
        raise RuntimeError("htscodecs does not return what it was given")
    return {
        "htscodecs 32x16 encode": lambda: call("rans_compress_to_4x16", data, data.size, packed, 4),
        "htscodecs 32x16 decode": lambda: call("rans_uncompress_to_4x16", packed, length, unpacked),
    }


def our_contenders(latent: np.ndarray, tables: Tables) -> dict[str, Callable[[], Any]]:
    """Every path of the library, through Python."""
    contenders: dict[str, Callable[[], Any]] = {}
    for path in native.library().paths:
        coder = RangeCoder(tables, path=path)
        strings = coder.encode(latent)
        shape = latent.shape[2:]
        contenders[path + " encode"] = lambda coder=coder: coder.encode(latent)
        contenders[path + " decode"] = lambda coder=coder, s=strings, h=shape: coder.decode(s, h)
    return contenders


def bandwidth() -> float:
    """Bytes a second that one thread copies, read and written, in memory beyond the caches."""
    source, target = np.ones(16 << 20, np.float64), np.zeros(16 << 20, np.float64)
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def coder_figures(rate: float, shape: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Seconds of every contender, and the string's size, for one latent."""
    latent, tables = fitted(shape, RATES[rate])
    contenders = our_contenders(latent, tables)
    if shape == LARGE:
        contenders.update(compressai_contenders(latent, tables))
        contenders.update(constriction_contenders(latent, tables))
        contenders.update(htscodecs_contenders(latent, tables))
    times = side_by_side(contenders, seconds)
    string = RangeCoder(tables).encode(latent)[0]
    entropy = entropy_bytes(latent, tables)
    return {
        "latent": [CHANNELS, *shape],
        "symbols": latent.size,
        "bits_per_symbol": 8 * entropy / latent.size,
        "string_bytes": len(string),
        "entropy_bytes": entropy,
        "seconds": times,
    }


def speed_rows(figures: dict[str, Any], copied: float) -> list[list[str]]:
    """A row a contender: speed both ways, its multiple of CompressAI, its share of the limit."""
    times, symbols = figures["seconds"], figures["symbols"]
    moved = symbols * 4 + figures["string_bytes"]
    rows = []
    for name in dict.fromkeys(name.rsplit(" ", 1)[0] for name in times):
        row = ["%.2f" % figures["bits_per_symbol"], name]
        for way in ("encode", "decode"):
            taken = times["%s %s" % (name, way)]
            base = times.get("CompressAI " + way, math.nan)
            row += ["%.0f" % (symbols / taken / 1e6), "%.1f" % (base / taken)]
            row.append("%.0f %%" % (100 * moved / taken / copied))
        rows.append(row)
    return rows


def goal_rows(
    large: list[dict[str, Any]], small: list[dict[str, Any]], whole: dict[str, float]
) -> list[list[str]]:
    """What the coder sets out to be, and what it is here; the worse of the two rates."""
    best = native.library().best

    def times_faster(ours: str, theirs: str, way: str) -> str:
        ratios = [
            figure["seconds"].get("%s %s" % (theirs, way), math.nan)
            / figure["seconds"].get("%s %s" % (ours, way), math.nan)
            for figure in large
        ]
        return "%.1fx" % min(ratios)

    rows = []
    for theirs, ours, wanted in (
        ("CompressAI", best, ("60x", "40x")),
        ("constriction", best, ("10x", "10x")),
        ("CompressAI's C++", "scalar", ("4x", "4x")),
        ("htscodecs 32x16", best, ("1x", "stated")),
    ):
        for way, goal in zip(("encode", "decode"), wanted, strict=True):
            rows.append(["%s %s over %s" % (ours, way, theirs), goal])
            rows[-1].append(times_faster(ours, theirs, way))
    slowest = max(figure["seconds"][best + " encode"] for figure in small)
    rows.append(["24x55x55, call to bytes", "80 us", "%.0f us" % (1e6 * slowest)])
    ratio = whole["sc2bench"] / whole["ours"]
    rows.append(["image tensor to bytes, over sc2bench", "2.7x", "%.1fx" % ratio])
    return rows


def whole_way() -> dict[str, float]:
    """Seconds from an image tensor to bytes: sc2bench in PyTorch, and our parts, same weights."""
    import onnxruntime
    import torch
    from sc2bench.models.layer import FPBasedResNetBottleneck

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = FPBasedResNetBottleneck(num_bottleneck_channels=CHANNELS).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        for module in model.encoder.modules():  # a latent of real spread, not of fresh weights
            if isinstance(module, torch.nn.Conv2d):
                module.weight.data *= 1.5
        model.update(force=True)
        spread = model.encoder(image).std()
        model.encoder[-1].weight.data *= 3.0 / spread
    folder = os.path.join("build", "bench")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "encoder.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.encoder, (image,), path, opset_version=13, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    coder = RangeCoder(Tables.from_compressai(model.entropy_bottleneck))
    array = image.numpy()

    def theirs() -> Any:
        with torch.inference_mode():
            return model.encode(image)

    return side_by_side(
        {"sc2bench": theirs, "ours": lambda: coder.encode(session.run(None, {name: array})[0])}, 4.0
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, write."""
    copied = bandwidth()
    figures = [coder_figures(rate, LARGE, 12.0) for rate in RATES]
    small = [coder_figures(rate, SMALL, 1.0) for rate in RATES]
    whole = whole_way()
    data = {"bandwidth_bytes_s": copied, "large": figures, "small": small, "whole_way": whole}
    title = "Range coder: latent 24x199x303, one thread, through Python (copying: %.1f GB/s)"
    columns = ["bits", "coder", "encode Msym/s", "x CompressAI", "of the memory's limit"]
    columns += ["decode Msym/s", "x CompressAI", "of the memory's limit"]
    rows = [row for figure in figures for row in speed_rows(figure, copied)]
    publish("rangecoder", title % (copied / 1e9), columns, rows, data)
    rows = []
    for figure in figures + small:
        best = native.library().best
        extra = figure["string_bytes"] - figure["entropy_bytes"]
        rows.append(
            ["x".join(map(str, figure["latent"])), "%.2f" % figure["bits_per_symbol"]]
            + ["%d" % figure["string_bytes"], "%.1f" % extra]
            + ["%.0f" % (48 + 0.0002 * figure["entropy_bytes"])]
            + ["%.1f" % (1e6 * figure["seconds"]["%s %s" % (best, way)])
               for way in ("encode", "decode")]
        )  # fmt: skip
    columns = ["latent", "bits", "bytes", "beyond the entropy", "allowed", "encode us", "decode us"]
    publish(
        "rangecoder-sizes", "Range coder: bytes, and time from call to bytes", columns, rows, data
    )
    faster = whole["sc2bench"] / whole["ours"]
    rows = [["%.2f" % (1e3 * whole["sc2bench"]), "%.2f" % (1e3 * whole["ours"]), "%.1f" % faster]]
    columns = ["sc2bench ms", "onnxruntime + range coder ms", "x faster"]
    publish("rangecoder-whole", "Image tensor 3x224x224 to bytes, one thread", columns, rows, data)
    rows = goal_rows(figures, small, whole)
    publish("rangecoder-goals", "Range coder: goals", ["what", "wanted", "here"], rows, data)
    if arguments:
        write_atomic(arguments[0], json.dumps(data, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
