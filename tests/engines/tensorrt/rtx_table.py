"""What NVIDIA's parser and builder say to every part of every model, as the tables of docs/compatibility.md.

    python -m tests.engines.tensorrt.rtx_table BUNDLE... [--targets nano,xavier_nx] [--precisions fp32,int8] [--write]

The bundles are whole ones, exported for `cpu`. Every part is fitted to every target as `splitwatt export`
fits it, and each piece that TensorRT runs there goes through the product's own profile, parser and
builder, in TensorRT for RTX, for SM 8.6 and without a GPU. Stand-in plugins, which compute nothing, take
the place of NonMaxSuppression, NonZero and RoiAlign. A graph that two targets share is built once.
fp16 and int8 are the board's parts in them, where the target has them (int8 calibrated on one photograph).

Prints the rows as they are made; --write also puts both tables into the page. Whole, with every model of
Table 3 on four targets, it is an afternoon's work for two cores: exports are most of it.
"""

import argparse
import functools
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import onnx

from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part
from splitwatt.engines.tensorrt import rtx
from splitwatt.engines.tensorrt.building import builder
from splitwatt.engines.tensorrt.log import Log
from splitwatt.engines.tensorrt.shapes import profile_of
from splitwatt.export.compat import Fitted, fit, tables_of
from splitwatt.export.precision.error import Board
from splitwatt.export.precision.graph import to_fp16, to_int8
from splitwatt.export.precision.int8_images import calibration_images
from splitwatt.export.tracing.pieces import ports_of
from tests.conftest import ROOT
from tests.engines.tensorrt.rtx import register_stand_ins, stood_in

PAGE = ROOT / "docs" / "compatibility.md"
START, END = "<!-- table of tensorrt-rtx", "<!-- end of the table -->"
TARGETS = ("nano", "xavier_nx", "orin_nano", "laptop")
HEAD = (
    "| model | part | target | precision | parsed, built | layers | stand-ins | seconds |\n"
    + "|---" * 8
    + "|"
)


class Fits:
    """A whole bundle with its parts fitted to one target: what is to be built, and the share of GMAC."""

    def __init__(self, path: str, target: str) -> None:
        self.bundle = Bundle.open(str(path))
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

    def pieces(self, precision: str):
        """(part, the fitted bundle, graph) of each piece for TensorRT in a precision."""
        with tempfile.TemporaryDirectory() as folder:
            bundle = self._written(Path(folder))
            for part in bundle.manifest.parts:
                if part.runtime != "tensorrt" or part.placement == "both":
                    continue
                model = onnx.load(bundle.part_path(part.name))
                if precision != "fp32":
                    if part.placement != "board" or precision not in self.target.precisions:
                        continue
                    tables = [table for table in tables_of(self.target) if table is not None]
                    if precision == "fp16":
                        model = to_fp16(model, tables)
                    else:
                        with Board(bundle) as board:
                            feeds = board.feeds(part, calibration_images(None)[0][:1])
                        model = to_int8(model, feeds, tables)
                yield part, bundle, model

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


def build(bundle: Bundle, part: Part, model: onnx.ModelProto) -> tuple[str, int, int, float]:
    """What the parser and builder say: yes or their sentence; layers, stand-ins, seconds."""
    trt, _ = runtime()
    replaced = stood_in(model)
    log = Log()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "part.onnx")
        onnx.save(model, path)
        logger = builder.make_logger(trt, log)
        network = trt.Builder(logger).create_network(0)
        trt.OnnxParser(network, logger).parse_from_file(path)
        configure = functools.partial(rtx.configure, trt, "8.6")
        recipe = builder.Recipe(path, profile_of(bundle, part), [], 1 << 30, None, configure)
        try:
            builder.build_engine(trt, logger, log, recipe)
            said = "yes"
        except builder.EngineError as error:
            said = str(error).split(": ", 1)[-1][:160].replace("|", "/")
    return said, network.num_layers, replaced, time.monotonic() - started


def rows(paths, targets, precisions):
    """The rows of the first table, then of the second: one list of texts each."""
    built, first, second = {}, [], []
    for path in paths:
        shares = []
        for target in targets:
            fits = Fits(path, target)
            shares.append(f"{fits.share():.1f} %")
            for precision in precisions:
                for part, bundle, model in fits.pieces(precision):
                    key = hashlib.sha256(model.SerializeToString()).hexdigest()
                    if key not in built:
                        built[key] = build(bundle, part, model)
                    said, layers, replaced, seconds = built[key]
                    first.append(
                        f"| {bundle.manifest.model} | {part.name} | {target} | {precision} | {said} | "
                        f"{layers} | {replaced or '-'} | {seconds:.1f} |"
                    )
                    print(first[-1], flush=True)
        second.append(f"| {fits.bundle.manifest.model} | " + " | ".join(shares) + " |")
        print(second[-1], flush=True)
    return first, second


def main(arguments):
    """Print the tables of the bundles that are named; 1 where something was refused."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("bundles", nargs="+")
    flags.add_argument("--targets", default=",".join(TARGETS))
    flags.add_argument("--precisions", default="fp32,fp16,int8")
    flags.add_argument("--write", action="store_true")
    options = flags.parse_args(arguments)
    targets = options.targets.split(",")
    first, second = rows(options.bundles, targets, options.precisions.split(","))
    print("\n".join(second))
    if options.write:
        text = PAGE.read_text()
        place = text.index("\n", text.index(START)) + 1
        head = (
            "| GMAC in TensorRT | "
            + " | ".join(targets)
            + " |\n"
            + "|---" * (1 + len(targets))
            + "|"
        )
        body = "\n".join([head, *second, "", HEAD, *first])
        PAGE.write_text(text[:place] + f"\n{body}\n\n" + text[text.index(END) :])
    return int(any(" | yes | " not in row for row in first))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
