"""Losses on their way to the journal: those that belong together become one note."""

from typing import Final

from ved.canbus.source import SourceLoss
from ved.model.records import LossPlace

_HOLD_US: Final = 250_000


class LossBook:
    """Collects losses of the same bus, place and kind (counted or not) for a quarter of a second each."""

    def __init__(self) -> None:
        self._pending: dict[tuple[int, LossPlace, bool], SourceLoss] = {}
        self._since_us: dict[tuple[int, LossPlace, bool], int] = {}

    def add(self, loss: SourceLoss, now_us: int) -> None:
        """Note a loss; an empty one is none."""
        if loss.count == 0:
            return
        key = (loss.bus, loss.place, loss.count > 0)
        known = self._pending.get(key)
        if known is None:
            self._since_us[key] = now_us
        else:
            count = known.count + loss.count if loss.count > 0 else -1
            t_from_us, t_to_us = min(known.t_from_us, loss.t_from_us), max(known.t_to_us, loss.t_to_us)
            loss = SourceLoss(loss.place, loss.bus, count, t_from_us, t_to_us)
        self._pending[key] = loss

    def take(self, now_us: int | None) -> list[SourceLoss]:
        """What has been collected long enough; None: everything."""
        if not self._pending:
            return []
        due = [key for key, since_us in self._since_us.items() if now_us is None or now_us - since_us >= _HOLD_US]
        for key in due:
            del self._since_us[key]
        return [self._pending.pop(key) for key in due]
