"""What the role watch is told: where to read, and where people are told of alarms."""

from dataclasses import dataclass, field
from pathlib import Path

from ved.broker.cluster import KafkaReach
from ved.notify.targets import NotifySettings


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Data folder and database of the deployment, and where people are told of alarms.

    The stream `events` keeps a day, but always what a reader in `keep_for` has still to read.
    """

    data: Path
    db_url: str
    notify: NotifySettings = field(default_factory=NotifySettings)
    kafka: KafkaReach | None = None
    keep_for: tuple[str, ...] = ("record",)
