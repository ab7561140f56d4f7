"""Whether batches coded against those before them are smaller than they stand, on one connection."""

from typing import Final

LOOK: Final = 12
"""So many coded batches are compared at a time; the first ones of a connection are large, so they decide nothing."""


class WireUse:
    """Coding costs time that the live lane would have. Where it does not pay, the connection goes on without."""

    def __init__(self) -> None:
        self._is_first = True
        self._count = 0
        self._saved_bytes = 0
        self.is_worth = True

    def note(self, coded_bytes: int, plain_bytes: int) -> None:
        """A batch was coded."""
        self._count += 1
        self._saved_bytes += plain_bytes - coded_bytes
        if self._count == LOOK:
            self.is_worth = self._is_first or self._saved_bytes > 0
            self._is_first = False
            self._count = self._saved_bytes = 0
