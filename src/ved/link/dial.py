"""Reaching the server: its name is resolved anew at every try, and each of its addresses gets a turn."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from ved.codec.link import MAX_MESSAGE_BYTES, SUBPROTOCOL
from ved.errors import LinkLostError, LinkRefusedError, VedError
from ved.link.credentials import ServerAddress

CONNECT_TIMEOUT_S: Final = 5.0
TRY_S: Final = 0.3
OPEN_TIMEOUT_S: Final = 5.0
RESOLVE_TIMEOUT_S: Final = 5.0
SEGMENT_BYTES: Final = 1220
"""TCP's segments, both ways: with IPv6 and TCP headers 1280 bytes, which every path carries. Many a radio link drops
larger ones and tells nobody."""

PUBLISH_PATH: Final = "/publish"
ENROL_PATH: Final = "/enrol"

_REFUSING_STATUS: Final = range(400, 500)
_CLOSE_TIMEOUT_S: Final = 1.0

_quiet: Final = logging.getLogger("ved.link.websocket")
_quiet.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the server: the name that its certificate must carry, and where to connect."""

    host: str
    ip: str
    port: int

    @property
    def where(self) -> str:
        """For a person."""
        return f"{self.host} ({self.ip}) port {self.port}"


class Dialer:
    """Opens connections to one server that may have several addresses; each try begins with the next one."""

    def __init__(self, addresses: Sequence[ServerAddress]) -> None:
        self._addresses = tuple(addresses)
        self._known: dict[ServerAddress, list[Endpoint]] = {}
        self._tries = 0

    async def resolve(self) -> list[Endpoint]:
        """All endpoints, from this try's first on. A name that does not resolve now keeps its last answer."""
        found: list[Endpoint] = []
        for address in self._addresses:
            try:
                async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                    self._known[address] = await _look_up(address)
            except (OSError, UnicodeError):
                pass  # TimeoutError is an OSError; the last answer stands, and none at all is said below
            found += self._known.get(address, [])
        if not found:
            names = ", ".join(address.host for address in self._addresses)
            raise LinkLostError(f"the server's name {names} does not resolve")
        first = self._tries % len(found)
        self._tries += 1
        return found[first:] + found[:first]

    async def open(self, path: str, tls: ssl.SSLContext, headers: dict[str, str]) -> ClientConnection:
        """A connection over the first endpoint that answers. LinkRefusedError, or LinkLostError when none does."""
        endpoints = await self.resolve()
        worst: VedError | None = None
        while endpoints:
            try:
                endpoint, plain = await _first_to_answer(endpoints)
            except LinkLostError as error:
                raise worst or error from None
            try:
                return await open_endpoint(endpoint, path, tls, headers, plain)
            except LinkRefusedError as error:
                worst = error
            except LinkLostError as error:
                worst = worst or error
            endpoints.remove(endpoint)
        assert worst is not None
        raise worst


async def _first_to_answer(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, socket.socket]:
    """The first endpoint that takes a TCP connection; LinkLostError when none does within `CONNECT_TIMEOUT_S`.

    A new try begins every `TRY_S`, each endpoint in turn, and the older ones go on: where nothing gets through, the
    kernel repeats a try ever more rarely, and the link may be back at any moment.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + CONNECT_TIMEOUT_S
    left, failure = deque(dict.fromkeys(endpoints)), ""
    tries: dict[asyncio.Task[socket.socket], Endpoint] = {}
    try:
        while (now_s := loop.time()) < until_s and (left or tries):
            if left:
                tries[asyncio.create_task(_connect(left[0]))] = left[0]
                left.rotate(-1)
            done, _ = await asyncio.wait(tries, timeout=min(TRY_S, until_s - now_s), return_when=FIRST_COMPLETED)
            for task in done:
                endpoint, error = tries[task], task.exception()
                if error is None:
                    del tries[task]
                    return endpoint, task.result()
                del tries[task]
                failure = f"{endpoint.where}: {_reason(error)}"
                left = deque(one for one in left if one != endpoint)  # it says no: another try would hear the same
        raise LinkLostError(failure or f"{endpoints[0].where} does not answer")
    finally:
        for task in tries:
            _abandon(task)


async def _connect(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.ip else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        if hasattr(socket, "TCP_MAXSEG"):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        await asyncio.get_running_loop().sock_connect(plain, (endpoint.ip, endpoint.port))
    except BaseException:  # also a try that is given up: the socket is closed and the reason goes on
        plain.close()
        raise
    return plain


def _abandon(task: "asyncio.Task[socket.socket]") -> None:
    """Another try was faster, or nobody waits any more."""

    def close(done: "asyncio.Task[socket.socket]") -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().close()

    task.cancel()
    task.add_done_callback(close)


def _reason(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


async def _look_up(address: ServerAddress) -> list[Endpoint]:
    """Ask the resolver, in a thread that nothing waits for at the end: without a network it may hang for long."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()
    threading.Thread(target=_resolve, args=(address, loop, answer), name="resolver", daemon=True).start()
    return [Endpoint(address.host, ip, address.port) for ip in await answer]


def _resolve(address: ServerAddress, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]") -> None:
    found: list[str] = []
    failure: OSError | UnicodeError | None = None
    try:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(one[4][0]) for one in answers))
    except (OSError, UnicodeError) as error:
        failure = error

    def tell() -> None:
        if answer.done():
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)

    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(tell)


async def open_endpoint(
    endpoint: Endpoint, path: str, tls: ssl.SSLContext, headers: dict[str, str], plain: socket.socket
) -> ClientConnection:
    """TLS and WebSocket over `plain` to this endpoint, whose certificate must carry `host`.

    LinkLostError or LinkRefusedError.
    """
    where = endpoint.where
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    try:
        return await connect(
            f"wss://{host}:{endpoint.port}{path}",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            additional_headers=headers,
            user_agent_header=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            logger=_quiet,
            ssl=tls,
            sock=plain,
            server_hostname=endpoint.host,
        )
    except ssl.SSLCertVerificationError as error:
        raise LinkRefusedError(
            f"{where} is not the server of this car's enrolment: {error.verify_message or error.reason}"
        ) from error
    except InvalidStatus as error:
        status, body = error.response.status_code, error.response.body or b""
        text = body.decode(errors="replace").strip() or f"HTTP status {status}"
        if status in _REFUSING_STATUS:
            raise LinkRefusedError(f"{where} refuses: {text}") from error
        raise LinkLostError(f"{where}: {text}") from error
    except InvalidMessage as error:
        raise LinkLostError(f"{where} does not speak the link protocol") from error
    except InvalidHandshake as error:
        raise LinkRefusedError(f"{where} speaks no version of the link that this program knows: {error}") from error
    except TimeoutError as error:
        raise LinkLostError(f"{where} does not answer") from error
    except OSError as error:
        raise LinkLostError(f"{where}: {error.strerror or error}") from error
