"""The verbs of this room: `profile` and `serve`."""

import argparse
import importlib
import os
from typing import Any, List, Tuple

from splitwatt.device_configs.cli import (
    deadline,
    note,
    number,
    parser,
    positive,
    print_json,
    say,
    seconds,
    whole,
)
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.install import install_command

EXAMPLE = "splitwatt profile --config table3.yaml --only LC1,SC1,Ours1"
SERVE_EXAMPLE = "splitwatt serve --bundles bundles --port 8080"
DEFAULT_TARGET = "cpu"
# What serves: its module, its function, and the extra that it needs.
_ENGINES = {
    "embedded": ("splitwatt.profiler.server.main", "run_server", "serve"),
    "ray": ("splitwatt.profiler.server.cluster.ray_engine", "run_ray", "cluster"),
    "triton": ("splitwatt.profiler.server.cluster.triton_engine", "run_triton", "cluster"),
}


def profile(argv: List[str]) -> int:
    """`splitwatt profile`: time configurations on this board against a server."""
    options = _profile_parser().parse_args(argv)
    from splitwatt.profiler.analyse.carried import sentences
    from splitwatt.profiler.analyse.summary import remarks, short_table
    from splitwatt.profiler.execute.runner import resume_run, start_run
    from splitwatt.profiler.records.run import read_run

    config, settings = _settings(options)
    unmet: List[str] = []
    if options.resume:
        from splitwatt.profiler.check.cli import audit

        result = resume_run(options.resume, settings, config)
        unmet = ["%s: %s" % (c.name, c.said) for c in audit(result.path) if c.met is False]
    else:
        from splitwatt.profiler.execute.prepare import default_path

        assert config is not None  # for the type checker
        path = options.out or default_path(config)
        try:
            result = start_run(config, settings, path)
        except (SplitwattError, KeyboardInterrupt):
            samples = os.path.join(path, "samples.jsonl")
            if os.path.isfile(samples) and os.path.getsize(samples):
                note("what was measured is kept: " + _resume_command(path, options))
            raise
    if options.json:
        print_json({"run": result.path, "ok": result.ok, "failed": result.failed + result.again})
    else:
        run = read_run(result.path)
        say(short_table(run))
        for remark in remarks(run):
            say(remark)
        for sentence in sentences(run):
            say(sentence)
        say("run: %s" % result.path)
    if result.failed:
        note("%d samples failed because of their image: see samples.jsonl" % result.failed)
    if result.again:
        note("%d samples failed: %s" % (result.again, result.reason))
        note("run them again: " + _resume_command(result.path, options))
    for text in unmet:
        note("a check of the run is not met: %s" % text)
    return 1 if result.again or not result.ok or unmet else 0


def serve(argv: List[str]) -> int:
    """`splitwatt serve`: the decoders and heads of bundles, over HTTP."""
    options = _serve_parser().parse_args(argv)
    module, function, extra = _ENGINES[options.engine]
    try:
        run_server = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise UsageError(
            "the server needs the package %s, which is not installed" % error.name,
            install_command(extra),
        )
    return run_server(options)  # type: ignore[no-any-return]


def what_to_export(argv: List[str]) -> List[str]:
    """The arguments for `splitwatt export` that make what `profile ARGV` needs and does not find.

    For the umbrella command, which has it exported first where it can. Empty when nothing is
    missing, and for a --resume, whose bundles must be those that its run began with.

    Raises:
        UsageError, ConfigError: as `profile` itself.
    """
    options = _profile_parser().parse_args(argv)
    if options.resume:
        return []
    from splitwatt.device_configs.targets import spelling
    from splitwatt.profiler.config.bundles import missing

    config, settings = _settings(options)
    assert config is not None  # for the type checker
    models = missing(config, settings.bundles, settings.target)
    wanted = [argument for model in models for argument in ("--model", model)]
    more = ["--target", spelling(settings.target), "--bundles", settings.bundles]
    return wanted and wanted + more


def _settings(options: argparse.Namespace) -> Tuple[Any, Any]:
    """The config (None where only a run is named) and the runner's options."""
    from splitwatt.device_configs.targets import target_name
    from splitwatt.profiler.capacity.search import Asked
    from splitwatt.profiler.config.bundles import DEFAULT_FOLDER
    from splitwatt.profiler.config.config import load_config
    from splitwatt.profiler.execute.job import SYSFS, Options
    from splitwatt.profiler.execute.prepare import needs_server, override
    from splitwatt.profiler.records.blocks import POISSON
    from splitwatt.profiler.records.document import last_server, read_document

    if not options.config and not options.resume:
        raise UsageError("--config is missing", "example: " + EXAMPLE)
    if options.resume and options.out:
        raise UsageError("--out and --resume exclude each other")
    config = None
    if options.config:
        only, images, backend = options.only, options.images, options.backend
        config = load_config(options.config)
        config = override(config, only, images, backend, options.pipelined, options.link)
    elif any((options.only, options.images, options.backend, options.pipelined, options.link)):
        raise UsageError(
            "--only, --images, --backend, --link and --pipelined change a --config",
            "leave them out",
        )
    boards = None
    if options.boards is not None:
        boards = Asked(
            options.boards, options.fps or 1.0, options.deadline or 0.5, options.arrivals or POISSON
        )
        if config is not None and not needs_server(config):
            raise UsageError("--boards needs a split configuration, and the config has none")
    elif any((options.fps, options.deadline, options.arrivals)):
        raise UsageError("--fps, --deadline and --arrivals belong to --boards", "add --boards N")
    known = read_document(options.resume) if options.resume else {}
    sensors, server = known.get("sensors") or {}, last_server(known) or {}
    return config, Options(
        bundles=options.bundles or known.get("bundles_folder") or DEFAULT_FOLDER,
        target=target_name(
            options.target or known.get("targets", {}).get("board") or DEFAULT_TARGET
        ),
        threads=options.threads or known.get("threads"),
        server=options.server
        or (None if server.get("started_by_profile", True) else server.get("url")),
        token_file=options.token_file,
        certificate=options.cert,
        fingerprint=options.fingerprint,
        timeout_s=options.timeout,
        sysfs=options.sysfs or sensors.get("sysfs") or SYSFS,
        driver=options.driver or sensors.get("driver"),
        board_quota=options.board_quota or (known.get("quota") or {}).get("share"),
        boards=boards,
    )


def _resume_command(path: str, options: argparse.Namespace) -> str:
    """The command that goes on with a run: run.json knows the rest, but not how to be let in, nor
    where a target of your own is.
    """
    target = options.target if options.target and options.target.endswith(".yaml") else None
    flags = (("--token-file", options.token_file), ("--cert", options.cert),
             ("--fingerprint", options.fingerprint), ("--target", target))  # fmt: skip
    more = "".join(" %s %s" % (flag, value) for flag, value in flags if value)
    return "splitwatt profile --resume %s%s" % (path, more)


def _profile_parser() -> argparse.ArgumentParser:
    from splitwatt.profiler.client.flags import add_server_flags

    result = parser("profile", "Time configurations on this board against a server.", EXAMPLE)
    add = result.add_argument
    add("--config", metavar="FILE", help="table3.yaml, demo.yaml, or a file of your own")
    add("--only", metavar="IDS", help="only these configurations, such as LC1,SC1,Ours1")
    add("--images", metavar="DIR", help="a folder of images instead of the config's")
    add("--target", metavar="NAME|FILE",
        help="target whose bundles to run, or its YAML (default: %s)" % DEFAULT_TARGET)  # fmt: skip
    add("--backend", help="backend of the board's parts, instead of the config's")
    add("--pipelined", action="store_true", help="also measure throughput")
    add("--threads", type=positive, help="threads per inference (default: the backend's choice)")
    add("--bundles", metavar="DIR", help="the folder of bundles (default: bundles)")
    add("--link", metavar="KIND:RATE", action="append", default=[], help="simulated:lora, "
        "shaped:100kbit, none, ... instead of the config's (docs/links.md); may be repeated")  # fmt: skip
    add_server_flags(
        result, backend=False, default="start one on this machine and stop it at the end"
    )
    add("--timeout", type=seconds, default=60.0, help="request timeout in seconds, "
        "excluding transfer over a shaped link (default: 60)")  # fmt: skip
    add("--sysfs", metavar="DIR", help="directory to use instead of /sys for power sensors")
    add("--driver", metavar="NAME", help="use only this driver for power, e.g. generated")
    add("--board-quota", metavar="X", type=number(0.01, 1.0),
        help="emulate a slower board: its process gets this share of the processors, such as "
        "0.12 for about one eighth of the speed (needs Linux control groups)")  # fmt: skip
    add("--boards", metavar="N", type=whole(1, 10000), help="also find how many boards the server "
        "can serve, up to N: replay their frames until 1 %% of them miss --deadline")  # fmt: skip
    add("--fps", type=number(0.001, 1000), metavar="F",
        help="with --boards: frames per second of each board (default: 1)")  # fmt: skip
    add("--deadline", type=deadline, metavar="TIME",
        help="with --boards: longest time from sending a frame to its answer (default: 500ms)")  # fmt: skip
    add("--arrivals", choices=("poisson", "fixed"),
        help="with --boards: frames arrive at random times (poisson, the default) or every 1/F s")  # fmt: skip
    add("--out", metavar="RUN", help="the run folder (default: a new one in runs/)")
    add("--resume", metavar="RUN", help="finish a run that was interrupted")
    return result


def _serve_parser() -> argparse.ArgumentParser:
    result = parser("serve", "Run the server's parts of split models, over HTTP.", SERVE_EXAMPLE)
    add = result.add_argument
    add("--engine", choices=sorted(_ENGINES), default="embedded", help="default: embedded")
    add("--cluster", metavar="FILE", help="replicas and autoscaling of --engine ray, YAML")
    add("bundle", metavar="BUNDLE", nargs="*",
        help="bundles to serve, or folders of bundles (default: all in --bundles)")  # fmt: skip
    add("--bundles", metavar="DIR", help="the folder of bundles (default: bundles)")
    add("--target", metavar="NAME|FILE",
        help="target whose bundles to serve (default: the only one in --bundles, or cpu)")  # fmt: skip
    add("--host", default=None, help="the address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    add("--backend", default="cpu", help="backend of the server's parts (default: cpu)")
    add("--threads", type=positive, help="threads per inference (default: the backend's choice)")
    add("--workers", type=positive, help="parallel inferences (default: 1)")
    add("--queue", type=positive, default=64, help="maximum queued requests (default: 64)")
    add("--batch", type=positive, default=1, help="maximum batch size (default: 1)")
    add("--memory-mb", type=positive, metavar="MB",
        help="memory budget for models (default: half of RAM)")  # fmt: skip
    add("--lan", action="store_true",
        help="listen on the network, with a new token and certificate")  # fmt: skip
    add("--token-file", metavar="FILE", help="require the token in this file")
    add("--cert", metavar="FILE", help="the server's certificate, PEM")
    add("--key", metavar="FILE", help="the certificate's key, PEM")
    add("--energy", action="store_true", help="let boards sample this machine's power too")
    add("--energy-target", metavar="NAME|FILE",
        help="with --energy: target whose rails this machine has (default: auto-detected)")  # fmt: skip
    add("--sysfs", metavar="DIR", help="directory to use instead of /sys")
    add("--driver", metavar="NAME", help="use only this driver, e.g. generated")
    add("--ready-file", metavar="FILE", help="write the URL here once it listens")
    add("--parent", type=int, help="exit when this process exits")
    return result
