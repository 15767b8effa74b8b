"""The verb `build`."""

from typing import Any, Dict, List

from splitwatt.device_configs.cli import note, parser, print_json


def build(argv: List[str]) -> int:
    """`splitwatt build BUNDLE`: on the board itself, native libraries and engines."""
    arguments = parser(
        "build",
        "Make bundles ready on the machine that runs them: compile the range coder (where CUDA is,\n"
        "its TensorRT plugin too), then build TensorRT engines where the bundle's\n"
        "target has TensorRT. What is there already is kept.",
        "splitwatt build bundles/nano/ladon_r50@0.32",
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", nargs="*", help="a bundle's folder")
    text = "which end's parts this machine runs (default: %(default)s)"
    add("--placement", choices=["board", "server"], default="board", help=text)
    text = "the YAML of the bundle's target, where it is one of your own"
    add("--target", metavar="FILE", help=text)
    text = "of the engines (default: what the bundle was exported in)"
    add("--precision", choices=["fp32", "fp16", "int8"], help=text)
    text = "memory for one kernel (default: the target's)"
    add("--workspace-mb", type=int, metavar="MB", help=text)
    text = "the most elongated image, longer side over shorter (default: 2.4)"
    add("--aspect", type=float, metavar="RATIO", help=text)
    text = "a part that TensorRT's parser refuses runs in onnxruntime, recorded"
    add("--fall-back", action="store_true", help=text)
    add("--no-engines", action="store_true", help="compile native libraries only")
    text = "compile for a GPU although none is seen here"
    add("--cuda", action="store_true", default=None, help=text)
    add("--again", action="store_true", help="also what is there already")
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.errors import UsageError
    from splitwatt.device_configs.targets import load_target
    from splitwatt.engines.tensorrt.native import compile_native

    if options.target:
        load_target(options.target)  # a manifest has its name alone
    if not options.bundle and not options.no_engines:
        raise UsageError("build needs a BUNDLE", "or --no-engines for the native libraries alone")
    tell = _silent if options.json else note
    native = compile_native(tell, options.again, options.cuda)
    document: Dict[str, Any] = {"native": native, "bundles": []}
    for path in [] if options.no_engines else options.bundle:
        document["bundles"].append(_build_bundle(path, options, tell))
    if options.json:
        print_json(document)
    return 0


def _build_bundle(path: str, options: Any, tell: Any) -> Dict[str, Any]:
    from splitwatt.device_configs.targets import load_target
    from splitwatt.engines.bundle.bundle import Bundle
    from splitwatt.engines.tensorrt import build as work
    from splitwatt.engines.tensorrt.engine import import_tensorrt

    bundle = Bundle.open(path, options.placement)
    manifest = bundle.manifest
    name = manifest.target if options.placement == "board" else manifest.server_target
    target = load_target(name or manifest.target)
    found: Dict[str, Any] = {"bundle": path, "target": target.name, "parts": []}
    if not target.operators.get("tensorrt"):
        tell("%s: %s runs it in onnxruntime: no engines to build" % (path, target.name))
        return found
    import_tensorrt()  # its absence is said once, here, before a process per part says it
    tell("%s: engines for %s" % (path, target.name))
    engines = work.build_engines(
        bundle, options.placement, _arguments(options), tell, options.workspace_mb
    )
    for built in engines:
        found["parts"].append(dict(built._asdict()))
        tell("      %s: %s (%.0f s)" % (built.part, built.record, built.seconds))
    return found


def _arguments(options: Any) -> List[str]:
    result: List[str] = []
    for name in ("precision", "aspect", "target"):
        value = getattr(options, name)
        if value is not None:
            result += ["--" + name, str(value)]
    for name in ("fall_back", "again", "debug"):
        if getattr(options, name):
            result.append("--" + name.replace("_", "-"))
    return result


def _silent(line: str) -> None:
    """For --json: nothing beside the document."""
