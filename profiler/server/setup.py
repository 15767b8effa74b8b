"""What every engine of `serve` sets up: bundles, models, threads."""

import argparse
import os
import signal
from typing import NamedTuple

import psutil

from splitwatt.device_configs.errors import BundleError, UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.targets import target_name
from splitwatt.engines.backends import BACKENDS
from splitwatt.engines.backends.cores import usable_cores
from splitwatt.engines.bundle.bundle import Bundle, bundles_in
from splitwatt.profiler.config.bundles import DEFAULT_FOLDER, check_target, targets
from splitwatt.profiler.links.process import die_with_parent
from splitwatt.profiler.server.inference.models import Models, process_bytes

# Backends whose engines may run from several threads at once, and on batches.
_THREADED = ("cpu", "cuda")
_ENERGY = ("energy", "energy_target", "sysfs", "driver")
# What an engine of `serve` does not take: flags as options, and why.
_NOT_TAKEN: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "embedded": [(("cluster",), "it is one process, without replicas")],
    "ray": [
        (("workers", "threads"), "'workers' and 'cores' of the --cluster file say that"),
        (_ENERGY, "a cluster does not sample power"),
    ],
    "triton": [
        (("cluster",), "it is one process, without replicas"),
        (
            ("lan", "token_file", "cert", "key"),
            "Triton's interface has neither token nor TLS: it listens to this machine alone",
        ),
        (_ENERGY, "Triton does not sample power"),
    ],
}


def check_flags(options: argparse.Namespace) -> None:
    """Raise UsageError for a flag that the chosen engine does not take, or that lacks another."""
    for names, why in _NOT_TAKEN[options.engine]:
        for name in names:
            if getattr(options, name):
                flag = "--" + name.replace("_", "-")
                raise UsageError(
                    "--engine %s takes no %s: %s" % (options.engine, flag, why),
                    "leave out %s, or use another --engine" % flag,
                )
    for name in _ENERGY[1:]:
        if getattr(options, name) and not options.energy:
            raise UsageError("--%s is for --energy" % name.replace("_", "-"), "add --energy")


class Served(NamedTuple):
    """What a server serves: bundles (a folder with a folder a bundle, or model -> its bundle's
    folder), the target that they are of, and the bundles in words.
    """

    bundles: str | dict[str, str]
    target: str
    named: str


def served(options: argparse.Namespace) -> Served:
    """The bundles that are named, else those of the named target, the only one there, or cpu.

    Raises:
        UsageError: bundles are named together with --bundles or --target, are of several targets, or two of
            one model.
        BundleError: no bundle exists for the target.
    """
    if options.bundle:
        if options.bundles or options.target:
            raise UsageError(
                "BUNDLE excludes --bundles and --target",
                "name the bundles to serve, or the folder of all of them",
            )
        return _of_bundles(options.bundle)
    folder, target = options.bundles or DEFAULT_FOLDER, options.target
    if target is None:
        known = targets(folder)
        target = known[0] if len(known) == 1 else "cpu"
    name = target_name(target)
    check_target(folder, name)
    path = os.path.join(folder, name)
    return Served(os.path.abspath(path), name, "bundles of " + path)


def _of_bundles(named: list[str]) -> Served:
    """The named bundles; a folder of bundles stands for those in it, the local models left out."""
    folders, of_targets = dict[str, str](), set()
    for argument in named:
        paths = bundles_in(argument)
        for path in paths:
            manifest = Bundle.open(path, "server").manifest
            if not manifest.split:
                if path == argument:
                    raise UsageError(
                        "%s has nothing to serve" % path,
                        "the model '%s' runs on the board alone" % manifest.model,
                    )
                continue
            if folders.setdefault(manifest.model, os.path.abspath(path)) != os.path.abspath(path):
                raise UsageError("two bundles of %s are named" % manifest.model, "name one of them")
            of_targets.add(manifest.target)
    if not folders:
        raise BundleError(
            "no bundle of a split model is in %s" % ", ".join(named), "name other bundles"
        )
    if len(of_targets) > 1:
        raise UsageError(
            "the bundles are of several targets: %s" % ", ".join(sorted(of_targets)),
            "name the bundles of one target, and start another server for each other target",
        )
    return Served(folders, of_targets.pop(), "bundles, " + ", ".join(folders))


def set_up(options: argparse.Namespace, workers: int, threads: int | None) -> tuple[Served, Models]:
    """What every engine begins with, none of the models loaded. Arguments as of `models_of`.

    Raises:
        UsageError, BundleError: as `check_flags`, `served` and `models_of`.
    """
    if options.parent is not None:
        die_with_parent(options.parent, signal.SIGTERM)
    check_flags(options)
    what = served(options)
    return what, models_of(options, what.bundles, workers, threads)


def models_of(
    options: argparse.Namespace,
    bundles: str | dict[str, str],
    workers: int,
    threads: int | None,
) -> Models:
    """The models that the command line names, none of them loaded.

    Args:
        bundles: as of `Served`.
        workers: inferences at once.
        threads: of one inference; None shares the cores between the workers.

    Raises:
        UsageError: an unknown backend, or one that does not take several workers.
    """
    check_known("backend", options.backend, BACKENDS)
    if workers > 1 and options.backend not in _THREADED:
        raise UsageError(
            "the backend %s runs one inference at a time" % options.backend,
            "have one worker: --workers 1, or 'workers: 1' in the --cluster file",
        )
    if options.batch > 1 and options.backend not in _THREADED:
        raise UsageError(
            "the backend %s runs one image at a time" % options.backend, "leave out --batch"
        )
    if workers > 1 and threads is None:
        threads = max(1, usable_cores() // workers)
    return Models(bundles, options.backend, threads, budget_bytes(options.memory_mb), process_bytes)


def budget_bytes(memory_mb: int | None) -> int:
    """The memory budget of loaded models, in bytes; by default half of the machine's memory."""
    return memory_mb * 10**6 if memory_mb else int(psutil.virtual_memory().total // 2)
