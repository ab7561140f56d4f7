"""Which bits of an unknown frame choose what its other bits mean: frames grouped by the right bits change less."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_PAGES: Final = 32
_LEAST_GAIN: Final = 0.5
_LEAST_FLIPS: Final = 0.2
_LEAST_BITS: Final = 8


class Selector(NamedTuple):
    """Neighbouring bits of one byte (8 * byte + bit), their values, and how much calmer the bits of a page are."""

    bits: tuple[int, ...]
    values: tuple[int, ...]
    gain: float

    def number(self, columns: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The selector's value i64[n] in columns of bits u8[n, bits]."""
        weights = np.int64(1) << np.arange(len(self.bits), dtype=np.int64)
        value: NDArray[np.int64] = columns[:, list(self.bits)].astype(np.int64) @ weights
        return value


def find_selector(columns: NDArray[np.uint8], free: NDArray[np.bool_], least_frames: int) -> Selector | None:
    """The best one, or None. `columns` u8[n, bits]; `free` bool[bits] are the bits that nothing else explains.

    From one frame of a page to the next of the same page, at least a byte of other bits must flip less than half as
    often as from frame to frame; yet some must flip, or two counters side by side would look like pages.
    """
    best: Selector | None = None
    for byte in range(len(free) // 8):
        for low, high in ((0, 8), (0, 4), (4, 8)):
            bits = _changing(columns, free, range(8 * byte + low, 8 * byte + high))
            found = _try(columns, free, bits, least_frames) if bits else None
            if found and (best is None or (found.gain, -len(found.bits)) > (best.gain, -len(best.bits))):
                best = found
    return best


def _changing(columns: NDArray[np.uint8], free: NDArray[np.bool_], bits: range) -> tuple[int, ...]:
    """From the lowest bit of the range to the highest that changes; nothing when one of them is not free."""
    changing = [bit for bit in bits if (columns[:, bit] != columns[0, bit]).any()]
    chosen = tuple(range(bits.start, changing[-1] + 1)) if changing else ()
    return chosen if all(free[bit] for bit in changing) else ()


def _try(
    columns: NDArray[np.uint8], free: NDArray[np.bool_], bits: tuple[int, ...], least_frames: int
) -> Selector | None:
    selector = Selector(bits, (), 0.0)
    number = selector.number(columns)
    values, counts = np.unique(number, return_counts=True)
    often = float((number[1:] != number[:-1]).mean())
    if not 2 <= len(values) <= MAX_PAGES or counts.min() < least_frames or often < _LEAST_FLIPS:
        return None
    others = free.copy()
    others[list(bits)] = False
    rest = columns[:, others]
    along = (rest[1:] != rest[:-1]).mean(axis=0)
    order = np.argsort(number, kind="stable")
    paged, same_page = rest[order], number[order][1:] == number[order][:-1]
    within = (paged[1:] != paged[:-1])[same_page].mean(axis=0)
    calmed = within < (1 - _LEAST_GAIN) * along
    if calmed.sum() < _LEAST_BITS or not within.any() or within.sum() > along.sum():
        return None
    gain = 1 - float(within[calmed].sum() / along[calmed].sum())
    return Selector(bits, tuple(values.tolist()), round(gain, 2))
