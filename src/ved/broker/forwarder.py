"""Carries a journal's stream on to Kafka, byte for byte, as far as it is durable; waits as long as Kafka is away."""

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from typing import Final

from ved.broker.base import StreamEntry, StreamReader
from ved.broker.cluster import FORWARDED, KafkaCluster
from ved.broker.journal import JournalStream
from ved.broker.kafka import KafkaStream
from ved.broker.kafka_topic import KEEPS_POSITIONS
from ved.broker.kafka_writer import KafkaStreamWriter, partition_of, vehicle_key
from ved.codec.stream import pack_entry
from ved.errors import StorageError

_READ_S: Final = 0.2
_COMMIT_S: Final = 1.0
_RETRY_S: Final = 1.0
_IDENTITY_S: Final = 10.0
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Target:
    """The topic as it was when forwarding began. The cursor is this topic's own: one made anew gets all again."""

    identity: str
    cursor: str
    writer: KafkaStreamWriter


class Forwarder:
    """Forwards one stream. `why` it waits, or nothing."""

    def __init__(self, journal: JournalStream, cluster: KafkaCluster) -> None:
        self._journal = journal
        self._kafka = KafkaStream(cluster, "frames" if journal.path.name == "frames" else "events")
        self._mark: StreamReader | None = None
        self._done = 0
        self.why = ""

    def waiting(self) -> int:
        """Entries that are durable in the journal and that Kafka has not acknowledged; does not wait."""
        return 0 if self._mark is None else max(0, self._mark.durable_position() - self._done)

    async def run(self, stop: asyncio.Event) -> None:
        """Forward until `stop`; then what is durable and can go at once."""
        self._mark = mark = await asyncio.to_thread(self._journal.reader, "earliest")
        done = await asyncio.to_thread(self._journal.cursor, FORWARDED)
        self._done = mark.position if done is None else done
        try:
            await self._forward_again_and_again(stop)
        finally:
            self._mark = None
            mark.close()

    async def _forward_again_and_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._forward(stop)
                self.why = ""
            except StorageError as error:
                self._say(error)
                await _pause(stop, _RETRY_S)

    def _say(self, error: StorageError) -> None:
        if str(error) != self.why:
            _log.warning("stream %s waits for Kafka: %s", self._journal.path.name, error)
        self.why = str(error)

    async def _forward(self, stop: asyncio.Event) -> None:
        target = await asyncio.to_thread(self._open)
        start = await asyncio.to_thread(self._journal.cursor, target.cursor)
        reader = self._journal.reader("earliest" if start is None else start)
        try:
            await self._carry(target, reader, stop)
        finally:
            reader.close()
            await asyncio.to_thread(target.writer.abandon)

    def _open(self) -> _Target:
        writer = self._kafka.writer()
        identity = self._kafka.topic.identity()
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return _Target(identity, f"{FORWARDED}-{name}", writer)

    async def _carry(self, target: _Target, reader: StreamReader, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        committed = -1
        commit_s = look_s = loop.time()
        held: list[StreamEntry] = []
        while True:
            is_last = stop.is_set()
            if not held:
                held = await reader.read(timeout_s=0.0 if is_last else _READ_S)
            durable = reader.durable_position()
            ready = [entry for entry in held if entry.position < durable]
            held = held[len(ready) :]
            await asyncio.to_thread(self._send, target.writer, ready)
            now_s = loop.time()
            if is_last:
                await asyncio.to_thread(target.writer.settle, _RETRY_S)
            if is_last or now_s - commit_s >= _COMMIT_S:
                commit_s = now_s
                done = await asyncio.to_thread(self._settled, target.writer, reader, held)
                if done != committed:
                    await asyncio.to_thread(self._commit, target.cursor, done)
                    committed = done
            if now_s - look_s >= _IDENTITY_S:
                look_s = now_s
                if await asyncio.to_thread(self._is_another, target):
                    raise StorageError("its topic was made anew; all is sent again")
            if is_last and not ready:
                return
            if held and not ready:
                await asyncio.sleep(_READ_S / 4)  # written, and not yet synced

    def _is_another(self, target: _Target) -> bool:
        """True when the topic is not the one that forwarding began with.

        While Kafka is away nobody knows: what is on its way stays with its producer, for another would send it twice.
        """
        try:
            identity = self._kafka.topic.identity()
        except StorageError as error:
            if target.writer.first_waiting is None:
                raise
            self._say(error)
            return False
        self.why = ""
        return identity != target.identity

    def _send(self, writer: KafkaStreamWriter, entries: list[StreamEntry]) -> None:
        """Queue the entries; what the topic has already, from before a crash, is left out."""
        known = writer.last_positions
        for entry in entries:
            key = vehicle_key(entry.record)
            has_it = self._kafka.topic.stream in KEEPS_POSITIONS
            if has_it and entry.position <= known[partition_of(key, len(known))]:
                continue
            writer.put(pack_entry(entry.arrival, entry.record), entry.arrival.utc_us, key, entry.position)

    def _settled(self, writer: KafkaStreamWriter, reader: StreamReader, held: list[StreamEntry]) -> int:
        """Everything below this position is in Kafka."""
        failure = writer.failure()
        if failure:
            raise StorageError(failure)
        waiting = writer.first_waiting
        if waiting is not None:
            return waiting
        return held[0].position if held else reader.position

    def _commit(self, cursor: str, position: int) -> None:
        self._done = position  # Kafka has them, noted or not
        self._journal.commit_cursor(cursor, position)
        self._journal.commit_cursor(FORWARDED, position)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
