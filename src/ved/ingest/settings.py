"""What the role ingest is told: where to listen, and how much of the stream to keep."""

from dataclasses import dataclass
from pathlib import Path

from ved.broker.cluster import KafkaReach


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """`names` are the host names and addresses under which cars reach this server. `port` 0 takes a free one;
    `datagram_port` 0 takes no datagrams.

    The stream keeps `keep_bytes` and `keep_us`, whichever is less, but always what a reader in `keep_for` has still to
    read. With `kafka` it is carried on to that cluster.
    """

    data: Path
    db_url: str
    host: str
    port: int
    names: tuple[str, ...]
    keep_bytes: int
    keep_us: int
    keep_for: tuple[str, ...] = ("record",)
    kafka: KafkaReach | None = None
    datagram_port: int = 0
