"""The verbs `build` and `verify`."""

import argparse
from typing import Any, Dict, List

from splitwatt.device_configs.cli import note, number, parser, print_json, say, whole


def build(argv: List[str]) -> int:
    """`splitwatt build BUNDLE`: on the board itself, native libraries and engines."""
    arguments = parser(
        "build",
        "Prepare bundles on the machine that runs them: compile the range coder (with CUDA also\n"
        "its TensorRT plugin), then build TensorRT engines if the bundle's target has TensorRT.\n"
        "--backend tensorrt-rtx builds engines for another machine's RTX GPU.\n"
        "Existing libraries and engines are kept.",
        "splitwatt build bundles/nano/ladon_r50@0.32",
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", nargs="*", help="a bundle's folder")
    text = "which end's parts to build (default: board; both with tensorrt-rtx)"
    add("--placement", choices=["board", "server"], help=text)
    text = "runtime to build for; tensorrt-rtx needs no GPU here (default: %(default)s)"
    add("--backend", choices=["tensorrt", "tensorrt-rtx"], default="tensorrt", help=text)
    text = "the YAML of the bundle's target, if it is your own"
    add("--target", metavar="FILE", help=text)
    text = "precision of the engines (default: the bundle's)"
    add("--precision", choices=["fp32", "fp16", "int8"], help=text)
    text = "most memory for one kernel, in MB (default: the target's)"
    add("--workspace-mb", type=whole(1, 1 << 20), metavar="MB", help=text)
    text = "largest ratio of an image's longer to its shorter side (default: %(default)s)"
    add("--aspect", type=number(1, 100), default=2.4, metavar="RATIO", help=text)
    text = "run parts that TensorRT cannot parse or build in onnxruntime, and record it"
    add("--fall-back", action="store_true", help=text)
    add("--no-engines", action="store_true", help="compile native libraries only")
    text = "compile for a GPU even if this machine has none"
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
    tell = (lambda line: None) if options.json else note
    native = compile_native(tell, options.again, options.cuda)
    how = Options(
        options.precision, options.workspace_mb, options.aspect, options.fall_back, options.again,
        options.backend, debug=options.debug,
    )  # fmt: skip
    paths = [] if options.no_engines else options.bundle
    bundles = [build_bundle(path, tell, how, options.placement) for path in paths]
    if options.json:
        print_json({"native": native, "bundles": bundles})
    return 0


def verify(argv: List[str]) -> int:
    """`splitwatt verify BUNDLE`: 0 when every check passes, 1 otherwise."""
    arguments = parser(
        "verify",
        "Run a bundle's own photographs on this machine and compare the outputs with its expected ones.",
        "splitwatt verify bundles/cpu/ladon_r50@0.32",
    )
    add = arguments.add_argument
    add("bundle", metavar="BUNDLE", help="the bundle's folder, or a folder of bundles")
    add("--backend", default="cpu", help="backend of the board's parts (default: %(default)s)")
    text = "backend of the server's parts (default: the same)"
    add("--server-backend", metavar="BACKEND", help=text)
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.names import check_known
    from splitwatt.engines.backends import BACKENDS
    from splitwatt.engines.bundle.bundle import bundles_in

    for name in {options.backend, options.server_backend or options.backend}:
        check_known("backend", name, BACKENDS)

    results = [_verify(folder, options) for folder in bundles_in(options.bundle)]
    if options.json:
        one = options.bundle == results[0]["bundle"]
        passed = all(result["passed"] for result in results)
        print_json(results[0] if one else {"bundles": results, "passed": passed})
    checks = [check for result in results for check in result["checks"]]
    failed = sum(not check["passed"] for check in checks)
    if failed:
        note("%d of %d checks failed" % (failed, len(checks)))
    return 1 if failed else 0


def _verify(folder: str, options: argparse.Namespace) -> Dict[str, Any]:
    """Every check of one bundle, printed as it is made without --json."""
    from splitwatt.engines.bundle.bundle import Bundle
    from splitwatt.engines.verify.verify import Check, verify

    results: List[Dict[str, Any]] = []

    def report(check: Check) -> None:
        results.append(dict(check._asdict()))
        if not options.json:
            box = "[x]" if check.passed else "[ ]"
            say("%s %s: %s" % (box, check.name, check.detail))

    if folder != options.bundle and not options.json:
        say(folder)
    bundle = Bundle.open(folder, "board")
    files = "sizes and SHA-256 are what the manifest says"
    if bundle.half:
        files += "; the server's parts are not here, the board's alone are verified"
    else:
        bundle = Bundle.open(folder)
    report(Check("files", True, files))
    for check in verify(bundle, options.backend, options.server_backend):
        report(check)
    return {
        "bundle": folder,
        "model": bundle.manifest.model,
        "backend": options.backend,
        "passed": all(result["passed"] for result in results),
        "checks": results,
    }
