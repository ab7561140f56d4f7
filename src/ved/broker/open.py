"""Where the streams are: the one place that knows which broker is in use."""

from pathlib import Path
from typing import TYPE_CHECKING

from ved.broker.base import Stream, StreamName
from ved.broker.cluster import KafkaReach
from ved.broker.journal import JournalStream
from ved.errors import UserError

if TYPE_CHECKING:
    from ved.broker.forwarder import Forwarder


def open_journal(data: Path, name: StreamName) -> JournalStream:
    """The stream as its writer has it: a journal below the data folder. Nothing is touched until it is used."""
    return JournalStream(data / "streams" / name)


def open_stream(data: Path, name: StreamName, kafka: KafkaReach | None = None, share: str = "") -> Stream:
    """The stream for a reader: the journal where its writer's data folder is at hand, else the topic.

    Readers with the same `share` divide the vehicles of a topic among them. UserError without the extra `kafka`.
    """
    if kafka is None or name not in kafka.streams:
        return open_journal(data, name)
    _need_library()
    from ved.broker.kafka import KafkaStream

    return KafkaStream(kafka.cluster, name, share=share)


def open_forwarder(data: Path, name: StreamName, kafka: KafkaReach | None) -> "Forwarder | None":
    """What carries the journal's stream on to the cluster, if there is one. Errors as `open_stream`."""
    if kafka is None:
        return None
    _need_library()
    from ved.broker.forwarder import Forwarder

    return Forwarder(open_journal(data, name), kafka.cluster)


def _need_library() -> None:
    try:
        import confluent_kafka  # noqa: F401
    except ImportError as error:
        raise UserError("kafka_servers: Kafka needs an extra; install it with: pip install 'ved[kafka]'") from error
