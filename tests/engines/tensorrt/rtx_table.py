"""What NVIDIA's parser and builder say to every part of every model, as the tables of docs/compatibility.md.

    python -m tests.engines.tensorrt.rtx_table [MODEL or BUNDLE...] [--precisions fp32,int8] [--again] [--write]

Models get random weights and are traced without the comparisons of an export; without names every
model of the zoo at its first rate point. Every part is fitted to every group of targets that have the same
operator tables, as `splitwatt export` fits it. Each piece that TensorRT runs there goes through the
product's own profile, parser and builder, in TensorRT for RTX, for SM 8.6 and without a GPU. Stand-in plugins,
which compute nothing, take the place of NonMaxSuppression, NonZero and RoiAlign. fp16 and int8 are the
board's parts in them, where the targets have them (int8 calibrated on one photograph); in-graph is the
encoder with the range coder's plugin in it, where TensorRT's public headers are (SPLITWATT_TENSORRT_HEADERS).

A graph is built once: its hash covers operators, attributes, types, shapes and the range of its inputs, not
the values of weights, and one that is in the page's table already is taken from there, but with --again.

Prints the rows as they are made; --write also puts them into the page, after each model.
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import onnx
import torch

from splitwatt.device_configs.targets import known_targets, load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.rangecoder.graph import LATENT
from splitwatt.engines.tensorrt import plugin, rtx
from splitwatt.engines.tensorrt.building import builder
from splitwatt.engines.tensorrt.log import make_logger
from splitwatt.engines.tensorrt.shapes import image_range, profile_of
from splitwatt.engines.verify.samples import write_manifest
from splitwatt.export import exporter, zoo
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fit import Fitted, fit, tables_of
from splitwatt.export.compat.tables import load_table
from splitwatt.export.precision.error import Board
from splitwatt.export.precision.graph import to_fp16, to_int8
from splitwatt.export.precision.int8_images import calibration_images
from splitwatt.export.request import Request
from splitwatt.export.tracing.in_graph import append_encoder, packs
from splitwatt.export.tracing.photos import samples
from splitwatt.export.tracing.pieces import ports_of
from tests.conftest import ROOT
from tests.engines.tensorrt.rtx import newest_headers, plugin_library, register_stand_ins, stood_in

PAGE = ROOT / "docs" / "compatibility.md"
START, END = "<!-- table of tensorrt-rtx", "<!-- end of the table -->"
# A group's name -> the target that stands for it: those whose operator tables are the same.
GROUPS = {"8.2": "nano", "8.5": "xavier_nx", "10.1": "orin_nano", "10.1 and RTX": "laptop"}
VERSIONS = ("8.2", "8.5", "8.6", "10.1")
COLUMNS = ("model", "part", "targets of", "precision", "parsed", "built", "layers", "stand-ins", "seconds",
           "8.2, 8.5, 8.6, 10.1 take it", "graph")  # fmt: skip
SHARE_COLUMNS = ("GMAC in TensorRT", *GROUPS)


class Row(NamedTuple):
    """A line of the table, as texts."""

    model: str
    part: str
    group: str
    precision: str
    parsed: str
    built: str
    layers: str
    stand_ins: str
    seconds: str
    taken: str
    graph: str

    def line(self) -> str:
        return "| " + " | ".join(self) + " |"


def groups() -> dict[str, list[str]]:
    """Every target with TensorRT, by the group that it belongs to.

    Raises:
        AssertionError: a target's tables are those of no group.
    """
    tables = {tuple(sorted(load_target(name).operators.items())): group
              for group, name in GROUPS.items()}  # fmt: skip
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in known_targets():
        operators = load_target(name).operators
        if operators.get("tensorrt"):
            # onnxruntime's table decides nothing that TensorRT runs.
            same = [group for key, group in tables.items()
                    if {k: v for k, v in key if k != "onnxruntime"}
                    == {k: v for k, v in operators.items() if k != "onnxruntime"}]  # fmt: skip
            assert same, f"{name}: no group has its operator tables"
            found[same[0]].append(name)
    return found


def structure(model: onnx.ModelProto) -> str:
    """16 hex digits of a graph without the values of its weights and of the coder's tables.

    Integers of 32 and 64 bits and booleans count by value, for they are shapes, indices and axes.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    by_value = (onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL)

    def strip(tensor: onnx.TensorProto) -> None:
        if tensor.data_type not in by_value:
            kept = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            tensor.CopyFrom(kept)

    for tensor in bare.graph.initializer:
        strip(tensor)
    for node in bare.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                strip(attribute.t)
            if node.op_type in plugin.OPERATORS:
                counts = [len(attribute.ints), len(attribute.floats)]
                attribute.ClearField("ints")
                attribute.ClearField("floats")
                attribute.ints.extend(counts)
    bare.ClearField("doc_string")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()[:16]


def trace(name: str, folder: Path) -> Bundle:
    """A model's bundle for `cpu` with random weights, without what an export proves of it."""
    system, rate = zoo.find(name)
    cpu = load_target("cpu")
    request = Request(name, system, rate, cpu, cpu, None, folder)
    with torch.no_grad():
        work = exporter.Work(request, folder, samples(system.preprocess)[:1])
        for part in work.network.parts():
            work.add(part)
        manifest = work.manifest()
    write_manifest(str(folder), manifest)
    return Bundle.open(str(folder))


class Fits:
    """A whole bundle with its parts fitted to one target: what is to be built, and the share of GMAC."""

    def __init__(self, bundle: Bundle, target: str) -> None:
        self.bundle = bundle
        self.target = load_target(target)
        self.fitted = [(part, self._fit(part)) for part in self.bundle.manifest.parts
                       if part.placement != "both"]  # fmt: skip

    def _fit(self, part: Part) -> Fitted:
        model = onnx.load(self.bundle.part_path(part.name))
        return fit(model, part.name, self.target, part.gmac_at)

    def share(self) -> float:
        """Percent of the multiply-accumulates that TensorRT runs; of a cut part as its report says."""
        total = on_tensorrt = 0.0
        for part, fitted in self.fitted:
            cut = fitted.report.cut
            if cut is not None and cut.macs_total:
                own = (cut.macs_before or 0) / cut.macs_total
            else:
                own = float(fitted.report.on_tensorrt == "whole")
            total += part.gmac
            on_tensorrt += part.gmac * own
        return 100 * on_tensorrt / total if total else 100.0

    def pieces(self, precisions: list[str]) -> Iterator[tuple[Part, Bundle, str, onnx.ModelProto]]:
        """(part, the fitted bundle, precision, graph) of each piece for TensorRT."""
        with tempfile.TemporaryDirectory() as folder:
            bundle = self._written(Path(folder))
            for part in bundle.manifest.parts:
                if part.runtime != "tensorrt" or part.placement == "both":
                    continue
                for precision in precisions:
                    if precision == "fp32" or (
                        part.placement == "board" and precision in self.target.precisions
                    ):
                        model = self._in_precision(bundle, part, precision)
                        yield part, bundle, precision, model
                        if self._has_coder(part):
                            tables = Tables.load(bundle.tables_paths()[0])
                            yield (
                                part,
                                bundle,
                                precision + ", in-graph",
                                append_encoder(model, tables, packs(self.target)),
                            )

    def _has_coder(self, part: Part) -> bool:
        codec = self.bundle.manifest.codec
        named = LATENT in [port.name for port in part.outputs]
        # The plugin is compiled here, against TensorRT's public headers.
        return (
            newest_headers() is not None
            and named
            and codec is not None
            and codec.kind == "rangecoder"
        )

    def _in_precision(self, bundle: Bundle, part: Part, precision: str) -> onnx.ModelProto:
        model = onnx.load(bundle.part_path(part.name))
        tables = [table for table in tables_of(self.target) if table is not None]
        if precision == "fp16":
            return to_fp16(model, tables)
        if precision == "int8":
            with Board(bundle) as board:
                feeds = [board.run(calibration_images(None)[0][0], False).fed[part.name]]
            return to_int8(model, feeds, tables)
        return model

    def _written(self, folder: Path) -> Bundle:
        """The bundle as it is for the target, in a folder."""
        parts = []
        for part, fitted in self.fitted:
            for piece in fitted.pieces:
                onnx.save(piece.model, str(folder / f"{piece.name}.onnx"))
                parts.append(
                    part._replace(
                        name=piece.name,
                        file=f"{piece.name}.onnx",
                        target=self.target.name,
                        runtime=piece.runtime,
                        inputs=ports_of(piece.model.graph.input, part.inputs),
                        outputs=ports_of(piece.model.graph.output, part.outputs),
                        largest=dict(piece.largest) or None,
                        sha256=hashlib.sha256(piece.model.SerializeToString()).hexdigest(),
                        bytes=(folder / f"{piece.name}.onnx").stat().st_size,
                    )
                )
        for part in self.bundle.manifest.parts:
            if part.placement == "both":
                shutil.copy(self.bundle.part_path(part.name), folder)
                parts.append(part)
        for name in self.bundle.tables_paths():
            shutil.copy(name, folder)
        manifest = self.bundle.manifest._replace(parts=parts, samples=[])
        return Bundle(str(folder), manifest, "")


@functools.cache
def runtime():
    """The module `tensorrt_rtx` with the stand-ins registered, which must outlive their use."""
    trt = rtx.import_rtx()
    return trt, register_stand_ins(trt)


@functools.cache
def load_coder() -> None:
    """Compile and load the range coder's plugin, whose kernels run on the processor."""
    trt, _ = runtime()
    with tempfile.TemporaryDirectory() as folder:
        library = str(plugin_library(Path(folder)))
        plugin.load_plugin(trt, make_logger(trt), library)


def build(bundle: Bundle, part: Part, model: onnx.ModelProto) -> dict[str, str]:
    """What the parser and builder say: yes or their sentence; layers, stand-ins, seconds."""
    trt, _ = runtime()
    if plugin.operators_in(model.SerializeToString()):
        load_coder()
    replaced = stood_in(model)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "part.onnx")
        onnx.save(model, path)
        logger = make_logger(trt)
        network = trt.Builder(logger).create_network(0)
        parsed = trt.OnnxParser(network, logger).parse_from_file(path)
        ranges = profile_of(bundle, part)
        try:
            builder.build_engine(trt, logger, path, ranges, [], 1 << 30, None, "8.6")
            said = "yes"
        except builder.EngineError as error:
            said = str(error).split(": ", 1)[-1][:160].replace("|", "/")
    return {
        "parsed": "yes" if parsed else "no",
        "built": said,
        "layers": str(network.num_layers),
        "stand_ins": str(replaced or "-"),
        "seconds": f"{time.monotonic() - started:.1f}",
    }


def build_apart(folder: str, part: str, model: bytes) -> dict[str, str]:
    """As `build`, in a process of its own: the builder is native code, and a crash ends its process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_build_of, folder, part, model).result()


def _build_of(folder: str, part: str, model: bytes) -> dict[str, str]:
    bundle = Bundle.open(folder)
    return build(bundle, bundle.part(part), onnx.load_from_string(model))


def taken(model: onnx.ModelProto) -> str:
    """What the versions' own tables say to a graph: yes, or the operators that they do not take."""
    said = []
    for version in VERSIONS:
        findings = check_model(model, load_table("tensorrt", version))
        refused = {finding.op_type for finding in findings} - set(plugin.OPERATORS)
        said.append("no: " + " ".join(sorted(refused)) if refused else "yes")
    return "yes" if set(said) == {"yes"} else ", ".join(said)


def rows(
    name: str, bundle: Bundle, precisions: list[str], known: dict[str, Row]
) -> tuple[list[Row], str]:
    """The rows of a model, and its line of the second table; `known` is extended."""
    made: dict[tuple[str, str, str], list[Row]] = {}
    shares = []
    for group, target in GROUPS.items():
        fits = Fits(bundle, target)
        shares.append(f"{fits.share():.1f} %")
        for part, fitted, precision, model in fits.pieces(precisions):
            ranges = [list(image_range(bundle.manifest.preprocess)), part.largest]
            key = hashlib.sha256((structure(model) + json.dumps(ranges)).encode()).hexdigest()[:12]
            if key not in known:
                verdict = taken(model)
                told = build(fitted, part, model)
                known[key] = Row("", "", "", "", **told, taken=verdict, graph=key)
            row = known[key]._replace(model=name, part=part.name, group=group, precision=precision)
            made.setdefault((part.name, precision, key), []).append(row)
            print(row.line(), flush=True)
    merged = [
        same[0]._replace(group="; ".join(row.group for row in same)) for same in made.values()
    ]
    return merged, f"| {name} | " + " | ".join(shares) + " |"


def read_page() -> tuple[dict[str, list[Row]], dict[str, str]]:
    """The page's rows by model, and its lines of GMAC by model."""
    text = PAGE.read_text()
    by_model: dict[str, list[Row]] = {}
    shares: dict[str, str] = {}
    for line in text[text.index(START) : text.index(END)].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == len(COLUMNS) and re.fullmatch("[0-9a-f]{12}", cells[-1]):
            by_model.setdefault(cells[0], []).append(Row(*cells))
        elif len(cells) == len(SHARE_COLUMNS) and cells[-1].endswith("%"):
            shares[cells[0]] = line
    return by_model, shares


def write_page(by_model: dict[str, list[Row]], shares: dict[str, str]) -> None:
    """Put both tables into the page, in the order of the names."""
    text = PAGE.read_text()
    place = text.index("\n", text.index(START)) + 1
    lines = ["", "| " + " | ".join(SHARE_COLUMNS) + " |", "|---" * len(SHARE_COLUMNS) + "|"]
    lines += [shares[name] for name in sorted(shares)]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += [row.line() for name in sorted(by_model) for row in by_model[name]]
    PAGE.write_text(text[:place] + "\n".join(lines) + "\n\n" + text[text.index(END) :])


def main(arguments: list[str]) -> int:
    """Print the tables of the models that are named; 1 where something was refused."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("models", nargs="*")
    flags.add_argument("--precisions", default="fp32,fp16,int8")
    flags.add_argument("--again", action="store_true")
    flags.add_argument("--write", action="store_true")
    options = flags.parse_args(arguments)
    every = [name for name, system in zoo.systems().items() if not system.unavailable]
    refused = False
    for model in options.models or every:
        by_model, _ = read_page()
        # What was refused is tried again.
        known = {row.graph: row for same in by_model.values() for row in same
                 if row.built == "yes" and not options.again}  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            if Path(model).is_dir():
                bundle = Bundle.open(model)
            else:
                bundle = trace(zoo.full_name(*zoo.find(model)), Path(folder))
            name = bundle.manifest.model
            made, share = rows(name, bundle, options.precisions.split(","), known)
        print(share, flush=True)
        refused = refused or any(row.built != "yes" for row in made)
        if options.write:
            by_model, shares = read_page()
            by_model[name], shares[name] = made, share
            write_page(by_model, shares)
    return int(refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
