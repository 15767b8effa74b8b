"""The flags of commands that may ask a server, and the client that they describe."""

import argparse
from typing import Any, Optional

from splitwatt.device_configs.errors import UsageError
from splitwatt.profiler.client.client import TIMEOUT_S, Client
from splitwatt.profiler.client.connection import Endpoint, read_token


def add_server_flags(
    arguments: argparse.ArgumentParser,
    backend: bool = True,
    default: str = "run its parts on this machine",
) -> None:
    """Add --server (`default` says what happens without it) and its flags; --server-backend, too,
    where `backend`.
    """
    add = arguments.add_argument
    if backend:
        add("--server-backend", metavar="BACKEND",
            help="backend of the server's parts, if they run here")  # fmt: skip
    add("--server", metavar="URL", help="a running server (default: %s)" % default)
    add("--token-file", metavar="FILE", help="file with the server's token")
    add("--cert", metavar="FILE", help="the server's certificate, PEM")
    add(
        "--fingerprint",
        metavar="SHA256",
        help="SHA-256 of the server's certificate, instead of --cert",
    )


def endpoint_of(options: Any) -> Optional[Endpoint]:
    """The server that the flags name; None where they name none.

    Raises:
        UsageError: the token file cannot be read or holds no token.
    """
    if options.server is None:
        return None
    token = read_token(options.token_file)
    return Endpoint(options.server, token, options.cert, options.fingerprint)


def client_of(options: Any) -> Optional[Client]:
    """The client that the flags describe; None where no server is named.

    Raises:
        UsageError: the URL, token or certificate cannot be one.
    """
    endpoint = endpoint_of(options)
    if endpoint is None:
        return None
    if options.server_backend:
        raise UsageError(
            "--server-backend is for a server's parts that run here, and --server gives one",
            "leave out --server-backend: the server's own backend is recorded",
        )
    return Client(endpoint, TIMEOUT_S)
