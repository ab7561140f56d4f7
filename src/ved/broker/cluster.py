"""Which Kafka cluster carries the streams, as plain settings: nothing of Kafka is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ved.broker.base import StreamName

FORWARDED: Final = "kafka"
"""The cursor of a journal that says what is in Kafka for good: the journal keeps the rest."""
_PARTITIONS: Final = {"events": 1}
"""Events are few, and watch may have several instances: in one partition Kafka itself puts them in order."""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """`servers`: host:port,…; `options`: more of librdkafka's settings (TLS, SASL).

    `partitions` divide `frames` by vehicle; `keep_us` and `keep_bytes` (of a partition) bound what a topic keeps.
    """

    servers: str
    prefix: str = "ved"
    partitions: int = 4
    replicas: int = 1
    keep_us: int = 24 * 3_600_000_000
    keep_bytes: int = 20 << 30
    options: Mapping[str, str] = field(default_factory=dict)

    def client(self, **more: Any) -> dict[str, Any]:
        """What every client is made with."""
        quick = {"reconnect.backoff.max.ms": 1000, "socket.keepalive.enable": True, "log.connection.close": False}
        quiet = {"log_level": 2}  # what fails is told once by whoever waits for it, not by every client at every try
        return {"bootstrap.servers": self.servers, **quick, **quiet, **self.options, **more}

    def topic(self, name: StreamName) -> str:
        """The topic of a stream."""
        return f"{self.prefix}.{name}"

    def group(self, name: StreamName, cursor: str) -> str:
        """The consumer group that keeps a cursor."""
        return f"{self.topic(name)}.{cursor}"

    def partition_count(self, name: StreamName) -> int:
        """How many partitions a new topic gets."""
        return _PARTITIONS.get(name, self.partitions)


@dataclass(frozen=True, slots=True)
class KafkaReach:
    """The cluster, and the `streams` that this role reads from it because their writer runs on another machine."""

    cluster: KafkaCluster
    streams: tuple[StreamName, ...] = ()
