"""Checksums that cars use, tried on whole columns of frames: which byte is a function of the others?"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_POLYNOMIALS: Final = {"CRC-8 (0x1D, SAE J1850)": 0x1D, "CRC-8 (0x2F, AUTOSAR)": 0x2F, "CRC-8 (0x07)": 0x07}
_MIN_DISTINCT: Final = 12


class Checksum(NamedTuple):
    """The byte, what it is of the others, and on how many different contents that was seen."""

    byte: int
    name: str
    distinct: int


def find_checksums(payload: NDArray[np.uint8]) -> Iterator[Checksum]:
    """At most one checksum byte of payload u8[n, length].

    Start values, final XORs and hidden data ids do not matter: over frames of one length they only XOR (or add) a
    constant, so a byte is a checksum when its difference from the plain one is the same in all frames.
    """
    length = payload.shape[1]
    if length < 2:
        return
    contents = np.unique(payload, axis=0)
    for byte in (length - 1, 0, *range(1, length - 1)):
        own, others = contents[:, byte], np.delete(contents, byte, axis=1)
        distinct = len(np.unique(others, axis=0))
        changing = int((others != others[0]).any(axis=0).sum())
        if distinct < _MIN_DISTINCT or distinct < len(contents) or len(np.unique(own)) < 4 or changing < 2:
            continue
        if ((others ^ own[:, None]) == (others ^ own[:, None])[0]).all(axis=0).any():
            continue  # a copy of another byte: two signals with one value
        for name, difference in _differences(own, others):
            if (difference == difference[0]).all():
                yield Checksum(byte, name, distinct)
                return


def _differences(own: NDArray[np.uint8], others: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    total = others.sum(axis=1, dtype=np.uint64).astype(np.uint8)
    yield "XOR", own ^ np.bitwise_xor.reduce(others, axis=1)
    yield "sum", own - total
    yield "negated sum", own + total
    for name, polynomial in _POLYNOMIALS.items():
        table = _crc_table(polynomial)
        crc = np.zeros(len(own), np.uint8)
        for column in others.T:
            crc = table[crc ^ column]
        yield name, own ^ crc


@cache
def _crc_table(polynomial: int) -> NDArray[np.uint8]:
    rows = []
    for crc in range(256):
        value = crc
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & 0x80 else value << 1) & 0xFF
        rows.append(value)
    return np.array(rows, np.uint8)
