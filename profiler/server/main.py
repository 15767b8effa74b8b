"""`splitwatt serve`: the application on a socket, with or without TLS, until it is told to stop."""

# board: no

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import socket
from typing import Any, NamedTuple

import uvicorn

from device_configs.cli import note
from device_configs.errors import SplitwattError, UsageError
from device_configs.files import write_atomic
from device_configs.names import check_known
from engines.backends import BACKENDS
from profiler.bundles import check_target, targets
from profiler.process import die_with_parent
from profiler.server.app import Server
from profiler.server.lan import FOLDER, Credentials, fingerprint, make_credentials, own_address
from profiler.server.models import Models
from profiler.server_energy import EnergyApp
from profiler.server_recorder import PowerRecorder
from profiler.tokens import read_token

LOOPBACK = "127.0.0.1"
_KEEP_ALIVE_S = 900  # a slow board is silent for minutes while it runs something else
_STOP_WITHIN_S = 10


class Place(NamedTuple):
    """Where to listen, and what a client needs for it."""

    host: str
    address: str
    token_file: str | None
    cert: str | None
    key: str | None


def run_server(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; what was taken is finished first.

    Raises:
        UsageError: an address other than loopback without token and certificate, an unknown
            backend or target.
        SplitwattError: the address is taken.
    """
    if options.parent is not None:
        die_with_parent(options.parent, signal.SIGTERM)
    check_known("backend", options.backend, BACKENDS)
    target = _target(options.bundles, options.target)
    place = _place(options)
    token = read_token(place.token_file)
    models = Models(
        os.path.join(options.bundles, target), options.backend, options.threads, options.keep
    )
    listener = _bind(place.host, options.port)
    port = listener.getsockname()[1]
    scheme = "https" if place.cert else "http"
    url = "%s://%s:%d" % (scheme, _in_url(place.address), port)
    config = uvicorn.Config(
        EnergyApp(Server(models, options.backend, token).app(), token, _recorder(options)),
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        ssl_certfile=place.cert,
        ssl_keyfile=place.key,
    )
    count = len(models.names())
    server = _Announced(config, lambda: _announce(options, place, url, target, count))
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises a signal again once it has stopped: told to stop, it did what it should.
        signal.signal(number, server.handle_exit)
    server.run([listener])
    return 0


class _Announced(uvicorn.Server):  # type: ignore[misc,unused-ignore]
    """A server that says when it listens."""

    def __init__(self, config: Any, announce: Any) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def _recorder(options: argparse.Namespace) -> PowerRecorder | None:
    if options.energy:
        return PowerRecorder(options.energy_target, options.sysfs, options.driver)
    if options.energy_target or options.driver:
        raise UsageError("--energy-target and --driver are for --energy", "add --energy")
    return None


def _place(options: argparse.Namespace) -> Place:
    host = options.host or ("0.0.0.0" if options.lan else LOOPBACK)
    address = own_address() if host in ("0.0.0.0", "::") else host
    if options.lan:
        if options.token_file or options.cert or options.key:
            raise UsageError("--lan makes a token and a certificate", "leave out yours, or --lan")
        made = make_credentials(FOLDER, address)
        return Place(host, address, *made)
    given = Credentials(options.token_file, options.cert, options.key)
    if not _is_loopback(host) and not all(given):
        raise UsageError(
            "%s is not this machine alone: that takes a token and a certificate" % host,
            "use --lan, which makes both, or give --token-file, --cert and --key",
        )
    if bool(given.cert) != bool(given.key):
        raise UsageError("--cert and --key go together")
    return Place(host, address, *given)


def _announce(options: argparse.Namespace, place: Place, url: str, target: str, count: int) -> None:
    digest = fingerprint(place.cert) if place.cert else None
    command = "splitwatt profile --config table3.yaml --server %s" % url
    if place.token_file:
        command += " --token-file token"
    if digest:
        command += " --fingerprint %s" % digest
    about = {
        "url": url,
        "pid": os.getpid(),
        "target": target,
        "models": count,
        "token_file": place.token_file,
        "cert": place.cert,
        "fingerprint": digest,
        "command": command,
    }
    if options.ready_file:
        write_atomic(options.ready_file, json.dumps(about))
    if options.json:
        print(json.dumps(about), flush=True)
        return
    note("serving %d bundles of %s at %s" % (count, os.path.join(options.bundles, target), url))
    if place.token_file:
        note("copy %s to the board as the file 'token', and run there:" % place.token_file)
    else:
        note("profile against it with:")
    note("  " + command)


def _target(folder: str, target: str | None) -> str:
    if target is None:
        known = targets(folder)
        target = known[0] if len(known) == 1 else "cpu"
    check_target(folder, target)
    return target


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise SplitwattError(
            "%s:%d cannot be listened to: %s" % (host, port, reason), "choose another --port"
        )
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(address: str) -> str:
    return "[%s]" % address if ":" in address else address
