"""What is settled before the first block of a run: config, bundles, images, server, run.json."""

import itertools
import os
import time
import uuid
from typing import Any, Dict, Optional, Sequence

from splitwatt.device_configs.errors import RunError, ServerError, UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.targets import load_target
from splitwatt.energy.sources import available
from splitwatt.engines.backends import BACKENDS
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.board.state import HARDWARE, board_state
from splitwatt.profiler.board.versions import machine_id, versions
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.config.bundles import describe, open_bundles
from splitwatt.profiler.config.config import SPLIT, Config, from_document
from splitwatt.profiler.config.images import config_images, describe_images
from splitwatt.profiler.execute.backend_here import check_backends_here
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.execute.plan import plan_blocks
from splitwatt.profiler.links.parse import parse_links
from splitwatt.profiler.records.blocks import Block
from splitwatt.profiler.records.document import FORMAT, ServerFacts
from splitwatt.profiler.records.fields import parse


def needs_server(config: Config) -> bool:
    """Whether any configuration is split."""
    return any(row.kind == SPLIT for row in config.configurations)


def check_backends(config: Config) -> None:
    """Raise UsageError for an unknown backend."""
    for backend in config.backends + (config.server_backend,):
        check_known("backend", backend, BACKENDS)


def with_backends(config: Config, target: str) -> Config:
    """The config as it runs on a target: on the target's default backends where it names none.

    Raises:
        UsageError: it names no backend, and the target is unknown.
    """
    if config.backends:
        return config
    return config._replace(backends=load_target(target).default_backends)


def _check_options(config: Config, options: Options) -> None:
    """Raise UsageError for a missing folder of sensors, an unknown driver, or a quota without effect."""
    if not os.path.isdir(options.sysfs):
        raise UsageError(
            "there is no folder %s" % options.sysfs, "name a directory to use instead of /sys"
        )
    if options.driver is not None:
        check_known("driver", options.driver, available())
    for backend in config.backends if options.board_quota is not None else ():
        if backend != "cpu":
            raise UsageError(
                "--board-quota limits processors, and the backend '%s' runs on a GPU" % backend,
                "use --backend cpu, or leave --board-quota out",
            )


def new_document(config: Config, options: Options) -> Dict[str, Any]:
    """run.json of a new run; the server is filled in when it is known.

    Raises:
        UsageError, ConfigError, BundleError: config, images or bundles are not as they must be.
    """
    check_backends(config)
    config = with_backends(config, options.target)
    _check_options(config, options)
    paths = config_images(config.images)
    opened = open_bundles(config, options.bundles, options.target)
    check_backends_here(config.backends, opened)
    # What a resume needs to know of the server before it was met.
    asked_for = {"url": options.server, "started_by_profile": options.server is None}
    return first_document(
        config,
        options.target,
        {model: f.bundle for model, f in opened.items()},
        plan_blocks(config),
        threads=options.threads,
        bundles_folder=os.path.abspath(options.bundles),
        server=asked_for if needs_server(config) else None,
        sensors={"sysfs": options.sysfs, "driver": options.driver},
        images_folder=os.path.dirname(os.path.abspath(paths[0])),
        images=describe_images(paths),
    )


def first_document(
    config: Config, target: str, bundles: Dict[str, Bundle], blocks: Sequence[Block], **more: Any
) -> Dict[str, Any]:
    """run.json of a run that begins; `more` has further keys, and other values than the defaults here.

    The bundles are named as the config names their models.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    servers = {bundle.manifest.server_target for bundle in bundles.values()} - {None}
    document = {
        "format": FORMAT,
        "id": "%s-%s-%s" % (config.name, stamp, uuid.uuid4().hex[:6]),
        "name": config.name,
        "config": config.to_json(),
        "started_wall": wall(),
        "started_monotonic_s": time.monotonic(),
        "finished_wall": None,
        "resumed": [],
        "targets": {"board": target, "server": ", ".join(sorted(map(str, servers))) or None},
        "same_machine": False,
        "machine": machine_id(),
        "threads": None,
        "bundles_folder": None,
        "bundles": {model: describe(bundle) for model, bundle in bundles.items()},
        "versions": versions(),
        "board_state": board_state(),
        "server": None,
        "sensors": None,
        "power": None,
        "images_folder": None,
        "images": [],
        "blocks": [dict(block._asdict()) for block in blocks],
    }
    return dict(document, **more)


def check_resumable(document: Dict[str, Any], options: Options, config: Optional[Config]) -> None:
    """Raise RunError unless threads, bundles, images and a config that is given are those that the run
    began with.
    """
    own = from_document(document["config"], "run.json")
    config = None if config is None else with_backends(config, options.target)
    if config is not None and config != own:
        wanted, known = config.to_json(), own.to_json()
        keys = [key for key in known if wanted[key] != known[key]]
        raise RunError(
            "the config differs from the run's in %s" % ", ".join(keys),
            "resume without --config, or begin another run",
        )
    began = {
        "--threads": (document.get("threads", options.threads), options.threads),
        "--board-quota": ((document.get("quota") or {}).get("share"), options.board_quota),
    }
    for flag, (before, now) in began.items():
        if before != now:
            raise RunError(
                "the run began with %s %s, not %s"
                % (flag, before or "left out", now or "left out"),
                "resume without %s, or begin another run" % flag,
            )
    opened = open_bundles(own, options.bundles, options.target)
    for model, one in opened.items():
        if document["bundles"][model]["manifest_sha256"] != one.bundle.manifest_sha256:
            raise RunError(
                "the bundle of %s is not the one that the run began with" % model,
                "bring that one back, or begin another run",
            )
    folder = document["images_folder"]
    known_images = [row["sha256"] for row in document["images"]]
    paths = [os.path.join(folder, row["file"]) for row in document["images"]]
    gone = [path for path in paths if not os.path.isfile(path)]
    if gone or [row["sha256"] for row in describe_images(paths)] != known_images:
        raise RunError(
            "the images in %s are not those that the run began with" % folder,
            "bring them back, or begin another run",
        )


def resume_row(options: Options) -> Dict[str, Any]:
    """What run.json's `resumed` keeps of a resume; the server is filled in when it was met."""
    return {
        "wall": wall(),
        "monotonic_s": time.monotonic(),
        "machine": machine_id(),
        "versions": versions(),
        "board_state": board_state(),
        "sensors": {"sysfs": options.sysfs, "driver": options.driver},
        "server": None,
        "repeated": {},
    }


def describe_server(client: Client, document: Dict[str, Any], started: bool) -> Dict[str, Any]:
    """What run.json keeps of the server, after a look at its models.

    Raises:
        ServerError: it is not there, lacks a model, or has other entropy tables than the board.
    """
    about = client.metadata()
    if not isinstance(about.get("name"), str):
        raise ServerError(
            "%s is not an inference server: its answer to /v2 has no name" % client.endpoint.url,
            "give --server the address that 'splitwatt serve' printed",
        )
    config = from_document(document["config"], "run.json")
    for row in config.configurations:
        if row.kind == SPLIT:
            for model in row.models:
                own = document["bundles"][model]
                client.bundle(own["model"], own["tables_id"])
    machine, own = about.get("machine"), machine_id()
    same = own == machine
    if own is None or not isinstance(machine, str):
        hosts = ("//127.", "//localhost", "//[::1]")
        same = any(name in client.endpoint.url for name in hosts)
    facts = {
        **{key: about.get(key) for key in (*HARDWARE, "name", "version", "backend", "workers")},
        "url": client.endpoint.url,
        "started_by_profile": started,
        "machine": machine,
        "same_machine": started or same,
    }
    try:
        parse(ServerFacts, facts, client.endpoint.url + "/v2")
    except RunError as error:
        raise ServerError("the server describes itself wrongly: %s" % error.message)
    return facts


def wall() -> str:
    """The wall clock, UTC, in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def default_path(config: Config) -> str:
    """A new folder under runs/, named by config and time."""
    path = os.path.join("runs", "%s-%s" % (config.name, time.strftime("%Y%m%d-%H%M%S")))
    others = ("%s-%d" % (path, count) for count in itertools.count(2))
    return next(one for one in itertools.chain([path], others) if not os.path.exists(one))


def override(
    config: Config,
    only: Optional[str],
    images: Optional[str],
    backend: Optional[str],
    pipelined: bool = False,
    links: Sequence[str] = (),
) -> Config:
    """The config as the command line changes it.

    Raises:
        UsageError: an unknown configuration or backend, or no link.
        ConfigError: a value that no config may have, such as one backend twice.
    """
    if links:
        config = config._replace(links=parse_links(links))
    if only is not None:
        config = config.only([id for id in only.split(",") if id.strip()])
    if images is not None:
        config = config._replace(images=images if images == "default" else os.path.abspath(images))
    if backend is not None:
        names = [name.strip() for name in backend.split(",") if name.strip()]
        if not names:
            raise UsageError("--backend names no backend")
        config = config._replace(backends=tuple(names))
    if pipelined:
        config = config._replace(pipelined=True)
    check_backends(config)
    return from_document(config.to_json(), "the command line")
