"""The verb `verify`."""

import argparse
from typing import Any, Dict, List

from splitwatt.device_configs.cli import note, parser, print_json, say


def verify(argv: List[str]) -> int:
    """`splitwatt verify BUNDLE`: 0 when every check passes, 1 otherwise."""
    arguments = parser(
        "verify",
        "Run a bundle's own photographs on this machine and compare with the outputs it carries.",
        "splitwatt verify bundles/cpu/ladon_r50@0.32",
    )
    arguments.add_argument(
        "bundle", metavar="BUNDLE", help="the bundle's folder, or a folder of bundles"
    )
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
