"""What NVIDIA's parser and builder say to every part of bundles, as the table of docs/compatibility.md.

    python -m tests.engines.tensorrt.rtx_table BUNDLE... [--write]

Each part that the manifest gives to TensorRT goes through the product's own profile, parser and
builder, in TensorRT for RTX, for SM 8.6 and without a GPU. Stand-in plugins, which compute nothing,
take the place of NonMaxSuppression, NonZero and RoiAlign. Prints the table; --write also puts it into
the page.
"""

import functools
import sys
import tempfile
import time
from pathlib import Path

import onnx

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.tensorrt import rtx
from splitwatt.engines.tensorrt.building import builder
from splitwatt.engines.tensorrt.log import Log
from splitwatt.engines.tensorrt.shapes import profile_of
from tests.conftest import ROOT
from tests.engines.tensorrt.rtx import register_stand_ins, stood_in

PAGE = ROOT / "docs" / "compatibility.md"
START, END = "<!-- table of tensorrt-rtx", "<!-- end of the table -->"
HEAD = "| model | part | target | nodes | stand-ins | built | seconds | GMAC |\n" + "|---" * 8 + "|"


def rows(trt, path):
    """The table's rows of one bundle."""
    for placement in ("board", "server"):
        bundle = Bundle.open(path, placement)
        manifest = bundle.manifest
        for part in manifest.parts:
            if part.placement == placement and part.runtime == "tensorrt":
                yield _row(trt, bundle, part)


def _row(trt, bundle, part):
    model = onnx.load(bundle.part_path(part.name))
    replaced = stood_in(model)
    log = Log()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "part.onnx")
        onnx.save(model, path)
        configure = functools.partial(rtx.configure, trt, "8.6")
        recipe = builder.Recipe(path, profile_of(bundle, part), [], 1 << 30, None, configure)
        try:
            builder.build_engine(trt, builder.make_logger(trt, log), log, recipe)
            said = "yes"
        except builder.EngineError as error:
            said = str(error).split(": ", 1)[-1][:160].replace("|", "/")
    seconds = time.monotonic() - started
    return (
        f"| {bundle.manifest.model} | {part.name} | {part.target} | {len(model.graph.node)} | "
        f"{replaced or '-'} | {said} | {seconds:.1f} | {part.gmac:.2f} |"
    )


def main(arguments):
    """Print the table of the bundles that are named."""
    paths = [argument for argument in arguments if argument != "--write"]
    trt = rtx.import_rtx()
    kept = register_stand_ins(trt)
    table = [HEAD]
    for path in paths:
        for row in rows(trt, path):
            table.append(row)
            print(row, flush=True)
    assert kept
    if "--write" in arguments:
        text = PAGE.read_text()
        first = text.index("\n", text.index(START)) + 1
        body = "\n" + "\n".join(table) + "\n\n"
        PAGE.write_text(text[:first] + body + text[text.index(END) :])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
