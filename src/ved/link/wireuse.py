"""Whether batches coded against those before them are smaller than they stand, on one connection."""

from typing import Final

LOOK: Final = 12
"""So many coded batches are compared at a time; the first ones of a try are large, so they decide nothing."""

FIRST_PAUSE: Final = 50
LAST_PAUSE: Final = 3200
"""So many batches go as they stand before the next try: twice as many each time that it did not pay."""


class WireUse:
    """Coding costs time that the live lane would have. Where it does not pay, batches go as they stand for a while."""

    def __init__(self) -> None:
        self._is_first = True
        self._count = 0
        self._saved_bytes = 0
        self._pause = FIRST_PAUSE
        self._left = 0

    def is_next_coded(self) -> bool:
        """Asked once for each batch."""
        if self._left:
            self._left -= 1
            return False
        return True

    def note(self, coded_bytes: int, plain_bytes: int) -> None:
        """A batch was coded."""
        self._count += 1
        self._saved_bytes += plain_bytes - coded_bytes
        if self._count < LOOK:
            return
        if self._saved_bytes > 0:
            self._pause = FIRST_PAUSE
        elif not self._is_first:
            self._left, self._pause = self._pause, min(2 * self._pause, LAST_PAUSE)
        self._is_first = self._left > 0
        self._count = self._saved_bytes = 0
