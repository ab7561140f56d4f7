"""Reaching the server: its name is resolved anew at every try, and each of its addresses gets a turn."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
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
RESOLVE_TIMEOUT_S: Final = 5.0
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
        worst: VedError | None = None
        for endpoint in await self.resolve():
            try:
                return await open_endpoint(endpoint, path, tls, headers)
            except LinkRefusedError as error:
                worst = error
            except LinkLostError as error:
                worst = worst or error
        assert worst is not None
        raise worst


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
    endpoint: Endpoint, path: str, tls: ssl.SSLContext, headers: dict[str, str]
) -> ClientConnection:
    """A connection to this endpoint, whose certificate must carry `host`. LinkLostError or LinkRefusedError."""
    where = f"{endpoint.host} ({endpoint.ip}) port {endpoint.port}"
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    try:
        return await connect(
            f"wss://{host}:{endpoint.port}{path}",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            additional_headers=headers,
            user_agent_header=None,
            proxy=None,
            open_timeout=CONNECT_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            logger=_quiet,
            ssl=tls,
            host=endpoint.ip,
            port=endpoint.port,
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
