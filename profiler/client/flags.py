"""The flags of commands that may ask a server, and the client that they describe."""

import argparse
from typing import Any, Optional

from splitwatt.device_configs.errors import UsageError
from splitwatt.profiler.client.client import TIMEOUT_S, Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.tokens import read_token


def add_server_flags(arguments: argparse.ArgumentParser) -> None:
    """Add --server, what goes with it, and --server-backend for a run without it."""
    add = arguments.add_argument
    add("--server-backend", metavar="BACKEND", help="what runs the server's, where that is here")
    add("--server", metavar="URL", help="a running server (default: its parts run here)")
    add("--token-file", metavar="FILE", help="the token of a server in the network")
    add("--cert", metavar="FILE", help="the certificate to trust")
    add("--fingerprint", metavar="SHA256", help="of the server's certificate, instead of --cert")


def client_of(options: Any) -> Optional[Client]:
    """The client that the flags describe; None where no server is named.

    Raises:
        UsageError: the URL, token or certificate cannot be one.
    """
    if options.server is None:
        return None
    if options.server_backend:
        raise UsageError(
            "--server-backend is for a server's parts that run here, and --server gives one",
            "leave out --server-backend: the server's own backend is recorded",
        )
    token = read_token(options.token_file)
    endpoint = Endpoint(options.server, token, options.cert, options.fingerprint)
    return Client(endpoint, TIMEOUT_S)
