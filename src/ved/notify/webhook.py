"""POST to a webhook that cannot be turned against the server's own network.

The host must be in the allow-list; it is resolved once, every address that it has is checked, and the connection goes
to a checked address (so a name that changes between check and use gains nothing). No redirects, no proxies, 5 s in all.
"""

import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from ved.errors import VedError

TIMEOUT_S: Final = 5.0
_PORTS: Final = {"https": 443, "http": 80}
_AGAIN: Final = (408, 425, 429)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], list[str]]


class DeliveryError(VedError):
    """A notification was not delivered. Try again later, unless `is_final`: then it would fail in the same way."""

    def __init__(self, text: str, *, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


def addresses_of(host: str, port: int) -> list[str]:
    """All addresses of a name. DeliveryError when it has none now."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DeliveryError(f"{host}: {error.strerror or 'cannot be resolved'}") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to POST. `hosts` are those that may be used: an address among them may be private, a name never has one."""

    url: str = field(repr=False)
    hosts: Collection[str]
    resolve: Resolve = addresses_of

    @property
    def host(self) -> str:
        """The host, which is no secret (the rest of the URL may be one)."""
        return (urlsplit(self.url).hostname or "?").lower()

    def send(self, payload: Mapping[str, Any]) -> None:
        """POST the payload as JSON. DeliveryError says, without the URL, why it was not taken. Blocking, at most 5 s
        after the name was resolved.
        """
        parts = urlsplit(self.url)
        addresses, port = self._checked(parts)
        body = json.dumps(payload, allow_nan=False).encode()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json", "User-Agent": "ved", "Connection": "close"}
        deadline_s = time.monotonic() + TIMEOUT_S
        try:
            with _connect(addresses, port, deadline_s) as raw:
                status = _post(_Exchange(raw, parts, deadline_s), path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() >= deadline_s:
                raise DeliveryError(f"{self.host}: no answer within {TIMEOUT_S:.0f} s") from error
            raise DeliveryError(f"{self.host}: {_reason(error)}") from error
        if 300 <= status < 400:
            raise DeliveryError(f"{self.host}: redirects ({status}) are not followed", is_final=True)
        if not 200 <= status < 300:
            raise DeliveryError(
                f"{self.host}: answered {status}", is_final=400 <= status < 500 and status not in _AGAIN
            )

    def _checked(self, parts: SplitResult) -> tuple[list[str], int]:
        """The addresses to connect to; DeliveryError unless the allow-list lets us."""
        allowed = {one.lower() for one in self.hosts}
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            raise DeliveryError("a webhook is an https:// address without user name", is_final=True)
        if self.host not in allowed:
            raise DeliveryError(f"{self.host} is not in notify_hosts", is_final=True)
        try:
            port = parts.port or _PORTS[parts.scheme]
        except ValueError as error:
            raise DeliveryError(f"{self.host}: {error}", is_final=True) from error
        is_address = _is_address(self.host)
        if parts.scheme == "http" and not is_address:
            raise DeliveryError(f"{self.host}: http:// is for addresses of this network alone", is_final=True)
        found = self.resolve(self.host, port)
        for address in found:
            if not is_address and not _is_public(address):
                raise DeliveryError(f"{self.host} has a private address", is_final=True)
        return found, port


@dataclass(frozen=True, slots=True)
class _Exchange:
    raw: socket.socket
    parts: SplitResult
    deadline_s: float


def _post(exchange: _Exchange, path: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of the answer. However slowly the other side answers, the socket is shut at the deadline."""
    handle = exchange.raw.dup()  # TLS takes the socket over; this one still shuts the connection
    timer = threading.Timer(exchange.deadline_s - time.monotonic(), _shut, [handle])
    timer.daemon = True
    timer.start()
    try:
        host = exchange.parts.hostname or ""
        connected: socket.socket = exchange.raw
        if exchange.parts.scheme == "https":
            connected = ssl.create_default_context().wrap_socket(exchange.raw, server_hostname=host)
        connection = http.client.HTTPConnection(host, exchange.parts.port)
        connection.sock = connected
        try:
            connection.request("POST", path, body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()
    finally:
        timer.cancel()
        handle.close()


def _connect(addresses: Sequence[str], port: int, deadline_s: float) -> socket.socket:
    """A connection to the first address that takes one; OSError when none does."""
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), max(0.1, (deadline_s - time.monotonic()) / 2))
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), max(0.1, deadline_s - time.monotonic()))


def _shut(raw: socket.socket) -> None:
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return getattr(error, "strerror", None) or type(error).__name__


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inside is not None:
            return _is_public(str(inside))
        if found in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast
