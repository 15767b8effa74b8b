"""The verb `build`."""

from typing import List

from splitwatt.device_configs.cli import note, number, parser, print_json, whole


def build(argv: List[str]) -> int:
    """`splitwatt build BUNDLE`: on the board itself, native libraries and engines."""
    arguments = parser(
        "build",
        "Prepare bundles on the machine that runs them: compile the range coder (where CUDA is,\n"
        "its TensorRT plugin too), then build TensorRT engines where the bundle's\n"
        "target has TensorRT. With --backend tensorrt-rtx, engines for another machine's RTX GPU.\n"
        "What is there already is kept.",
        "splitwatt build bundles/nano/ladon_r50@0.32",
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", nargs="*", help="a bundle's folder")
    text = "which end's parts to build (default: board; both with tensorrt-rtx)"
    add("--placement", choices=["board", "server"], help=text)
    text = "runtime to build for; tensorrt-rtx needs no GPU here (default: %(default)s)"
    add("--backend", choices=["tensorrt", "tensorrt-rtx"], default="tensorrt", help=text)
    text = "the YAML of the bundle's target, where it is one of your own"
    add("--target", metavar="FILE", help=text)
    text = "of the engines (default: what the bundle was exported in)"
    add("--precision", choices=["fp32", "fp16", "int8"], help=text)
    text = "memory for one kernel (default: the target's)"
    add("--workspace-mb", type=whole(1, 1 << 20), metavar="MB", help=text)
    text = "the most elongated image, longer side over shorter (default: %(default)s)"
    add("--aspect", type=number(1, 100), default=2.4, metavar="RATIO", help=text)
    text = "run parts that TensorRT cannot parse or build in onnxruntime, and record it"
    add("--fall-back", action="store_true", help=text)
    add("--no-engines", action="store_true", help="compile native libraries only")
    text = "compile for a GPU although none is seen here"
    add("--cuda", action="store_true", default=None, help=text)
    add("--again", action="store_true", help="rebuild existing libraries and engines")
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.errors import UsageError
    from splitwatt.device_configs.targets import load_target
    from splitwatt.engines.tensorrt.building.build import build_bundle
    from splitwatt.engines.tensorrt.building.build_part import Options
    from splitwatt.engines.tensorrt.building.native import compile_native

    if options.target:
        load_target(options.target)  # a manifest has its name alone
    if not options.bundle and not options.no_engines:
        raise UsageError("build needs a BUNDLE", "or --no-engines for the native libraries alone")
    tell = _silent if options.json else note
    native = compile_native(tell, options.again, options.cuda)
    how = Options(
        options.precision, options.workspace_mb, options.aspect, options.fall_back, options.again,
        options.backend, options.target, options.debug,
    )  # fmt: skip
    paths = [] if options.no_engines else options.bundle
    bundles = [build_bundle(path, tell, how, options.placement) for path in paths]
    if options.json:
        print_json({"native": native, "bundles": bundles})
    return 0


def _silent(line: str) -> None:
    """For --json: print nothing but the document."""
