"""The port for datagrams: who may be heard, in the order of docs/spec/datagram.md. Nobody is ever answered."""

import asyncio
import errno
import functools
import logging
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from ved.codec.datagram import MAX_DATAGRAM_BYTES, decode_datagram, has_right_mac, peek_key_id
from ved.db.database import Database
from ved.db.keys import list_datagram_keys
from ved.errors import CorruptDataError, StorageError, UserError
from ved.ingest.accepted import Accepted, EpochKey
from ved.ingest.addresslimit import AddressLimit
from ved.ingest.datagramepoch import DatagramEpoch
from ved.ingest.gate import network_of
from ved.ingest.loglimit import LogLimit
from ved.ingest.store import Store
from ved.link.datagramkeys import derive_key
from ved.metrics import (
    DATAGRAMS_CORRUPT_TOTAL,
    DATAGRAMS_GARBAGE_TOTAL,
    DATAGRAMS_LIMITED_TOTAL,
    DATAGRAMS_REFUSED_TOTAL,
    TASK_FAILURES_TOTAL,
    Counters,
)

ADDRESS_BURST: Final = 2000
ADDRESS_PER_S: Final = 1000.0
ALL_PER_S: Final = 10_000
MAX_EPOCHS: Final = 64
MAX_WAITING: Final = 2048
"""Datagrams with a right MAC that wait for their turn, at most 3 MB."""
KEYS_S: Final = 0.5
TICK_S: Final = 1.0
_AT_ONCE: Final = 64
_RECEIVE_BUFFER_BYTES: Final = 4 << 20

_log: Final = logging.getLogger("ved.ingest")
_network_of: Final = functools.lru_cache(maxsize=4096)(network_of)


@dataclass(frozen=True, slots=True)
class _Known:
    """A valid key and whose it is."""

    vehicle: str
    key: bytes
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A datagram with a right MAC, and when it came (monotonic)."""

    vehicle: str
    data: bytes
    peer: str
    now_us: int


class KeyRing:
    """The valid keys by number, read from the database again and again: none of a datagram's work waits for it."""

    def __init__(self, db: Database, secret: bytes, limit: LogLimit) -> None:
        self._db = db
        self._secret = secret
        self._limit = limit
        self._known: dict[int, _Known] = {}

    def find(self, key_id: int) -> _Known | None:
        """The key of this number, None when it is unknown or revoked."""
        return self._known.get(key_id)

    def load(self) -> None:
        """Read them anew (blocking). SQLAlchemyError or StorageError when the database does not answer."""
        known = {}
        for row in list_datagram_keys(self._db):
            before = self._known.get(row.id)
            if before is not None and (before.vehicle, before.key_hash) == (row.vehicle, row.key_hash):
                known[row.id] = before
                continue
            key = derive_key(self._secret, row.vehicle, row.id)
            if row.has_hash(key):
                known[row.id] = _Known(row.vehicle, key, row.key_hash)
            else:
                self._limit.warning("keys", "key %d was made with another secret; make a new one", row.id)
        self._known = known


class DatagramServer:
    """Listens. `store`, `accepted` and `counters` belong to the same event loop."""

    def __init__(self, keys: KeyRing, store: Store, accepted: Accepted, counters: Counters, limit: LogLimit) -> None:
        self._keys = keys
        self._store = store
        self._accepted = accepted
        self._counters = counters
        self._limit = limit
        self._rates = AddressLimit(ADDRESS_BURST, ADDRESS_PER_S)
        self._left = ALL_PER_S
        self._sockets: list[socket.socket] = []
        self._epochs: OrderedDict[EpochKey, DatagramEpoch] = OrderedDict()
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)

    async def start(self, host: str, port: int) -> None:
        """Listen. UserError when the address cannot be had; StorageError when the keys cannot be read."""
        await asyncio.to_thread(self._keys.load)
        try:
            self._sockets = await asyncio.to_thread(listen, host, port)
        except OSError as error:
            raise _listen_error(host, port, error) from error
        self._resume()

    async def run(self) -> None:
        """Take what comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            group.create_task(self._watch_keys())
            group.create_task(self._tick())

    async def stop(self) -> None:
        """Close the port, take what waits, and say of every epoch that it is over."""
        self._pause()
        for one in self._sockets:
            one.close()
        self._sockets = []
        while not self._waiting.empty():
            await self._take(self._waiting.get_nowait())
        for epoch in self._epochs.values():
            await epoch.close(time.monotonic_ns() // 1000)
        self._epochs.clear()

    def _resume(self) -> None:
        loop = asyncio.get_running_loop()
        self._left = ALL_PER_S
        for one in self._sockets:
            loop.add_reader(one, self._receive, one)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        for one in self._sockets:
            loop.remove_reader(one)

    def _receive(self, one: socket.socket) -> None:
        """Some datagrams, so that others get their turn between them."""
        for _ in range(_AT_ONCE):
            if self._left <= 0:
                self._counters.add(DATAGRAMS_LIMITED_TOTAL)
                self._limit.warning("datagrams", "more than %d datagrams in a second; the port rests", ALL_PER_S)
                self._pause()
                return
            try:
                data, address = one.recvfrom(MAX_DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return
            except OSError as error:  # an answer of some network to a packet that was never sent
                self._limit.warning("datagrams", "the port for datagrams: %s", error)
                return
            self._left -= 1
            self._judge(data, address)

    def _judge(self, data: bytes, address: Any) -> None:
        """Rate, form, key and MAC."""
        now_ns = time.monotonic_ns()
        network = _network_of(str(address[0]))
        if self._rates.is_blocked(network, now_ns / 1e9):
            self._counters.add(DATAGRAMS_LIMITED_TOTAL)
            return
        self._rates.note_failure(network, now_ns / 1e9)
        try:
            known = self._keys.find(peek_key_id(data))
        except CorruptDataError as error:
            self._refuse(DATAGRAMS_GARBAGE_TOTAL, address, str(error))
            return
        if known is None or not has_right_mac(data, known.key):
            self._refuse(DATAGRAMS_REFUSED_TOTAL, address, "unknown key or wrong MAC")
            return
        try:
            peer = f"{address[0]}:{address[1]}"
            self._waiting.put_nowait(_Waiting(known.vehicle, data, peer, now_ns // 1000))
        except asyncio.QueueFull:
            self._counters.add(DATAGRAMS_LIMITED_TOTAL)

    def _refuse(self, counter: str, address: Any, why: str) -> None:
        self._counters.add(counter)
        self._limit.warning("datagrams", "datagram of %s:%s refused: %s", address[0], address[1], why)

    async def _work(self) -> None:
        while True:
            waiting = await self._waiting.get()
            try:
                await self._take(waiting)
            except Exception:  # noqa: BLE001  # a task's top: one device's failure is counted and touches no other
                self._counters.add(TASK_FAILURES_TOTAL)
                _log.exception("a datagram of %s failed", waiting.vehicle)

    async def _take(self, waiting: _Waiting) -> None:
        try:
            datagram = decode_datagram(waiting.data)
        except CorruptDataError as error:
            self._counters.add(DATAGRAMS_CORRUPT_TOTAL)
            self._limit.warning("datagrams", "%s (%s) sends a bad datagram: %s", waiting.vehicle, waiting.peer, error)
            return
        key = (waiting.vehicle, datagram.epoch)
        epoch = self._epochs.get(key)
        if epoch is None:
            if len(self._epochs) >= MAX_EPOCHS:
                _, longest_silent = self._epochs.popitem(last=False)
                await longest_silent.close(waiting.now_us)
            state = self._accepted.state(*key)
            epoch = self._epochs[key] = DatagramEpoch(waiting.vehicle, datagram, self._store, state, waiting.now_us)
            _log.info("%s sends datagrams (%s)", waiting.vehicle, waiting.peer)
        self._epochs.move_to_end(key)
        epoch.peer = waiting.peer
        await epoch.take(datagram, waiting.data, waiting.now_us, self._counters)

    async def _watch_keys(self) -> None:
        while True:
            await asyncio.sleep(KEYS_S)
            try:
                await asyncio.to_thread(self._keys.load)
            except (SQLAlchemyError, StorageError) as error:
                self._counters.add(TASK_FAILURES_TOTAL)
                self._limit.warning("database", "keys cannot be checked: %s", error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._resume()
            for epoch in list(self._epochs.values()):
                await epoch.tick(time.monotonic_ns() // 1000)


def listen(host: str, port: int) -> list[socket.socket]:
    """One socket for each address of `host`. OSError when it cannot be had."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    out: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made = socket.socket(family, kind, protocol)
            out.append(made)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            made.bind(address)
            made.setblocking(False)
    except OSError:
        for made in out:
            made.close()
        raise
    return out


def _listen_error(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"UDP port {port} on {host} is in use; stop the program that has it, or set datagram_port")
    if error.errno == errno.EACCES:
        return UserError(f"UDP port {port} needs special rights; choose a datagram_port above 1023")
    return UserError(f"cannot listen on {host} UDP port {port}: {error.strerror or error}")
