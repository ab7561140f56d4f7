"""Who tries too often from one address waits: a flood of wrong keys must not keep the database busy."""

from collections import OrderedDict
from typing import Final

BURST: Final = 20
PER_S: Final = 1.0
MAX_ADDRESSES: Final = 4096


class AddressLimit:
    """Failed tries per address: `burst` at once, `per_s` more each second. `now_s` is any monotonic time in seconds.

    A flood from many addresses forgets the longest quiet ones.
    """

    def __init__(self, burst: float = BURST, per_s: float = PER_S) -> None:
        self._burst = burst
        self._per_s = per_s
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, and when that was so

    def note_failure(self, address: str, now_s: float) -> None:
        """A try from `address` was refused."""
        self._failures[address] = (self._count(address, now_s) + 1.0, now_s)
        self._failures.move_to_end(address)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def is_blocked(self, address: str, now_s: float) -> bool:
        """True while there were too many."""
        return self._count(address, now_s) > self._burst - 1

    def _count(self, address: str, now_s: float) -> float:
        count, then_s = self._failures.get(address, (0.0, now_s))
        return max(0.0, count - self._per_s * (now_s - then_s))
