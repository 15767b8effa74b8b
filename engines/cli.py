"""The verbs of this room."""

from typing import Any, Dict, List

from splitwatt.device_configs.cli import Command, note, parser, print_json, say


def verify(argv: List[str]) -> int:
    """`splitwatt verify BUNDLE`: 0 when every check passes, 1 otherwise."""
    arguments = parser(
        "verify",
        "Run a bundle's own photographs on this machine and compare with the outputs it carries.",
        "splitwatt verify bundles/cpu/ladon_r50@0.32",
    )
    arguments.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    arguments.add_argument(
        "--backend", default="cpu", help="what runs the parts (default: %(default)s)"
    )
    arguments.add_argument(
        "--server-backend",
        metavar="BACKEND",
        help="what runs the server's parts (default: the same)",
    )
    options = arguments.parse_args(argv)

    from splitwatt.device_configs.names import check_known
    from splitwatt.engines.backends import BACKENDS

    for name in {options.backend, options.server_backend or options.backend}:
        check_known("backend", name, BACKENDS)

    from splitwatt.engines.bundle.bundle import Bundle
    from splitwatt.engines.verify.verify import Check
    from splitwatt.engines.verify.verify import verify as checks

    bundle = Bundle.open(options.bundle, "board")
    said = "sizes and SHA-256 are what the manifest says"
    if bundle.half:
        said += "; the server's parts are not here, the board's alone are verified"
    else:
        bundle = Bundle.open(options.bundle)
    opened = Check("files", True, said)
    results: List[Dict[str, Any]] = []

    def tell(check: Check) -> None:
        results.append(dict(check._asdict()))
        if not options.json:
            box = "[x]" if check.passed else "[ ]"
            say("%s %s: %s" % (box, check.name, check.detail))

    tell(opened)
    for check in checks(bundle, options.backend, options.server_backend):
        tell(check)
    passed = all(result["passed"] for result in results)
    if options.json:
        print_json(
            {
                "bundle": options.bundle,
                "model": bundle.manifest.model,
                "backend": options.backend,
                "passed": passed,
                "checks": results,
            }
        )
    if not passed:
        failed = sum(not result["passed"] for result in results)
        note("%d of %d checks failed" % (failed, len(results)))
    return 0 if passed else 1


def build(argv: List[str]) -> int:
    """`splitwatt build BUNDLE`: see `splitwatt.engines.tensorrt.building.cli`."""
    from splitwatt.engines.tensorrt.building.cli import build as command

    return command(argv)


VERBS: Dict[str, Command] = {"build": build, "verify": verify}
