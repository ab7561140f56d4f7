"""Reads a stream from its Kafka topic: all partitions, or a share of them that the group gives out."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ved.broker.base import StreamEntry, StreamReader
from ved.broker.kafka_topic import ANSWER_S, AT_END, Topic, TopicScan, position_of, storage_errors
from ved.codec.stream import unpack_entry
from ved.errors import CorruptDataError, StorageError

_FETCH: Final = 500
_QUIET_S: Final = 0.02
_FETCH_S: Final = 0.25
_LOOK_S: Final = 1.0
_KEPT_MARKS: Final = 1 << 20
_log: Final = logging.getLogger(__name__)


class Marked(NamedTuple):
    """How far a partition was delivered: the offset and the position after an entry."""

    partition: int
    next_offset: int
    next_position: int


@dataclass(slots=True)
class PartitionState:
    """`next_offset` and `next_position` follow the last entry that was delivered."""

    next_offset: int
    next_position: int


class KafkaStreamReader(StreamReader):
    """StreamReader on a topic. Entries of one vehicle come in order; `read` waits in a thread, so nothing else does."""

    def __init__(self, topic: Topic, starts: dict[int, int] | None, first_position: int, group: str = "") -> None:
        """`starts`: offset by partition; None: what the group `group` gives out, each from where the group stands."""
        self._topic = topic
        self._consumer: Consumer = topic.consumer(**({"group.id": group} if group else {}))
        self._partitions: dict[int, PartitionState] = {}
        self._first_position = first_position
        self._buffer: deque[Message] = deque()
        self._fetching: asyncio.Future[list[Message]] | None = None
        self._marks: deque[Marked] = deque()
        self._skipped = 0
        self._corrupt = 0
        with storage_errors(f"topic {topic.name}"):
            if starts is None:
                self._consumer.subscribe([topic.name], on_assign=self._assigned, on_revoke=self._revoked)
            else:
                assigned = [TopicPartition(topic.name, partition, offset) for partition, offset in starts.items()]
                self._consumer.assign(assigned)
                for partition, offset in starts.items():
                    self._partitions[partition] = PartitionState(offset, first_position)

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that this reader has now."""
        return tuple(self._partitions)

    @property
    def position(self) -> int:
        """See StreamReader. Partitions that were read to their end, as far as is known, hold nothing back."""
        states = list(self._partitions.items())
        behind = [state.next_position for partition, state in states if self._high(partition) > state.next_offset]
        ahead = max((state.next_position for _, state in states), default=self._first_position)
        return min(behind, default=ahead)

    @property
    def skipped(self) -> int:
        """See StreamReader."""
        return self._skipped

    @property
    def corrupt(self) -> int:
        """See StreamReader."""
        return self._corrupt

    async def read(self, *, max_bytes: int = 1 << 20, timeout_s: float) -> list[StreamEntry]:
        """See StreamReader. A read that is cancelled loses nothing: what it fetched waits for the next one."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            entries = self._take(max_bytes)
            left_s = deadline_s - loop.time()
            if entries or (left_s <= 0 and not await asyncio.to_thread(self._is_behind)):
                return entries
            if self._fetching is None:
                self._fetching = loop.run_in_executor(None, self._fetch, max(_QUIET_S, min(left_s, _FETCH_S)))
            try:
                fetched = await asyncio.shield(self._fetching)
            except StorageError:
                self._fetching = None  # the next read asks anew
                raise
            self._fetching = None
            self._buffer += fetched

    def durable_position(self) -> int:
        """See StreamReader: what a broker gives out is on as many brokers as its topic asks for."""
        return self.next_position()

    def next_position(self) -> int:
        """See StreamReader."""
        states = list(self._partitions.items())
        waiting = sum(max(0, self._high(partition, is_fresh=True) - state.next_offset) for partition, state in states)
        return max((state.next_position for _, state in states), default=self._first_position) + waiting

    def close(self) -> None:
        """See StreamReader."""
        self._consumer.close()

    def note_skipped(self, entries: int) -> None:
        """Entries that were gone before this reader began."""
        self._skipped += entries

    def marks_before(self, position: int) -> list[Marked]:
        """How far everything delivered lies below `position`; only partitions that moved."""
        out: dict[int, Marked] = {}
        while self._marks and self._marks[0].next_position <= position:
            mark = self._marks.popleft()
            out[mark.partition] = mark
        return list(out.values())

    def commit(self, offsets: list[TopicPartition]) -> None:
        """Keep offsets in this reader's own group, whose member it is."""
        self._consumer.commit(offsets=offsets, asynchronous=False)

    def _fetch(self, timeout_s: float) -> list[Message]:
        """Runs in a thread."""
        with storage_errors(f"topic {self._topic.name}"):
            first = self._consumer.poll(timeout_s)
            if first is None:
                return []
            return [first, *self._consumer.consume(_FETCH, 0)]

    def _take(self, max_bytes: int) -> list[StreamEntry]:
        entries: list[StreamEntry] = []
        size = 0
        while self._buffer:
            message = self._buffer[0]
            failure = message.error()
            if failure is not None:
                self._buffer.popleft()
                self._failed(failure)
                continue
            value = message.value() or b""
            if entries and size + len(value) > max_bytes:
                break
            self._buffer.popleft()
            entry = self._entry(message, value)
            if entry is not None:
                entries.append(entry)
                size += len(value)
        return entries

    def _entry(self, message: Message, value: bytes) -> StreamEntry | None:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        state = self._partitions.get(partition)
        if state is None:
            return None  # taken away while it was on its way: its new owner reads it
        position = position_of(message)
        self._skipped += max(0, offset - state.next_offset)
        state.next_offset = offset + 1
        if position < self._first_position:
            return None
        state.next_position = position + 1
        self._marks.append(Marked(partition, offset + 1, position + 1))
        if len(self._marks) > _KEPT_MARKS:
            self._marks.popleft()
        try:
            arrival, record = unpack_entry(value)
        except CorruptDataError:
            self._corrupt += 1
            return None
        return StreamEntry(position, arrival, record)

    def _failed(self, failure: KafkaError) -> None:
        if failure.code() == AT_END:
            return
        if not failure.retriable() and failure.fatal():
            raise StorageError(f"Kafka, topic {self._topic.name}: {failure.str()}")

    def _is_behind(self) -> bool:
        """Whether some partition has more than was delivered, asking the broker."""
        states = list(self._partitions.items())
        return any(self._high(partition, is_fresh=True) > state.next_offset for partition, state in states)

    def _high(self, partition: int, *, is_fresh: bool = False) -> int:
        """The offset after the partition's newest entry, as far as is known; fresh: as the broker says now."""
        where = TopicPartition(self._topic.name, partition)
        try:
            found = self._consumer.get_watermark_offsets(where, timeout=_LOOK_S, cached=not is_fresh)
        except KafkaException as error:
            _log.debug("%s: %s", self._topic.name, error)
            found = self._consumer.get_watermark_offsets(where, cached=True)
        return max(int(found[1]), 0)

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        committed = consumer.committed(given, timeout=ANSWER_S)
        scan = TopicScan(self._topic)
        try:
            for one in committed:
                low, _high = scan.limits(one.partition)
                one.offset = max(one.offset, low)
                self._partitions[one.partition] = PartitionState(one.offset, self._first_position)
        finally:
            scan.close()
        consumer.assign(committed)

    def _revoked(self, _consumer: Consumer, taken: list[TopicPartition]) -> None:
        for one in taken:
            self._partitions.pop(one.partition, None)
            self._marks = deque(mark for mark in self._marks if mark.partition != one.partition)
