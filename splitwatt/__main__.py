"""The `splitwatt` command: finds the room that a verb lives in and imports that room only."""

import contextlib
import importlib
import importlib.util
import shlex
import sys
from typing import List, Optional

from splitwatt.device_configs.cli import Command, guarded
from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import suggestion
from splitwatt.device_configs.version import ON_HOST, __version__, check_host

# verb -> (module that has a function of its name, what it does)
VERBS = {
    "models": ("export.cli", "the models that can be exported, and their rate points"),
    "weights": ("export.cli", "what to download for a model, from where, and where to put it"),
    "export": ("export.cli", "PyTorch model -> ONNX bundle for a target"),
    "bundle": ("export.cli", "ONNX graphs of your own -> a bundle, without PyTorch"),
    "calibrate": ("export.cli", "refit a bundle's entropy tables to your own images"),
    "targets": ("device_configs.targets_cli", "the machines that splitwatt knows"),
    "build": ("engines.cli", "on the board itself: native libraries and TensorRT engines"),
    "verify": (
        "engines.cli",
        "run a bundle's own photographs and compare with its expected outputs",
    ),
    "serve": ("profiler.cli", "the server: decoders and heads, over HTTP"),
    "infer": (
        "profiler.infer.infer",
        "images through a bundle: answers, pictures, bytes, stage times",
    ),
    "evaluate": ("profiler.evaluate.cli", "accuracy and bytes of a deployed bundle on a data set"),
    "choose": ("profiler.choose.cli", "the configurations of measured runs that meet a deadline"),
    "run": (
        "profiler.deploy.cli",
        "a camera's frames through board and server, as the link allows",
    ),
    "profile": ("profiler.cli", "time configurations on this board against a server"),
    "whatif": (
        "profiler.whatif.cli",
        "a run at other link rates and server speeds, and where they break even",
    ),
    "check": (
        "profiler.check.cli",
        "recompute the figures of a run, and verify its records and hashes",
    ),
    "energy": ("energy.cli", "measure only power and joules"),
    "report": ("reports.cli", "runs -> tables and figures"),
    "compare": ("reports.compare.cli", "compare two runs, or one with the papers; a gate for CI"),
    "doctor": (
        "device_configs.diagnosis",
        "what this machine can do, and what would add the rest",
    ),
    "completion": ("completion", "a script that makes TAB complete commands, in bash and zsh"),
}

# What runs on a host: a board's Python cannot even read these files.
_HOST_VERBS = ("models", "weights", "export", "bundle", "calibrate", "report", "compare", "serve")
# A verb of verbs, each with a parser of its own.
BELOW = {"energy": ("read", "watch", "record", "integrate", "serve")}

_USAGE = "usage: splitwatt VERB [options]      (splitwatt VERB --help: all options)\n\n%s\n\nexample:\n  %s"
_EXAMPLE = "splitwatt export --model ladon_r50 --target cpu --weights random"


def _dispatch(argv: List[str]) -> int:
    if argv and argv[0] in ("--version", "-V"):
        print("splitwatt " + __version__)
        return 0
    if not argv or argv[0] in ("--help", "-h", "help"):
        rows = "\n".join("  %-10s %s" % (verb, VERBS[verb][1]) for verb in VERBS)
        print(_USAGE % (rows, _EXAMPLE))
        return 0 if argv else 2
    verb = argv[0]
    if verb not in VERBS:
        raise UsageError("unknown command '%s'" % verb, suggestion(verb, VERBS))
    if verb == "profile" and not _export_missing(argv[1:]):
        return 1
    return _run(verb, argv[1:])


def _export_missing(argv: List[str]) -> bool:
    """Export the bundles that a profile needs, if this machine can export."""
    if importlib.util.find_spec("torch") is None or {"--help", "-h"} & set(argv):
        return True  # a board: the profile itself says what to export
    wanted = importlib.import_module("splitwatt.profiler.cli").what_to_export(argv)
    # The profile's own output may be read by a program.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return not wanted or _run("export", wanted) == 0
        except UsageError as error:
            if "--weights" not in error.remedy:
                raise
            # `profile` takes no --weights: what to type instead.
            again = " ".join(shlex.quote(word) for word in wanted)
            remedy = "%s, before profiling: splitwatt export %s --weights random"
            raise UsageError(error.message, remedy % (error.remedy, again))


def _run(verb: str, argv: List[str]) -> int:
    if verb in _HOST_VERBS:
        check_host("splitwatt " + verb, "run it on a host; a board profiles, verifies and measures")
    return command_of(verb)(argv)


def runs_here(verb: str) -> bool:
    """Can this Python read the verb's files?"""
    return ON_HOST or verb not in _HOST_VERBS


def command_of(verb: str) -> Command:
    """The function of a verb; imports its room."""
    module = importlib.import_module("splitwatt." + VERBS[verb][0])
    command: Command = getattr(module, verb)
    return command


def main(argv: Optional[List[str]] = None) -> int:
    """Run one verb; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return guarded(_dispatch, sys.argv[1:] if argv is None else argv)


def run_export() -> int:
    """The script `export`."""
    return main(["export"] + sys.argv[1:])


def run_profile() -> int:
    """The script `profile`."""
    return main(["profile"] + sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
