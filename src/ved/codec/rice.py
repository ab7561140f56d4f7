"""Lists of small numbers as bits: Rice codes, whole arrays at once (docs/spec/wire.md).

A number u with parameter k is its quotient u >> k, as that many 0 bits and a 1, and its k lowest bits. Quotients and
low bits stand in blocks of their own: that is what lets arrays be packed and read without a loop over numbers.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import CorruptDataError

ESCAPE: Final = 32
"""This quotient names a number that stands in full in the block of escaped numbers."""

MAX_K: Final = 56
"""So that low bits, wherever they begin in a byte, lie within 8 bytes."""

_WORD_BYTES: Final = 8

Numbers = NDArray[np.uint64]


def pack_numbers(numbers: Numbers, ks: Numbers) -> tuple[bytes, bytes, bytes]:
    """The blocks of quotients, escaped numbers and low bits, for as many parameters (0 to MAX_K) as numbers."""
    quotients = np.minimum(numbers >> ks, np.uint64(ESCAPE)).astype(np.intp)
    ends = np.cumsum(quotients + 1)
    bits = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    bits[ends - 1] = 1
    escaped = numbers[quotients == ESCAPE].astype("<u8").tobytes()
    low = np.repeat(numbers, ks.astype(np.intp)) >> _bit_numbers(ks)
    return np.packbits(bits).tobytes(), escaped, np.packbits(low.astype(np.uint8) & np.uint8(1)).tobytes()


def _bit_numbers(ks: Numbers) -> Numbers:
    """k - 1 down to 0 for each k, one behind the other."""
    sizes = ks.astype(np.intp)
    ends = np.repeat(np.cumsum(sizes), sizes)
    out: Numbers = (ends - np.arange(1, len(ends) + 1)).astype(np.uint64)
    return out


class NumberReader:
    """Reads lists one after the other; CorruptDataError when the blocks do not hold what is asked for."""

    def __init__(self, quotients: bytes, rest: bytes) -> None:
        ends = np.flatnonzero(np.unpackbits(np.frombuffer(quotients, np.uint8)))
        last = int(ends[-1]) + 1 if len(ends) else 0
        self._quotients = np.diff(ends, prepend=-1) - 1
        if len(quotients) != -(-last // 8) or (len(ends) and int(self._quotients.max()) > ESCAPE):
            raise CorruptDataError("quotients out of range")
        escaped_bytes = _WORD_BYTES * int((self._quotients == ESCAPE).sum())
        if len(rest) < escaped_bytes:
            raise CorruptDataError("escaped numbers are missing")
        self._escaped = np.frombuffer(rest[:escaped_bytes], "<u8")
        self._low = rest[escaped_bytes:]
        padded = self._low + bytes(_WORD_BYTES)
        self._words: NDArray[np.uint64] = np.ndarray((len(self._low) + 1,), ">u8", padded, strides=(1,))
        self._at = self._escaped_at = self._bit_at = 0

    @property
    def count(self) -> int:
        """Numbers that are left."""
        return len(self._quotients) - self._at

    def take(self, ks: Numbers) -> Numbers:
        """The next numbers, one for each parameter."""
        quotients = self._quotients[self._at : self._at + len(ks)]
        ends = np.cumsum(ks) + np.uint64(self._bit_at)
        end = int(ends[-1]) if len(ks) else self._bit_at
        if len(quotients) != len(ks) or end > 8 * len(self._low):
            raise CorruptDataError("numbers are missing")
        starts = ends - ks
        words = self._words[(starts >> np.uint64(3)).astype(np.intp)].astype(np.uint64)
        low = (words << (starts & np.uint64(7))) >> np.uint64(1) >> (np.uint64(63) - ks)
        out: Numbers = quotients.astype(np.uint64) << ks | low
        is_escaped = quotients == ESCAPE
        escaped = int(is_escaped.sum())
        out[is_escaped] = self._escaped[self._escaped_at : self._escaped_at + escaped]
        self._at += len(ks)
        self._escaped_at += escaped
        self._bit_at = end
        return out

    def end(self) -> None:
        """Everything must have been taken, but for bits that fill the last byte, which are 0."""
        spare_bits = 8 * len(self._low) - self._bit_at
        if self.count or spare_bits >= 8 or (spare_bits and self._low[-1] & (1 << spare_bits) - 1):
            raise CorruptDataError("numbers are left over")
