"""Reading and writing the small fields of note bodies: integers and texts, bounds checked."""

import struct
from typing import Final

from ved.errors import CorruptDataError

_U32: Final = struct.Struct("<I")


class FieldReader:
    """Reads fields one after the other; CorruptDataError past the end or for text that is not UTF-8."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next fields of a layout of integers."""
        end = self._at + layout.size
        if end > len(self._data):
            raise CorruptDataError("body is too short")
        values: tuple[int, ...] = layout.unpack_from(self._data, self._at)
        self._at = end
        return values

    def text(self) -> str:
        """The next text: u32 length in bytes, then UTF-8 without a zero byte, which PostgreSQL would not take."""
        (length,) = self.unpack(_U32)
        end = self._at + length
        if end > len(self._data):
            raise CorruptDataError("body is too short")
        try:
            data = self._data[self._at : end]
            if 0 in data:
                raise CorruptDataError("text with a zero byte")
            out = data.decode()
        except UnicodeDecodeError as error:
            raise CorruptDataError("text is not UTF-8") from error
        self._at = end
        return out

    def rest(self) -> bytes:
        """All bytes that are left."""
        out = self._data[self._at :]
        self._at = len(self._data)
        return out

    def end(self) -> None:
        """CorruptDataError when bytes are left over."""
        if self._at != len(self._data):
            raise CorruptDataError("body is too long")


def pack_text(text: str) -> bytes:
    """A text as `FieldReader.text` reads it. ValueError for one with a zero byte."""
    data = text.encode()
    if 0 in data:
        raise ValueError("text with a zero byte")
    return _U32.pack(len(data)) + data
