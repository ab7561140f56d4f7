"""What web knows of a vehicle's samples right now: their channels, and the batches that the lake may not have yet."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ved.broker.base import StreamName
from ved.model.samples import SampleBatch, SampleChannel

MAX_RECENT_SAMPLES: Final = 2_000_000


@dataclass(slots=True, eq=False)
class SampleFeed:
    """The samples of one vehicle as they come over the streams."""

    channels: dict[str, SampleChannel] = field(default_factory=dict)
    _recent: dict[StreamName, deque[tuple[int, SampleBatch]]] = field(default_factory=dict)
    _count: int = 0

    def take(self, stream: StreamName, position: int, batch: SampleBatch) -> bool:
        """Keep a batch; True when it describes a channel that is new or changed."""
        self._recent.setdefault(stream, deque()).append((position, batch))
        self._count += batch.count
        while self._count > MAX_RECENT_SAMPLES:
            self._drop(max(self._recent, key=lambda name: len(self._recent[name])))
        is_new = any(self.channels.get(one.name) != one for one in batch.channels)
        self.channels.update((one.name, one) for one in batch.channels)
        return is_new

    def forget(self, stream: StreamName, before: int) -> None:
        """Let go of batches of a stream at positions below `before`: the lake has them."""
        waiting = self._recent.get(stream, deque())
        while waiting and waiting[0][0] < before:
            self._drop(stream)

    def recent(self) -> list[SampleBatch]:
        """The batches that are kept."""
        return [batch for waiting in self._recent.values() for _, batch in waiting]

    def _drop(self, stream: StreamName) -> None:
        self._count -= self._recent[stream].popleft()[1].count
