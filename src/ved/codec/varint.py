"""Unsigned numbers in as few bytes as they need: 7 bits a byte, lowest first, the top bit says that more follow."""

from typing import Final

from ved.errors import CorruptDataError

_MAX_BYTES: Final = 10
_MAX: Final = (1 << 64) - 1


def pack_varint(number: int) -> bytes:
    """A number from 0 to 2**64 - 1."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class VarintReader:
    """Reads numbers and bytes one after the other; CorruptDataError past the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self, most: int = _MAX) -> int:
        """The next number, at most `most`."""
        number = 0
        for place in range(_MAX_BYTES):
            if self.at >= len(self.data):
                raise CorruptDataError("a number is cut short")
            octet = self.data[self.at]
            self.at += 1
            number |= (octet & 0x7F) << 7 * place
            if octet < 0x80:
                break
        if number > most or octet >= 0x80:
            raise CorruptDataError(f"a number is out of range (at most {most})")
        return number

    def octets(self, count: int) -> bytes:
        """The next `count` bytes."""
        out = self.data[self.at : self.at + count]
        if len(out) != count:
            raise CorruptDataError("bytes are missing")
        self.at += count
        return out

    def rest(self) -> bytes:
        """All that is left."""
        return self.octets(len(self.data) - self.at)
