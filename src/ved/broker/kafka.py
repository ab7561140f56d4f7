"""The scaled broker: a stream is a topic of Apache Kafka (4, KRaft) that roles on many machines read."""

import json
import re
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from confluent_kafka import TopicPartition

from ved.broker.base import Start, Stream, StreamName
from ved.broker.cluster import KafkaCluster
from ved.broker.journal import utc_now_us
from ved.broker.kafka_reader import KafkaStreamReader, Marked
from ved.broker.kafka_topic import Topic, TopicScan, storage_errors
from ved.broker.kafka_writer import KafkaStreamWriter

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class KafkaCursor(int):
    """A position, and where that is in each partition: idle ones stand at another offset than busy ones."""

    offsets: dict[int, int]

    @classmethod
    def at(cls, position: int, offsets: dict[int, int]) -> "KafkaCursor":
        """The position with its offsets."""
        cursor = cls(position)
        cursor.offsets = offsets
        return cursor

    def __sub__(self, entries: int) -> "KafkaCursor":
        """So many entries earlier, wherever they are: in each partition as many."""
        return KafkaCursor.at(int(self) - entries, {at: offset - entries for at, offset in self.offsets.items()})


class KafkaStream(Stream):
    """Stream on a topic. With `share`, the readers of all instances divide the partitions among them."""

    def __init__(
        self,
        cluster: KafkaCluster,
        name: StreamName,
        *,
        share: str = "",
        now_us: Callable[[], int] = utc_now_us,
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._share = share
        self._now_us = now_us
        self._topic = Topic(cluster, name)
        self._readers: WeakSet[KafkaStreamReader] = WeakSet()

    @property
    def topic(self) -> Topic:
        """The topic below."""
        return self._topic

    def writer(self) -> KafkaStreamWriter:
        """See Stream. Kafka lets several in: of `frames` the forwarder is the only one."""
        self._topic.ensure()
        return KafkaStreamWriter(self._topic, self.cursor, self._now_us)

    def reader(self, start: Start) -> KafkaStreamReader:
        """See Stream."""
        partitions = range(self._topic.ensure())
        if self._share:
            reader = KafkaStreamReader(self._topic, None, 0, self._cluster.group(self._name, self._share))
        else:
            reader = KafkaStreamReader(self._topic, *self._starts(start, partitions))
            if isinstance(start, int):
                reader.note_skipped(self._gone(start, partitions))
        self._readers.add(reader)
        return reader

    def cursor(self, name: str) -> KafkaCursor | None:
        """See Stream. The least position of the partitions that have more than was committed; of none, the greatest."""
        partitions = range(self._topic.ensure())
        scan = TopicScan(self._topic, self._group(name))
        try:
            committed = scan.committed(partitions)
            limits = [scan.limits(at) for at in partitions]  # asked later, so that what comes meanwhile is not claimed
        finally:
            scan.close()
        positions = {at: int(json.loads(one.metadata)) for at, one in committed.items() if one.metadata}
        if not positions:
            return None
        behind = [
            positions.get(at, 0) for at, (low, high) in enumerate(limits) if max(committed[at].offset, low) != high
        ]
        offsets = {at: committed[at].offset for at in positions}
        return KafkaCursor.at(min(behind, default=max(positions.values())), offsets)

    def commit_cursor(self, name: str, position: int) -> None:
        """See Stream."""
        readers = [reader for reader in self._readers if self._share or reader.partitions]
        for reader in readers:
            is_member = bool(self._share) and name == self._share
            self._commit(name, reader.marks_before(position), reader if is_member else None)
        if readers:
            return
        scan = TopicScan(self._topic)
        try:
            found = [Marked(at, scan.offset_of(at, position), position) for at in range(self._topic.ensure())]
        finally:
            scan.close()
        self._commit(name, found, None)

    def _commit(self, name: str, marks: list[Marked], member: KafkaStreamReader | None) -> None:
        """With the position that each partition has itself: another one may be far ahead."""
        wanted = [
            TopicPartition(self._topic.name, mark.partition, mark.next_offset, metadata=json.dumps(mark.next_position))
            for mark in marks
        ]
        if not wanted:
            return
        with storage_errors(f"cursor {name}"):
            if member is not None:
                member.commit(wanted)
                return
            consumer = self._topic.consumer(**{"group.id": self._group(name)})
            try:
                consumer.commit(offsets=wanted, asynchronous=False)
            finally:
                consumer.close()

    def _group(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a cursor is named with a-z, 0-9, _ and -, not {name!r}")
        return self._cluster.group(self._name, name)

    def _starts(self, start: Start, partitions: range) -> tuple[dict[int, int], int]:
        """Offset by partition, and the first position that is wanted."""
        scan = TopicScan(self._topic)
        try:
            limits = {partition: scan.limits(partition) for partition in partitions}
            if start == "latest":
                newest = max(scan.last_position(partition) for partition in partitions)
                return {partition: high for partition, (_, high) in limits.items()}, newest + 1
            if start == "earliest":
                return {partition: low for partition, (low, _) in limits.items()}, 0
            known = start.offsets if isinstance(start, KafkaCursor) else {}
            if known:
                return {at: max(low, min(known.get(at, low), high)) for at, (low, high) in limits.items()}, int(start)
            return {at: scan.offset_of(at, int(start)) for at in partitions}, int(start)
        finally:
            scan.close()

    def _gone(self, start: int, partitions: range) -> int:
        """How many positions from `start` on are there no more."""
        scan = TopicScan(self._topic)
        try:
            oldest = [first for at in partitions if (first := scan.first_position(at)) is not None]
        finally:
            scan.close()
        return max(0, min(oldest, default=start) - start)
