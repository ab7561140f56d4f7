"""A stream's topic on a Kafka cluster, and where it begins and ends."""

import contextlib
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from ved.broker.base import StreamName
from ved.broker.cluster import KafkaCluster
from ved.errors import StorageError, UserError

POSITION_HEADER: Final = "p"
MAX_MESSAGE_BYTES: Final = 9 << 20
"""Above the largest record with its entry header (docs/spec/records.md)."""
ANSWER_S: Final = 10.0
_LEADER_S: Final = 0.1
AT_END: Final[int] = KafkaError._PARTITION_EOF  # noqa: SLF001
_SETTINGS_ARE_WRONG: Final = KafkaError._INVALID_ARG  # noqa: SLF001
_NOT_LET_IN: Final = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001
    KafkaError._SSL,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED,
}
_POSITION: Final = struct.Struct("<Q")
KEEPS_POSITIONS: Final = frozenset({"frames"})
"""Streams whose entries carry the position that they have in the journal before the topic."""


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Kafka's refusals as StorageError (wait and try again); what the settings make impossible as UserError."""
    try:
        yield
    except KafkaException as error:
        reason: KafkaError = error.args[0]
        if reason.code() == _SETTINGS_ARE_WRONG:
            raise UserError(f"Kafka, {what}: {reason.str()}; set kafka_servers and kafka_options") from error
        raise StorageError(f"Kafka, {what}: {reason.str()}") from error
    except TimeoutError as error:
        raise StorageError(f"Kafka, {what}: no answer") from error


class Topic:
    """One stream's topic, which is made when it is not there."""

    def __init__(self, cluster: KafkaCluster, name: StreamName) -> None:
        self.cluster = cluster
        self.stream = name
        self.name = cluster.topic(name)
        self._admin: AdminClient | None = None
        self._not_let_in = ""

    @property
    def admin(self) -> AdminClient:
        """The administrative client, made when first needed."""
        if self._admin is None:
            with storage_errors("settings"):
                self._admin = AdminClient(self.cluster.client(error_cb=self._note))
        return self._admin

    def _note(self, failure: KafkaError) -> None:
        """Called by librdkafka. That a broker does not let us in is told here alone: calls only go unanswered."""
        if failure.code() in _NOT_LET_IN:
            self._not_let_in = failure.str()

    def ensure(self) -> int:
        """The number of partitions; a topic that is not there is made.

        StorageError when no broker answers, or none lets us in.
        """
        try:
            return self._ensure()
        except StorageError as error:
            self.admin.poll(0)
            if not self._not_let_in:
                raise
            told, self._not_let_in = self._not_let_in, ""
            raise StorageError(f"Kafka does not let us in: {told}; look at kafka_options") from error

    def _ensure(self) -> int:
        with storage_errors(f"topic {self.name}"):
            found = self.admin.list_topics(timeout=ANSWER_S).topics.get(self.name)
            if found is not None and found.error is None and found.partitions:
                return len(found.partitions)
            count = self.cluster.partition_count(self.stream)
            wanted = NewTopic(
                self.name,
                num_partitions=count,
                replication_factor=self.cluster.replicas,
                config={
                    "max.message.bytes": str(MAX_MESSAGE_BYTES),
                    "retention.ms": str(max(1, self.cluster.keep_us // 1000)),
                    "retention.bytes": str(self.cluster.keep_bytes),
                    "message.timestamp.type": "CreateTime",
                },
            )
            made = self.admin.create_topics([wanted], operation_timeout=ANSWER_S)[self.name]
            try:
                made.result(ANSWER_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            return self._wait_until_known()

    def _wait_until_known(self) -> int:
        for _ in range(100):
            found = self.admin.list_topics(self.name, timeout=ANSWER_S).topics[self.name]
            partitions = found.partitions
            if found.error is None and partitions and all(one.leader >= 0 for one in partitions.values()):
                return len(partitions)
            self.admin.poll(0.05)
        raise StorageError(f"Kafka, topic {self.name}: has no leader yet")

    def identity(self) -> str:
        """Changes when the topic was made anew, on a broker that lost its disk, say; empty where there is none now."""
        from confluent_kafka import TopicCollection

        with storage_errors(f"topic {self.name}"):
            described = self.admin.describe_topics(TopicCollection([self.name]), request_timeout=ANSWER_S)
            try:
                return str(described[self.name].result(ANSWER_S).topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
                return ""

    def consumer(self, **more: Any) -> Consumer:
        """A client that reads; who makes it closes it."""
        defaults = {"group.id": f"{self.name}.reader", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        wide = {
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 32768,
        }
        with storage_errors("settings"):
            return Consumer(self.cluster.client(**{**defaults, **wide, **more}))


def pack_position(position: int) -> bytes:
    """The value of a message's position header."""
    return _POSITION.pack(position)


def position_of(message: Message) -> int:
    """The entry's position in the stream: what the header says, else (`events`, in one partition) the offset."""
    headers: Any = message.headers() or ()
    for name, value in headers:
        if name == POSITION_HEADER and isinstance(value, bytes) and len(value) == _POSITION.size:
            return int(_POSITION.unpack(value)[0])
    offset = message.offset()
    assert offset is not None
    return offset


class TopicScan:
    """Looks into a topic with a consumer of its own: ends, entries, the place of a position, what a group committed."""

    def __init__(self, topic: Topic, group: str = "") -> None:
        self._topic = topic
        self._consumer = topic.consumer(**{"enable.partition.eof": True}, **({"group.id": group} if group else {}))

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def committed(self, partitions: Iterable[int]) -> dict[int, TopicPartition]:
        """What the group committed, offset and metadata by partition; where it is nothing, without metadata."""
        asked = [TopicPartition(self._topic.name, partition) for partition in partitions]
        with storage_errors(f"topic {self._topic.name}"):
            return {one.partition: one for one in self._consumer.committed(asked, timeout=ANSWER_S)}

    def limits(self, partition: int) -> tuple[int, int]:
        """The oldest offset and the next one."""
        where = TopicPartition(self._topic.name, partition)
        with storage_errors(f"topic {self._topic.name}"):
            for tries_left in range(20, -1, -1):
                try:
                    low, high = self._consumer.get_watermark_offsets(where, timeout=ANSWER_S)
                    break
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or not tries_left:
                        raise
                    self._consumer.list_topics(self._topic.name, timeout=ANSWER_S)  # a new topic, or one that moved
                    time.sleep(_LEADER_S)
        return low, high

    def entry_at(self, partition: int, offset: int) -> Message | None:
        """The message at the offset, or the first one after it; None at the end."""
        with storage_errors(f"topic {self._topic.name}"):
            self._consumer.assign([TopicPartition(self._topic.name, partition, offset)])
            for _ in range(100):
                message = self._consumer.poll(ANSWER_S / 100)
                if message is None:
                    continue
                failure = message.error()
                if failure is None:
                    return message
                if failure.code() == AT_END:
                    return None
                raise KafkaException(failure)
        raise StorageError(f"Kafka, topic {self._topic.name}: no answer")

    def offset_at_time(self, partition: int, utc_ms: int) -> int:
        """The first offset whose message is at least as new; the next offset when none is."""
        where = TopicPartition(self._topic.name, partition)
        with storage_errors(f"topic {self._topic.name}"):
            asked = {where: OffsetSpec.for_timestamp(max(0, utc_ms))}
            found = self._topic.admin.list_offsets(asked, request_timeout=ANSWER_S)[where].result(ANSWER_S).offset
        return int(found) if found >= 0 else self.limits(partition)[1]

    def first_position(self, partition: int) -> int | None:
        """The position of the oldest entry; None when there is none."""
        low, high = self.limits(partition)
        message = self.entry_at(partition, low) if high > low else None
        return None if message is None else position_of(message)

    def last_position(self, partition: int) -> int:
        """The position of the newest entry; -1 when there is none."""
        low, high = self.limits(partition)
        message = self.entry_at(partition, high - 1) if high > low else None
        return -1 if message is None else position_of(message)

    def offset_of(self, partition: int, position: int) -> int:
        """The offset of the first entry at or after a position, found by halving."""
        low, high = self.limits(partition)
        while low < high:
            middle = (low + high) // 2
            message = self.entry_at(partition, middle)
            if message is not None and position_of(message) < position:
                low = middle + 1
            else:
                high = middle
        return low
