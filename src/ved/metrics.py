"""Counters: the names under which things are counted, and a plain holder for them."""

from collections import Counter
from collections.abc import Callable
from typing import Final

BATCHES_RECEIVED_TOTAL: Final = "batches_received_total"
BATCHES_DUPLICATE_TOTAL: Final = "batches_duplicate_total"
BATCHES_CORRUPT_TOTAL: Final = "batches_corrupt_total"
BATCHES_CONFLICT_TOTAL: Final = "batches_conflict_total"
RECORDS_DROPPED_TOTAL: Final = "records_dropped_total"
CONNECTIONS_TOTAL: Final = "connections_total"
CONNECTIONS_REFUSED_TOTAL: Final = "connections_refused_total"
KEYS_SHARED_TOTAL: Final = "keys_shared_total"
CONNECTIONS_GARBAGE_TOTAL: Final = "connections_garbage_total"
RECORDS_CORRUPT_TOTAL: Final = "records_corrupt_total"
DATAGRAMS_TOTAL: Final = "datagrams_total"
DATAGRAMS_LIMITED_TOTAL: Final = "datagrams_limited_total"
DATAGRAMS_GARBAGE_TOTAL: Final = "datagrams_garbage_total"
DATAGRAMS_REFUSED_TOTAL: Final = "datagrams_refused_total"
DATAGRAMS_CORRUPT_TOTAL: Final = "datagrams_corrupt_total"
DATAGRAMS_DUPLICATE_TOTAL: Final = "datagrams_duplicate_total"
DATAGRAMS_LATE_TOTAL: Final = "datagrams_late_total"
MQTT_PUBLISHED_TOTAL: Final = "mqtt_published_total"
MQTT_FAILURES_TOTAL: Final = "mqtt_failures_total"
FRAMES_STORED_TOTAL: Final = "frames_stored_total"
SAMPLES_STORED_TOTAL: Final = "samples_stored_total"
LAKE_COMMITS_TOTAL: Final = "lake_commits_total"
VIEWER_MESSAGES_TOTAL: Final = "viewer_messages_total"
VIEWER_MISSED_TOTAL: Final = "viewer_missed_total"
TASK_FAILURES_TOTAL: Final = "task_failures_total"
LINES_TOTAL: Final = "lines_total"
REFUSED_TOTAL: Final = "refused_total"
NOTIFICATIONS_SENT_TOTAL: Final = "notifications_sent_total"
NOTIFICATIONS_FAILED_TOTAL: Final = "notifications_failed_total"

LAG: Final = "lag"
"""Gauge: age (ms) of the oldest stream entry that the role has not dealt with; 0 when there is none."""
QUEUE: Final = "queue"
"""Gauge: what waits in the role's memory: entries to write (ingest), rows to store (record), messages to send (web)."""
FORWARD: Final = "forward"
"""Gauge: entries of the role's stream that are durable here and that Kafka has not acknowledged."""


class Counters:
    """Monotonic counters and gauges of one process; not thread-safe, one per event loop or thread."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()
        self._gauges: dict[str, Callable[[], float]] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Add `amount` (>= 0) to the counter `name`."""
        self._values[name] += amount

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """From now on `read` tells the gauge `name`; it is called about once per second and must not wait."""
        self._gauges[name] = read

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def snapshot(self) -> dict[str, int]:
        """Copy of all counters that were ever touched."""
        return dict(self._values)

    def figures(self) -> dict[str, float]:
        """All counters and gauges now."""
        return {**self._values, **{name: float(read()) for name, read in self._gauges.items()}}
