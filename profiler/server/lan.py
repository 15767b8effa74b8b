"""A token and a self-signed certificate, so that a board in the same network can use the server."""

import contextlib
import datetime
import hashlib
import ipaddress
import os
import secrets
import socket
import ssl
from typing import NamedTuple

from splitwatt.device_configs.errors import SplitwattError, UsageError

FOLDER = "splitwatt-lan"
DAYS = 90
_TOKEN_BYTES = 16


class Credentials(NamedTuple):
    """Files of a server that listens to a network: token, certificate and key (PEM)."""

    token_file: str
    cert: str
    key: str


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
        raise UsageError("%s is no certificate: %s" % (cert, error))


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
