"""Fresh records on their way to the live lane: the newest matter, what grows old goes over the backfill lane."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ved.codec.link import Space
from ved.link.span import Span
from ved.model.intervals import Intervals

LIVE_DEADLINE_S: Final = 1.0
KEEP_UP_S: Final = 0.4
"""When the next record has waited longer than this the lane cannot keep up: only the newest one is sent then."""


@dataclass(slots=True)
class Fresh:
    """A record of this epoch that the live lane has not delivered yet; `position` is None until the journal has it."""

    span: Span
    record: bytes
    made_s: float
    position: int | None = None


class LiveQueue:
    """First in, first out, as long as the lane keeps up. Records older than `deadline_s` leave it unsent.

    Without a deadline (None) all are sent, in order.
    """

    def __init__(self, deadline_s: float | None) -> None:
        self._deadline_s = deadline_s
        self._queue: deque[Fresh] = deque()
        self._pending: dict[tuple[Space, int], Fresh] = {}
        self.pending_bytes = 0

    def put(self, fresh: Fresh) -> None:
        """Add the newest record."""
        self._queue.append(fresh)
        self._pending[(fresh.span.space, fresh.span.first)] = fresh
        self.pending_bytes += len(fresh.record)

    def pop(self, now_s: float) -> tuple[Fresh | None, list[Fresh]]:
        """The next one to send, and those that the lane is too slow for. What is sent stays pending until `settled`."""
        if not self._queue:
            return None, []
        passed_over: list[Fresh] = []
        if self._deadline_s is not None and now_s - self._queue[0].made_s > KEEP_UP_S:
            passed_over = [fresh for fresh in list(self._queue)[:-1] if self.settle(fresh.span) is not None]
            self._queue = deque([self._queue[-1]])
        return self._queue.popleft(), passed_over

    def expire(self, now_s: float) -> list[Fresh]:
        """Take out what has waited too long."""
        out: list[Fresh] = []
        while self._deadline_s is not None and self._queue and now_s - self._queue[0].made_s > self._deadline_s:
            fresh = self._queue.popleft()
            if self.settle(fresh.span) is not None:
                out.append(fresh)
        return out

    def settle(self, span: Span) -> Fresh | None:
        """The record arrived or was given up: it is not pending any more. None when it was not."""
        fresh = self._pending.pop((span.space, span.first), None)
        if fresh is not None:
            self.pending_bytes -= len(fresh.record)
        return fresh

    def settle_received(self, received: Mapping[Space, Intervals]) -> None:
        """Settle all that the server has in its hands."""
        for fresh in list(self._pending.values()):
            if received[fresh.span.space].contains(fresh.span.first, fresh.span.last):
                self.settle(fresh.span)

    def find(self, span: Span) -> Fresh | None:
        """The pending record of this number."""
        return self._pending.get((span.space, span.first))

    def has_any(self, first: int, last: int) -> bool:
        """True when a batch with any of these seqs is pending."""
        return any(
            span.space == Space.SEQ and span.first <= last and first <= span.last
            for span in (fresh.span for fresh in self._pending.values())
        )

    def __len__(self) -> int:
        return len(self._queue)
