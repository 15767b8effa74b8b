"""One keep-alive HTTP/1.1 connection that counts every byte it sends and receives.

Standard library alone. Bytes are counted at the HTTP level: under TLS, its records come on top.
"""

import contextlib
import hashlib
import http.client
import io
import re
import select
import socket
import ssl
import struct
import time
from typing import Any, Dict, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from splitwatt.device_configs.errors import ServerError, UsageError
from splitwatt.device_configs.files import read_bounded
from splitwatt.device_configs.printable import printable
from splitwatt.profiler.links.link import framed_bytes, seconds
from splitwatt.profiler.links.way import Drain, Paced, Way

# Of an answer's body, and of everything before and after it: status line, headers, chunk sizes.
ANSWER_BYTES = 256 << 20
_BESIDE_BYTES = 1 << 20
_POLLRDHUP = 0x2000  # of Linux; select has no name for it before Python 3.7
_PIECE_BYTES = 64 << 10
_TOKEN_BYTES = 4096
# Well below the 24 days that a socket can wait at most.
_LONGEST_TIMEOUT_S = 8 * 86400
_USER = re.compile(r"://.*@")
_REMEDY = "is 'splitwatt serve' running there?"
_SLOW = "see whether 'splitwatt serve' runs there, or have 'profile' wait longer with --timeout"


class Endpoint(NamedTuple):
    """Where the server is and what it takes to talk to it.

    Attributes:
        url: http://HOST:PORT or https://HOST:PORT.
        token: sent as a bearer token; None without one.
        certificate: path of the certificate (or authority) to trust; None for the system's.
        fingerprint: SHA-256 of the server's certificate in hexadecimal, trusted instead of an
            authority; None without one.
        way: over a shaped link; None over the network as it is.
    """

    url: str
    token: Optional[str] = None
    certificate: Optional[str] = None
    fingerprint: Optional[str] = None
    way: Optional[Way] = None


class Answer(NamedTuple):
    """An HTTP response; header names are lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes


def read_token(path: Optional[str]) -> Optional[str]:
    """The token in a file, which no list of processes shows; None without a file.

    Raises:
        UsageError: the file cannot be read or holds no token.
    """
    if path is None:
        return None
    remedy = "write one line of letters and digits into it, or use 'splitwatt serve --lan'"
    try:
        token = read_bounded(path, _TOKEN_BYTES, UsageError, remedy).decode("ascii").strip()
    except ValueError:
        raise UsageError("the token file %s is not ASCII text" % path, remedy)
    # An empty token would admit every client that sends none.
    if not token or not _is_token(token):
        what = "characters that no token has" if token else "no token"
        raise UsageError("the token file %s holds %s" % (path, what), remedy)
    return token


def _is_token(text: str) -> bool:
    return all(33 <= ord(c) <= 126 for c in text)


class Connection:
    """Sends one request at a time, each in one piece, over a connection that is kept.

    No space follows the colon of a header: HTTP needs none, and slow links pay for each.

    Args:
        endpoint: where to.
        timeout_s: of connecting, and of one exchange, to which comes what its bytes take on a link
            whose rate is known.

    Attributes:
        sent_bytes: request lines, headers and bodies since the counter was set to 0.
        received_bytes: status lines, headers and bodies since the counter was set to 0.
        limit_s: how long the last exchange might take.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Nothing is connected yet.

        Raises:
            UsageError: the URL, the token or the certificate is unusable.
        """
        secure, host, port = _read_url(endpoint.url)
        self._host, self._port = host, port or (443 if secure else 80)
        self._context = _tls_context(endpoint) if secure else None
        if not secure and (endpoint.certificate or endpoint.fingerprint):
            raise UsageError(
                "a certificate or fingerprint is given, and %s is not encrypted" % endpoint.url,
                "write https:// in the URL, or leave out the certificate and the fingerprint",
            )
        if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
            raise UsageError(
                "the timeout must be above 0 and at most %d s, not %r"
                % (_LONGEST_TIMEOUT_S, timeout_s)
            )
        self._fingerprint = (endpoint.fingerprint or "").replace(":", "").lower()
        name = "[%s]" % host if ":" in host else host
        default = self._port == (443 if secure else 80)
        self._fixed = "Host:%s\r\n" % (name if default else "%s:%d" % (name, self._port))
        if endpoint.token:
            if not _is_token(endpoint.token):
                raise UsageError("the token holds characters that no token has")
            self._fixed += "Authorization:Bearer %s\r\n" % endpoint.token
        self._url = endpoint.url
        self._timeout_s = timeout_s
        self.limit_s = timeout_s
        self._until = 0.0
        self._may_come = 0
        self._socket: Optional[Any] = None
        self._plain: Optional[Any] = None
        self._way = endpoint.way
        self._drain: Optional[Drain] = None
        self.sent_bytes = 0
        self.received_bytes = 0

    def exchange(
        self,
        method: str,
        path: str,
        headers: Dict[str, str],
        body: bytes,
        free: bool = False,
        more_s: float = 0.0,
    ) -> Answer:
        """Send a request and read its response; `free` of this process's own token buckets.

        The server may take `more_s` seconds more than the time-out for what it is asked to do.

        Raises:
            OSError, http.client.HTTPException: the connection failed; it is closed then.
            ServerError: it is not the server that was meant, or its answer is too large.
        """
        data = self.message(method, path, headers, body)
        self.limit_s = self._timeout_s + more_s + self._link_s(len(data), up=True)
        self._until = time.monotonic() + self.limit_s
        self._may_come = ANSWER_BYTES + _BESIDE_BYTES
        try:
            stream = self.open()
            if isinstance(stream, Paced):
                stream.free = free
            stream.settimeout(self.left_s())
            stream.sendall(data)
            self.sent_bytes += len(data)
            return self._receive(stream, method)
        except BaseException:
            self.close()
            raise

    def left_s(self) -> float:
        """Seconds that are left of the exchange.

        Raises:
            OSError: none are.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def received(self, count: int) -> None:
        """Count bytes of an answer, which may take as long as the link takes for them.

        Raises:
            ServerError: more come than any answer has, such as headers without an end.
        """
        self.received_bytes += count
        self._may_come -= count
        if self._may_come < 0:
            raise too_large(ANSWER_BYTES)
        more_s = self._link_s(count, up=False)
        self.limit_s += more_s
        self._until += more_s

    def gone(self, error: Exception) -> ServerError:
        """The sentence for an exchange that failed with this error."""
        if timed_out(error):
            reason, remedy = "gave no answer within %.3g s" % self.limit_s, _SLOW
        else:
            why = shown(str(getattr(error, "strerror", None) or error))
            reason, remedy = "cannot be reached: %s" % why, _REMEDY
        return ServerError("the server %s %s" % (self._url, reason), remedy)

    def _link_s(self, size: int, up: bool) -> float:
        """Seconds that a link of known rate takes for these bytes; 0 if its rate is not known."""
        if self._way is None:
            return 0.0
        rate = self._way.up_kbit_s if up else self._way.down_kbit_s
        return seconds(framed_bytes(size), rate) if rate else 0.0

    def message(self, method: str, path: str, headers: Dict[str, str], body: bytes) -> bytes:
        """A request as it is sent: its line, its headers, its body."""
        head = "%s %s HTTP/1.1\r\n%s" % (method, path, self._fixed)
        if body or method == "POST":
            head += "Content-Length:%d\r\n" % len(body)
        head += "".join("%s:%s\r\n" % item for item in headers.items())
        return (head + "\r\n").encode("ascii") + body

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._drain is not None:
            self._drain.close()
            self._drain = None

    def close_now(self) -> None:
        """Close the connection with what the kernel has not sent of it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self.close()

    def drain(self) -> Optional[float]:
        """Empty the token bucket of a kernel-shaped link; None without one.

        Connects before: a handshake would let the bucket fill again.

        Returns:
            The seconds that it took, which are no part of what is measured.

        Raises:
            ServerError: the link is gone.
        """
        if self._way is None or self._way.connect is None:
            return None
        start = time.perf_counter()
        try:
            self.open()
            self._drain = self._drain or Drain(self._way.connect)
            self._drain()
        except (OSError, ServerError) as error:
            self.close()  # a half-made connection is not for the next request
            if isinstance(error, ServerError):
                raise
            raise ServerError("the shaped link is gone: %s" % error, "run the command again")
        return time.perf_counter() - start

    def _receive(self, stream: Any, method: str) -> Answer:
        response = http.client.HTTPResponse(_Counted(stream, self), method=method)  # type: ignore
        try:
            response.begin()
            if (response.length or 0) > ANSWER_BYTES:
                raise too_large(ANSWER_BYTES)
            answer = answer_of(response)
            if response.will_close:
                self.close()
            return answer
        finally:
            response.close()

    def open(self) -> Any:
        """The connected socket; it is connected here where it is not yet.

        Raises:
            OSError: it cannot be connected.
            ServerError: it is not the server that was meant.
        """
        if self._socket is not None and _has_ended(self._plain):
            self.close()  # the server closes connections that were silent for long
        if self._socket is None:
            gate = self._way.connect if self._way is not None else None
            plain = socket.create_connection(gate or (self._host, self._port), self._timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if self._context is not None:
                self._socket = tls = self._secured(self._context, plain)
                fingerprint = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
                if self._fingerprint not in ("", fingerprint):
                    raise ServerError(
                        "the server's certificate has another fingerprint (%s...)"
                        % fingerprint[:16],
                        "copy the one that 'splitwatt serve --lan' printed",
                    )
            self._plain = self._socket
            if self._way is not None and self._way.connect is None:
                self._socket = Paced(self._socket, self._way)
        return self._socket

    def _secured(self, context: ssl.SSLContext, plain: socket.socket) -> Any:
        try:
            return context.wrap_socket(plain, server_hostname=self._host)
        # Before Python 3.7 a name that is not the certificate's was not an SSLError.
        except (ssl.SSLError, ssl.CertificateError) as error:
            if getattr(error, "reason", "CERTIFICATE_VERIFY_FAILED") != "CERTIFICATE_VERIFY_FAILED":
                raise
            why = shown(getattr(error, "verify_message", str(error)))
            raise ServerError(
                "the certificate of the server %s is not trusted: %s" % (self._url, why),
                "give the fingerprint that 'splitwatt serve --lan' printed (--fingerprint), or the certificate "
                "(--cert)",
            )


def _read_url(url: str) -> Tuple[bool, str, Optional[int]]:
    """Whether a server is asked over TLS, its host as DNS and headers have it, and its port."""
    remedy = "write http://HOST:PORT"
    shown_url = _USER.sub("://", url)  # it may hold a password
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError as error:  # UnicodeError is one
        reason = "" if shown_url != url else ": %s" % error
        raise UsageError("'%s' is not a server URL%s" % (shown_url, reason), remedy)
    if "@" in parts.netloc:
        raise UsageError(
            "the server URL %s holds a user name or password, which no server of this kind takes"
            % shown_url,
            "leave it out, and give a token with --token-file",
        )
    odd = parts.path.strip("/") or parts.query or parts.fragment or set(url) & set(" \t\r\n")
    if parts.scheme not in ("http", "https") or not host or port == 0 or odd:
        raise UsageError("'%s' is not a server URL" % url, remedy)
    return parts.scheme == "https", host, port


def answer_of(response: http.client.HTTPResponse) -> Answer:
    """The answer of a response whose head is read.

    Raises:
        http.client.IncompleteRead: its body ends early.
    """
    # In pieces: an older Python sets aside (and clears) as much as it is asked for.
    body = b"".join(iter(lambda: response.read(_PIECE_BYTES), b""))
    if response.length:  # Python's read(n) does not complain about a body cut short
        raise http.client.IncompleteRead(body, response.length)
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, body)


def shown(text: str) -> str:
    """A peer's text, safe for a terminal: one line of at most 500 characters, control characters
    escaped."""
    return printable(" ".join(text[:500].split()))


def too_large(limit_bytes: int) -> ServerError:
    """The error for an answer beyond a limit."""
    return ServerError("the server's answer is larger than %d bytes" % limit_bytes)


def _has_ended(plain: Any) -> bool:
    """Whether the other end has closed a connection."""
    waiter = select.poll()
    waiter.register(plain, _POLLRDHUP)
    return bool(waiter.poll(0))


class _Counted(io.RawIOBase):
    """A socket to read from, which adds what it reads to its connection's counter."""

    def __init__(self, stream: Any, connection: Connection) -> None:
        self._stream = stream
        self._connection = connection

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; how many bytes came, 0 at the end."""
        self._stream.settimeout(self._connection.left_s())
        count = int(self._stream.recv_into(buffer))
        self._connection.received(count)
        return count


def timed_out(error: Exception) -> bool:
    """Whether an exchange failed because it took too long."""
    return isinstance(error, socket.timeout) or "timed out" in str(error)


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=endpoint.certificate)
    except (OSError, ssl.SSLError) as error:
        raise UsageError("the certificate %s cannot be used: %s" % (endpoint.certificate, error))
    if endpoint.fingerprint:
        digits = endpoint.fingerprint.replace(":", "").lower()
        if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            raise UsageError("a fingerprint has 64 hexadecimal digits, not %d" % len(digits))
        # The certificate itself is compared, which is stricter than any chain of authorities.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
