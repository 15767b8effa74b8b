"""The flags of commands that may ask a server, and the client that they describe."""

import argparse
from typing import Any, Optional

from profiler.client import TIMEOUT_S, Client
from profiler.connection import Endpoint
from profiler.tokens import read_token


def add_server_flags(arguments: argparse.ArgumentParser) -> None:
    """Add --server and what goes with it."""
    add = arguments.add_argument
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
    token = read_token(options.token_file)
    endpoint = Endpoint(options.server, token, options.cert, options.fingerprint)
    return Client(endpoint, TIMEOUT_S)
