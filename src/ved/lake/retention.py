"""Which epochs are let go of when the lake may not grow for ever: a pure plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from ved.lake.log import EpochKey


@dataclass(frozen=True, slots=True)
class Retention:
    """How long (µs) and how much (bytes) is kept; None: no limit."""

    keep_us: int | None = None
    keep_bytes: int | None = None

    @property
    def is_limited(self) -> bool:
        """False: everything is kept for ever."""
        return self.keep_us is not None or self.keep_bytes is not None


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """An epoch in one of the tables. `newest_utc_us`: when it ended or came in, whichever is later."""

    table: str
    key: EpochKey
    size_bytes: int
    newest_utc_us: int
    is_protected: bool


def plan_forgetting(epochs: Sequence[StoredEpoch], retention: Retention, now_utc_us: int) -> list[StoredEpoch]:
    """What goes, oldest first: all that is too old, then what is too much. What is protected stays."""
    ordered = sorted(epochs, key=lambda one: (one.newest_utc_us, one.table, one.key))
    doomed = []
    left_bytes = sum(one.size_bytes for one in ordered)
    for one in ordered:
        is_old = retention.keep_us is not None and one.newest_utc_us < now_utc_us - retention.keep_us
        is_too_much = retention.keep_bytes is not None and left_bytes > retention.keep_bytes
        if (is_old or is_too_much) and not one.is_protected:
            doomed.append(one)
            left_bytes -= one.size_bytes
    return doomed
