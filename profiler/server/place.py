"""A server's address and credentials, and the message that announces them."""

import argparse
import contextlib
import datetime
import hashlib
import ipaddress
import json
import os
import secrets
import socket
import ssl
from typing import NamedTuple

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.files import write_atomic
from splitwatt.profiler.server.setup import Served

LOOPBACK = "127.0.0.1"
FOLDER = "splitwatt-lan"
DAYS = 90
_TOKEN_BYTES = 16


class Credentials(NamedTuple):
    """Files of a server that listens to a network: token, certificate and key (PEM)."""

    token_file: str
    cert: str
    key: str


class Place(NamedTuple):
    """The address to listen on, and the files that clients need."""

    host: str
    address: str
    token_file: str | None
    cert: str | None
    key: str | None

    def url(self, port: int) -> str:
        """The URL for clients."""
        name = "[%s]" % self.address if ":" in self.address else self.address
        return "%s://%s:%d" % ("https" if self.cert else "http", name, port)


def place_of(options: argparse.Namespace) -> Place:
    """Where the command line wants the server.

    Raises:
        UsageError: an address other than loopback without token and certificate, or files that are
            not a certificate and its key.
    """
    host = options.host or ("0.0.0.0" if options.lan else LOOPBACK)
    address = own_address() if host in ("0.0.0.0", "::") else host
    if options.lan:
        if options.token_file or options.cert or options.key:
            raise UsageError(
                "--lan makes a token and a certificate", "leave out your own, or --lan"
            )
        made = make_credentials(FOLDER, address)
        return Place(host, address, *made)
    given = Credentials(options.token_file, options.cert, options.key)
    if not is_loopback(host) and not all(given):
        raise UsageError(
            "other machines can reach %s: that needs a token and a certificate" % host,
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
            "%s and %s are not a certificate and its key: %s" % (cert, key, reason),
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


def make_credentials(folder: str, address: str) -> Credentials:
    """Write a new token, and a new certificate for `address`, that only this user can read.

    Raises:
        SplitwattError: the folder is not writable.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        made = Credentials(*(os.path.join(folder, n) for n in ("token", "cert.pem", "key.pem")))
        _write_secret(made.token_file, secrets.token_urlsafe(_TOKEN_BYTES).encode())
    except OSError as error:
        raise SplitwattError("%s cannot be written: %s" % (folder, error.strerror))
    _write_certificate(made, address)
    return made


def fingerprint(cert: str) -> str:
    """SHA-256 of a PEM certificate's DER bytes, 64 hexadecimal digits.

    Raises:
        UsageError: the file holds no certificate.
    """
    try:
        with open(cert, encoding="ascii") as stream:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(stream.read())).hexdigest()
    except (OSError, ValueError) as error:
        raise UsageError("%s is not a certificate: %s" % (cert, error))


def own_address() -> str:
    """The address of this machine that others in the network most likely see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation's own network: nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _write_certificate(made: Credentials, address: str) -> None:
    # Triton, which needs none of this, runs without the package.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "splitwatt")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.IPAddress(ipaddress.ip_address(a)) for a in sorted({address, "127.0.0.1"})]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write_secret(made.key, key.private_bytes(pem, *plain))
    _write_secret(made.cert, certificate.public_bytes(pem))


def _write_secret(path: str, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
