"""The loop behind the server's "stored": moves the frontier, has the journal trimmed, and asks where nobody knows."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ved.errors import LinkLostError, StorageError
from ved.link.connection import LinkConnection
from ved.link.frontier import Frontier
from ved.link.ledger import Ledger

RECHECK_S: Final = 30.0
"""How long something may be "received" without becoming "stored" before the car asks what the server holds."""

_DISK_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class FollowerEvents:
    """`live` gives the live connection; `on_moved` hears of each step, `on_trim` below which position all may go."""

    live: Callable[[], LinkConnection | None]
    on_moved: Callable[[], None]
    on_trim: Callable[[int], None]
    on_trouble: Callable[[str], None]


class Follower:
    """Run `run` as a task. `end` grows with the journal."""

    def __init__(self, frontier: Frontier, ledger: Ledger, end: int, events: FollowerEvents) -> None:
        self._frontier = frontier
        self._ledger = ledger
        self._events = events
        self._changed = asyncio.Event()
        self._must_ask = False
        self.end = end

    @property
    def position(self) -> int:
        """Everything below it is stored, or declared lost."""
        return self._frontier.position

    @property
    def is_at_end(self) -> bool:
        """True when that is all of the journal."""
        return self._frontier.position >= self.end

    def note_change(self, *, must_ask: bool = False) -> None:
        """The ledger changed, or what is on its way; `must_ask`: the server may have let go of something."""
        self._must_ask |= must_ask
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            before = self._frontier.trim_before
            try:
                async with asyncio.timeout(RECHECK_S):
                    await self._changed.wait()
            except TimeoutError:
                self._must_ask = True
            self._changed.clear()
            if self._must_ask:
                self._must_ask = False
                await self._ask(self._frontier.waiting_epoch)
            try:
                await self._frontier.advance(self._ledger, self.end)
            except StorageError as error:
                # The live lane must go on without the journal; nothing is trimmed meanwhile.
                self._events.on_trouble(str(error))
                await asyncio.sleep(_DISK_RETRY_S)
                self._changed.set()
                continue
            if self._frontier.trim_before != before:
                self._events.on_trim(self._frontier.trim_before)
            self._events.on_moved()
            await self._ask(self._frontier.asks)

    def close(self) -> None:
        """Give the files back."""
        self._frontier.close()

    async def _ask(self, epoch: bytes | None) -> None:
        live = self._events.live()
        if epoch is None or live is None:
            return
        try:
            await live.ask(epoch)
        except LinkLostError:
            return  # the lane notices too, and the next Welcome says it all
