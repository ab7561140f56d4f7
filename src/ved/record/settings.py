"""What the role record is told: where to read, where to write, and how often."""

from dataclasses import dataclass
from pathlib import Path

from ved.broker.cluster import KafkaReach


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """`commit_s` or `commit_frames`, whichever comes first, makes a commit; an epoch without frames for `quiet_s` is
    packed for good; `housekeeping_s` is the pause between two looks for files to merge. `keep_days` and `keep_gib`: how
    much of the past the lake keeps (0: no limit).
    """

    data: Path
    db_url: str
    lake_url: str
    commit_s: float = 5.0
    commit_frames: int = 262_144
    quiet_s: float = 60.0
    housekeeping_s: float = 20.0
    keep_days: float = 0.0
    keep_gib: float = 0.0
    kafka: KafkaReach | None = None
