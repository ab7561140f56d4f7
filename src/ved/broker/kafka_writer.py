"""Writes a stream to its Kafka topic: idempotent, acknowledged by all replicas, one vehicle in one partition."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import google_crc32c
from confluent_kafka import KafkaError, Message, Producer, TopicPartition

from ved.broker.base import StreamWriter
from ved.broker.kafka_topic import (
    ANSWER_S,
    KEEPS_POSITIONS,
    MAX_MESSAGE_BYTES,
    POSITION_HEADER,
    Topic,
    TopicScan,
    pack_position,
    storage_errors,
)
from ved.codec.header import peek
from ved.codec.stream import pack_entry
from ved.errors import CorruptDataError, StorageError
from ved.model.records import Arrival

_LINGER_MS: Final = 5
_SYNC_S: Final = 30.0


def vehicle_key(record: bytes) -> bytes:
    """The vehicle's name: what Kafka divides a stream by. Bytes that are no record go together."""
    try:
        return peek(record).vehicle.encode()
    except CorruptDataError:
        return b""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a vehicle: by CRC32C, so that whoever writes agrees."""
    crc: int = google_crc32c.value(key)
    return crc % partitions


class KafkaStreamWriter(StreamWriter):
    """StreamWriter on a topic."""

    def __init__(self, topic: Topic, cursor_of: Callable[[str], int | None], now_us: Callable[[], int]) -> None:
        self._topic = topic
        self._cursor_of = cursor_of
        self._now_us = now_us
        self._scan = TopicScan(topic)
        self._partitions = range(topic.ensure())
        self._has_header = topic.stream in KEEPS_POSITIONS
        self.last_positions = tuple(self._scan.last_position(partition) for partition in self._partitions)
        self._next = 1 + max(self.last_positions)
        self._entry_bytes = self._mean_entry_bytes()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, int]] = deque()
        self._delivered: set[int] = set()
        self._durable = self._next
        self._unsynced_bytes = 0
        self._failure = ""
        with storage_errors("settings"):
            self._producer = Producer(
                topic.cluster.client(
                    **{
                        "enable.idempotence": True,
                        "acks": "all",
                        "linger.ms": _LINGER_MS,
                        "compression.type": "none",
                        "message.max.bytes": MAX_MESSAGE_BYTES,
                        "delivery.timeout.ms": 2_147_483_647,
                        "queue.buffering.max.kbytes": 1 << 18,
                    }
                )
            )

    @property
    def next_position(self) -> int:
        """See StreamWriter."""
        return self._next

    @property
    def durable_position(self) -> int:
        """See StreamWriter."""
        self._producer.poll(0)
        return self._durable

    @property
    def unsynced_bytes(self) -> int:
        """See StreamWriter."""
        self._producer.poll(0)
        return self._unsynced_bytes

    @property
    def size_bytes(self) -> int:
        """See StreamWriter; entries times their mean size."""
        return round(self._count() * self._entry_bytes)

    def append(self, arrival: Arrival, record: bytes) -> int:
        """See StreamWriter. Entries go out in the background; `sync` waits for them."""
        position = self._next
        self.put(pack_entry(arrival, record), arrival.utc_us, vehicle_key(record), position)
        return position

    def put(self, entry: bytes, utc_us: int, key: bytes, position: int) -> None:
        """Send an entry as it is, at a position of its own; StorageError when the queue is full."""

        def answered(failure: KafkaError | None, _message: Message) -> None:
            self._answered(position, failure)

        headers: list[tuple[str, str | bytes | None]] = []
        if self._has_header:
            headers.append((POSITION_HEADER, pack_position(position)))
        with storage_errors(f"topic {self._topic.name}"):
            try:
                self._producer.produce(
                    self._topic.name,
                    entry,
                    key,
                    partition_of(key, len(self._partitions)),
                    headers=headers,
                    timestamp=max(0, utc_us // 1000),
                    on_delivery=answered,
                )
            except BufferError as error:
                self._producer.poll(0.1)
                raise StorageError(f"Kafka, topic {self._topic.name}: does not keep up, or is away") from error
        with self._lock:
            self._waiting.append((position, len(entry)))
            self._unsynced_bytes += len(entry)
        self._next = position + 1
        self._entry_bytes += (len(entry) - self._entry_bytes) / 1000
        self._producer.poll(0)

    def sync(self) -> int:
        """See StreamWriter. StorageError when Kafka did not take all of it in time; it goes on trying."""
        left = self._producer.flush(_SYNC_S)
        with self._lock:
            failure, self._failure = self._failure, ""
        if failure or left:
            raise StorageError(f"Kafka, topic {self._topic.name}: {failure or f'{left} entries wait for an answer'}")
        return self._durable

    def trim(self, keep_bytes: int, keep_us: int, never_past: Sequence[str]) -> None:
        """See StreamWriter. By mean entry size; a partition gives up its share, but for its newest entry."""
        before = self._now_us() - keep_us
        excess = max(0.0, 1 - keep_bytes / max(1.0, self._entry_bytes) / max(1, self._count()))
        cursors = [self._cursor_of(name) or 0 for name in never_past]
        cuts: list[TopicPartition] = []
        with storage_errors(f"topic {self._topic.name}"):
            for partition in self._partitions:
                low, high = self._scan.limits(partition)
                if high == low:
                    continue
                by_size = low + int((high - low) * excess)
                by_age = self._scan.offset_at_time(partition, -(-before // 1000))
                cut = min(max(by_size, by_age), high - 1)
                if cursors:
                    cut = min(cut, self._scan.offset_of(partition, min(cursors)))
                if cut > low:
                    cuts.append(TopicPartition(self._topic.name, partition, cut))
            if cuts:
                for future in self._topic.admin.delete_records(cuts, operation_timeout=ANSWER_S).values():
                    future.result(ANSWER_S)

    @property
    def first_waiting(self) -> int | None:
        """The oldest position that Kafka has not acknowledged; None when there is none."""
        self._producer.poll(0)
        with self._lock:
            return self._waiting[0][0] if self._waiting else None

    def settle(self, timeout_s: float) -> None:
        """Give what is under way some time to arrive."""
        self._producer.flush(timeout_s)

    def failure(self) -> str:
        """Why Kafka gave an entry back for good, or nothing."""
        with self._lock:
            return self._failure

    def abandon(self) -> None:
        """Close without waiting for what is under way: whoever sends again begins at what was acknowledged."""
        self._producer.purge()
        self._producer.flush(0.1)
        self._scan.close()

    def close(self) -> None:
        """See StreamWriter."""
        try:
            self.sync()
        finally:
            self._scan.close()

    def _answered(self, position: int, failure: KafkaError | None) -> None:
        with self._lock:
            if failure is not None:
                self._failure = failure.str()
                return
            self._delivered.add(position)
            while self._waiting and self._waiting[0][0] in self._delivered:
                done, size = self._waiting.popleft()
                self._delivered.discard(done)
                self._unsynced_bytes -= size
                self._durable = done + 1

    def _count(self) -> int:
        limits = [self._scan.limits(partition) for partition in self._partitions]
        return sum(high - low for low, high in limits)

    def _mean_entry_bytes(self) -> float:
        """Of the newest entry of each partition: what is known when a writer begins."""
        sizes = []
        for partition in self._partitions:
            low, high = self._scan.limits(partition)
            message = self._scan.entry_at(partition, high - 1) if high > low else None
            sizes += [] if message is None else [len(message.value() or b"")]
        return sum(sizes) / len(sizes) if sizes else 1000.0
