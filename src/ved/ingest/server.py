"""The link's port: TLS, who may come in, enrolment, and the connections that are open."""

import asyncio
import base64
import binascii
import contextlib
import errno
import http
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ved.codec.link import (
    KEY_BYTES,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    Authority,
    Enrol,
    Enrolled,
    RefusalCode,
    Refused,
    Storage,
    Stored,
    decode_message,
    encode_message,
)
from ved.db.database import Database
from ved.db.keys import add_car_key, find_car_key, redeem_enrol_code
from ved.errors import CorruptDataError, StorageError, UserError
from ved.ingest.accepted import Accepted
from ved.ingest.addresslimit import AddressLimit
from ved.ingest.car import CarConnection, CarIdentity, RefusedCarError, address_of, peer_of
from ved.ingest.gate import Gate, GatedListener, listen
from ved.ingest.loglimit import LogLimit
from ved.ingest.rebuild import record_writer
from ved.ingest.store import Store
from ved.ingest.writer import Taken
from ved.link.certificates import ServerCertificates
from ved.link.dial import ENROL_PATH, PUBLISH_PATH
from ved.link.trust import server_context
from ved.metrics import (
    CONNECTIONS_GARBAGE_TOTAL,
    CONNECTIONS_REFUSED_TOTAL,
    CONNECTIONS_TOTAL,
    KEYS_SHARED_TOTAL,
    TASK_FAILURES_TOTAL,
    Counters,
)
from ved.model.records import IncidentKind

REVOKE_POLL_S: Final = 0.5
SHARED_S: Final = 3.0
OPEN_TIMEOUT_S: Final = 5.0
ENROL_TIMEOUT_S: Final = 30.0
MAX_ENROL_BYTES: Final = 1024

_log: Final = logging.getLogger("ved.ingest")
_quiet: Final = logging.getLogger("ved.ingest.websocket")
_quiet.setLevel(logging.CRITICAL)  # it prints a traceback for every stranger


class CarSocket(ServerConnection):
    """A WebSocket that knows whose key opened it."""

    car: CarIdentity | None = None


class LinkServer:
    """Accepts cars. `counters` and `store` belong to the same event loop."""

    def __init__(
        self, db: Database, certificates: ServerCertificates, store: Store, accepted: Accepted, counters: Counters
    ) -> None:
        self._db = db
        self._certificates = certificates
        self._store = store
        self._accepted = accepted
        self._counters = counters
        self._writer = record_writer()
        self._limit = LogLimit(_log)
        self._addresses = AddressLimit()
        self._cars: set[CarConnection] = set()
        self._shared: set[CarIdentity] = set()
        self._gate = Gate(self._note_turned_away)
        self._servers: list[Server] = []
        store.tell_stored = self._tell_stored
        store.tell_storing = self._tell_storing

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. UserError when the address cannot be had."""
        try:
            listeners = await asyncio.to_thread(listen, host, port, self._gate)
            self._servers = [await self._listen_on(one) for one in listeners]
        except OSError as error:
            raise _listen_error(host, port, error) from error
        return int(listeners[0].getsockname()[1])

    async def _listen_on(self, listener: GatedListener) -> Server:
        return await serve(
            self._serve_connection,
            sock=listener,
            ssl=server_context(self._certificates.server_path, self._note_garbage),
            ssl_handshake_timeout=OPEN_TIMEOUT_S,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._admit,
            create_connection=self._socket_class(),
            compression=None,
            server_header=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1.0,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            logger=_quiet,
        )

    def _socket_class(self) -> type[CarSocket]:
        note_garbage = self._note_garbage

        class CountedSocket(CarSocket):
            """What is no HTTP ends inside the library, which tells nobody."""

            def connection_lost(self, exc: Exception | None) -> None:
                if self.request is None:
                    note_garbage(f"{peer_of(self)} sends no HTTP request")
                super().connection_lost(exc)

        return CountedSocket

    async def stop(self) -> None:
        """Close the port and every connection."""
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()

    async def watch_keys(self) -> None:
        """Close the connections of revoked keys, until cancelled."""
        while True:
            await asyncio.sleep(REVOKE_POLL_S)
            self._look_for_copies()
            keys = {connection.car.key for connection in self._cars}
            if not keys:
                continue
            try:
                revoked = await asyncio.to_thread(self._find_revoked, keys)
            except (SQLAlchemyError, StorageError) as error:
                self._counters.add(TASK_FAILURES_TOTAL)
                self._limit.warning("database", "keys cannot be checked: %s", error)
                continue
            for connection in [one for one in self._cars if one.car.key in revoked]:
                self._counters.add(CONNECTIONS_REFUSED_TOTAL)
                _log.warning(
                    "key %d of %s is revoked; %s closed", connection.car.key_id, connection.car.vehicle, connection.peer
                )
                await connection.refuse(RefusalCode.REVOKED, "this car's key was revoked; enrol the car again")

    def _look_for_copies(self) -> None:
        """One key, two agents that both talk: a copied card, or two boxes enrolled by copying the folder."""
        shared: dict[CarIdentity, bytes] = {}
        for with_samples in (False, True):  # an agent may have an epoch of each kind
            cars = [one for one in self._cars if one.has_samples == with_samples]
            shared |= find_shared([(one.car, one.epoch, one.opened_s, one.heard_s) for one in cars])
        for car, epoch in shared.items():
            text = f"key {car.key_id} is used by two agents at the same time; enrol each of them"
            if car not in self._shared:
                self._counters.add(KEYS_SHARED_TOTAL)
                _log.warning("%s: %s", car.vehicle, text)
            self._store.incidents.tell(car.vehicle, epoch, IncidentKind.KEY_SHARED, text)
        self._shared = set(shared)

    def _find_revoked(self, keys: set[bytes]) -> set[bytes]:
        return {key for key in keys if find_car_key(self._db, key) is None}

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        """None lets the handshake go on; anything else is the answer to somebody who may not come in."""
        assert isinstance(socket, CarSocket)
        if self._addresses.is_blocked(address_of(socket), time.monotonic()):
            self._counters.add(CONNECTIONS_REFUSED_TOTAL)
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many tries from this address; wait\n")
        path = request.path.partition("?")[0]
        if path == ENROL_PATH:
            socket.protocol.max_message_size = MAX_ENROL_BYTES
            return None
        if path != PUBLISH_PATH:
            return self._reject(socket, http.HTTPStatus.NOT_FOUND, "there is nothing here")
        key = _bearer_key(request.headers.get_all("Authorization"))
        try:
            found = None if key is None else await asyncio.to_thread(find_car_key, self._db, key)
        except (SQLAlchemyError, StorageError) as error:
            self._counters.add(TASK_FAILURES_TOTAL)
            self._limit.warning("database", "keys cannot be checked: %s", error)
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "the server's database does not answer\n")
        if key is None or found is None:
            return self._reject(
                socket, http.HTTPStatus.UNAUTHORIZED, "this car's key is not known here or was revoked; enrol the car"
            )
        socket.car = CarIdentity(key, found.id, found.vehicle)
        self._gate.admit(socket.remote_address[:2])
        return None

    def _reject(self, socket: ServerConnection, status: http.HTTPStatus, text: str) -> Response:
        self._counters.add(CONNECTIONS_REFUSED_TOTAL)
        self._addresses.note_failure(address_of(socket), time.monotonic())
        self._limit.warning("refused", "%s refused: %s", peer_of(socket), text)
        return socket.respond(status, text + "\n")

    async def _serve_connection(self, socket: ServerConnection) -> None:
        assert isinstance(socket, CarSocket)
        self._counters.add(CONNECTIONS_TOTAL)
        try:
            if socket.car is None:
                await self._serve_enrolment(socket)
            else:
                await self._serve_car(socket, socket.car)
        except CorruptDataError as error:
            self._note_garbage(f"{peer_of(socket)} {error}")
            with contextlib.suppress(ConnectionClosed):
                await _last_word(socket, RefusalCode.PROTOCOL, str(error))
        except Exception:  # noqa: BLE001  # a task's top: one connection's failure is counted and touches no other
            self._counters.add(TASK_FAILURES_TOTAL)
            _log.exception("the connection of %s failed", peer_of(socket))

    async def _serve_car(self, socket: CarSocket, car: CarIdentity) -> None:
        connection = CarConnection(socket, car, self._store, self._accepted, self._counters, self._writer)
        try:
            hello = await connection.open()
            await self._replace(connection)
            self._cars.add(connection)
            _log.info(
                "%s is up (%s lane, %s, agent %s)", car.vehicle, hello.lane.name.lower(), connection.peer, hello.agent
            )
            connection.announce(is_up=True)
            await connection.run()
        except* RefusedCarError as group:
            for error in _leaves(group):
                assert isinstance(error, RefusedCarError)
                self._counters.add(CONNECTIONS_REFUSED_TOTAL)
                self._limit.warning("refused", "%s refused: %s", connection.peer, error)
                await connection.refuse(error.code, str(error))
        except* CorruptDataError as group:
            for error in _leaves(group):
                self._note_garbage(f"{connection.peer} ({car.vehicle}) {error}")
                await connection.refuse(RefusalCode.PROTOCOL, str(error)[:200])
        except* ConnectionClosed:
            pass
        finally:
            if connection in self._cars:
                self._cars.discard(connection)
                _log.info("%s is down (%s)", car.vehicle, connection.peer)
            connection.announce(is_up=False)

    async def _replace(self, new: CarConnection) -> None:
        """The same agent came again over the same lane: its older connection is dead, whatever TCP thinks."""
        for old in [one for one in self._cars if _is_same_lane(one, new)]:
            self._cars.discard(old)
            old.announce(is_up=False)
            old.abort()

    async def _serve_enrolment(self, socket: CarSocket) -> None:
        try:
            async with asyncio.timeout(ENROL_TIMEOUT_S):
                await socket.send(encode_message(Authority(self._certificates.ca_der)))
                data = await socket.recv()
                message = decode_message(data if isinstance(data, bytes) else b"")
                if not isinstance(message, Enrol):
                    raise CorruptDataError(f"enrols with {type(message).__name__}")
                await self._enrol(socket, message.secret)
        except (TimeoutError, ConnectionClosed):
            return

    async def _enrol(self, socket: CarSocket, secret: bytes) -> None:
        vehicle = await asyncio.to_thread(redeem_enrol_code, self._db, secret)
        if vehicle is None:
            self._counters.add(CONNECTIONS_REFUSED_TOTAL)
            self._addresses.note_failure(address_of(socket), time.monotonic())
            self._limit.warning("enrol", "%s tried an enrolment code that is unknown, used or too old", peer_of(socket))
            await _last_word(
                socket, RefusalCode.CODE, "this enrolment code is unknown, used or too old; make a new one"
            )
            return
        key = secrets.token_bytes(KEY_BYTES)
        key_id = await asyncio.to_thread(add_car_key, self._db, vehicle, key)
        _log.info("%s enrolled from %s (key %d)", vehicle, peer_of(socket), key_id)
        await socket.send(encode_message(Enrolled(vehicle, key)))

    def _note_turned_away(self, address: str) -> None:
        self._counters.add(CONNECTIONS_REFUSED_TOTAL)
        self._limit.warning("flood", "%s opens too many connections; turned away", address)

    def _note_garbage(self, text: str) -> None:
        self._counters.add(CONNECTIONS_GARBAGE_TOTAL)
        self._limit.warning("garbage", "connection closed: %s", text)

    def _tell_stored(self, stored: list[Taken]) -> None:
        """Each record's own connection hears of it; when that has gone, another one of the same agent does."""
        for taken in stored:
            origin = taken.origin
            if not isinstance(origin, CarConnection) or origin not in self._cars:
                has_samples = isinstance(origin, CarConnection) and origin.has_samples
                cars = (one for one in self._cars if one.car.vehicle == taken.vehicle)
                origin = next((one for one in cars if one.has_samples == has_samples), None)
            if origin is not None:
                origin.outbox.acknowledge(Stored, taken.epoch, taken.span)

    def _tell_storing(self, is_storing: bool) -> None:
        for connection in self._cars:
            connection.outbox.put(Storage(is_storing))


def find_shared(connections: Sequence[tuple[CarIdentity, bytes, float, float]]) -> dict[CarIdentity, bytes]:
    """Keys under which two epochs live, each with the one that came later; of (identity, epoch, opened_s, heard_s).

    Both must have been heard `SHARED_S` after the later one came: what the older one sent before may lie unread.
    """
    out: dict[CarIdentity, bytes] = {}
    for car, epoch, opened_s, heard_s in sorted(connections, key=lambda one: one[2]):
        for other, other_epoch, other_opened_s, other_heard_s in connections:
            if car == other and epoch != other_epoch and opened_s >= other_opened_s:
                both_s = opened_s + SHARED_S
                if heard_s > both_s and other_heard_s > both_s:
                    out[car] = epoch
    return out


def _is_same_lane(old: CarConnection, new: CarConnection) -> bool:
    assert old.hello is not None
    assert new.hello is not None
    return (
        old.car.vehicle == new.car.vehicle and old.hello.epoch == new.hello.epoch and old.hello.lane == new.hello.lane
    )


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    out: list[BaseException] = []
    for error in group.exceptions:
        out += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return out


async def _last_word(socket: ServerConnection, code: RefusalCode, text: str) -> None:
    await socket.send(encode_message(Refused(code, text[:200])))
    await socket.close()


def _bearer_key(headers: Sequence[str]) -> bytes | None:
    """The 32 bytes of `Authorization: Bearer BASE64URL`, or None."""
    if len(headers) != 1 or not headers[0].startswith("Bearer "):
        return None
    text = headers[0].removeprefix("Bearer ").strip()
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def _listen_error(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"port {port} on {host} is in use; stop the program that has it, or choose another link port")
    if error.errno == errno.EACCES:
        return UserError(f"port {port} needs special rights; choose a link port above 1023")
    return UserError(f"cannot listen on {host} port {port}: {error.strerror or error}")
