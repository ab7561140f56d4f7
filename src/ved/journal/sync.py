"""When to call `Journal.sync`: one fdatasync for many records."""

from dataclasses import dataclass, field

from ved.journal.journal import Journal

SYNC_INTERVAL_S = 0.2
SYNC_BYTES = 64 << 10


@dataclass(slots=True)
class SyncPolicy:
    """Due when `unsynced_bytes` wait, or something has waited for `interval_s`; the caller brings the clock."""

    interval_s: float = SYNC_INTERVAL_S
    unsynced_bytes: int = SYNC_BYTES
    _since_s: float | None = field(default=None, init=False)

    def is_due(self, journal: Journal, now_s: float) -> bool:
        """True when the journal should be synced now; `now_s` is monotonic."""
        if journal.unsynced_bytes == 0:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        if journal.unsynced_bytes >= self.unsynced_bytes or now_s - self._since_s >= self.interval_s:
            self._since_s = None
            return True
        return False
