"""A server's address and credentials, and the message that announces them."""

import argparse
import ipaddress
import json
import os
import socket
import ssl
from typing import NamedTuple

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.files import write_atomic
from splitwatt.profiler.server.lan import (
    FOLDER,
    Credentials,
    fingerprint,
    make_credentials,
    own_address,
)
from splitwatt.profiler.server.setup import Served

LOOPBACK = "127.0.0.1"


class Place(NamedTuple):
    """The address to listen on, and the files that clients need."""

    host: str
    address: str
    token_file: str | None
    cert: str | None
    key: str | None

    def url(self, port: int) -> str:
        """What a client is given."""
        name = "[%s]" % self.address if ":" in self.address else self.address
        return "%s://%s:%d" % ("https" if self.cert else "http", name, port)


def place_of(options: argparse.Namespace) -> Place:
    """Where the command line wants the server.

    Raises:
        UsageError: an address other than loopback without token and certificate, or files that
            are no certificate and its key.
    """
    host = options.host or ("0.0.0.0" if options.lan else LOOPBACK)
    address = own_address() if host in ("0.0.0.0", "::") else host
    if options.lan:
        if options.token_file or options.cert or options.key:
            raise UsageError("--lan makes a token and a certificate", "leave out yours, or --lan")
        made = make_credentials(FOLDER, address)
        return Place(host, address, *made)
    given = Credentials(options.token_file, options.cert, options.key)
    if not is_loopback(host) and not all(given):
        raise UsageError(
            "%s is not this machine alone: that takes a token and a certificate" % host,
            "use --lan, which makes both, or give --token-file, --cert and --key",
        )
    if bool(given.cert) != bool(given.key):
        raise UsageError("--cert and --key go together")
    if given.cert and given.key:
        _check_pair(given.cert, given.key)
    return Place(host, address, *given)


def _check_pair(cert: str, key: str) -> None:
    for path in (cert, key):
        if not os.path.isfile(path):
            raise UsageError("there is no file %s" % path, "--cert and --key are PEM files")
    try:
        # A key under a password would be asked for at the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            "%s and %s are no certificate and its key: %s" % (cert, key, reason),
            "give a certificate and the key that it was made with, as PEM, without a password",
        )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        SplitwattError: the address is taken, or does not belong to this machine.
    """
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


def announce(
    options: argparse.Namespace,
    place: Place,
    url: str,
    what: Served,
    count: int,
    metrics: str | None = None,
) -> None:
    """Announce the server to people, and to programs that wait for `--ready-file` or read `--json`.

    `count` is of its bundles; `metrics` the address of its metrics, None for its own /metrics.
    """
    digest = fingerprint(place.cert) if place.cert else None
    command = "splitwatt profile --config table3.yaml --target %s --server %s" % (what.target, url)
    if place.token_file:
        command += " --token-file token"
    if digest:
        command += " --fingerprint %s" % digest
    about = {
        "url": url,
        "metrics": metrics or url + "/metrics",
        "pid": os.getpid(),
        "target": what.target,
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
    note("serving %d %s at %s" % (count, what.named, url))
    if metrics:
        note("its metrics are at " + metrics)
    if place.token_file:
        note("copy %s to the board as the file 'token', and run there:" % place.token_file)
    else:
        note("profile against it with:")
    note("  " + command)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
