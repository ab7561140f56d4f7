"""Records out of bytes: what is valid, what is not yet complete, and where the next valid record begins. No I/O."""

import struct
from enum import Enum, auto
from typing import Final, NamedTuple

import google_crc32c

from ved.journal.layout import (
    MAX_PAYLOAD_BYTES,
    RECORD_HEAD_BYTES,
    RECORD_HEADER_BYTES,
    RECORD_MARKER,
)

_HEADER: Final = struct.Struct("<4sIQII")


class Entry(NamedTuple):
    """One record of a journal."""

    position: int
    payload: bytes


class Stop(Enum):
    """Why parsing stopped."""

    FULL = auto()  # the caller's byte budget is used up
    END = auto()  # exactly at the end of the bytes
    PARTIAL = auto()  # the bytes end inside a record
    BAD_HEADER = auto()  # no valid header here
    BAD_PAYLOAD = auto()  # a valid header, so its length holds, with a damaged payload


class Parsed(NamedTuple):
    """Valid entries in a row; parsing stopped at byte `at`; the record there needs `needed` bytes from `at`."""

    entries: list[Entry]
    at: int
    stop: Stop
    needed: int


def header_at(data: bytes, at: int, seed: int) -> tuple[int, int, int] | None:
    """(payload length, position, payload CRC) of the record header at byte `at`, or None when it is not valid."""
    marker, length, position, payload_crc, header_crc = _HEADER.unpack_from(data, at)
    if (
        marker != RECORD_MARKER
        or length > MAX_PAYLOAD_BYTES
        or google_crc32c.extend(seed, data[at : at + RECORD_HEAD_BYTES]) != header_crc
    ):
        return None
    return length, position, payload_crc


def parse_records(data: bytes, at: int, seed: int, from_position: int, max_bytes: int) -> Parsed:
    """Valid records from byte `at` on, those below `from_position` left out (their payloads unchecked).

    Stops once `max_bytes` of payload are out; the first entry is let through whatever its size.
    """
    entries: list[Entry] = []
    size, budget = len(data), max_bytes
    unpack, extend, value = _HEADER.unpack_from, google_crc32c.extend, google_crc32c.value
    while True:
        if size - at < RECORD_HEADER_BYTES:
            return Parsed(entries, at, Stop.END if at >= size else Stop.PARTIAL, RECORD_HEADER_BYTES)
        marker, length, position, payload_crc, header_crc = unpack(data, at)
        if (
            marker != RECORD_MARKER
            or length > MAX_PAYLOAD_BYTES
            or extend(seed, data[at : at + RECORD_HEAD_BYTES]) != header_crc
        ):
            return Parsed(entries, at, Stop.BAD_HEADER, RECORD_HEADER_BYTES)
        start = at + RECORD_HEADER_BYTES
        end = start + length
        if position >= from_position:
            if entries and length > budget:
                return Parsed(entries, at, Stop.FULL, end - at)
            if end > size:
                return Parsed(entries, at, Stop.PARTIAL, end - at)
            payload = data[start:end]
            if value(payload) != payload_crc:
                return Parsed(entries, at, Stop.BAD_PAYLOAD, end - at)
            entries.append(Entry(position, payload))
            budget -= length
        elif end > size:
            return Parsed(entries, at, Stop.PARTIAL, end - at)
        at = end


def find_header(data: bytes, at: int, seed: int) -> int | None:
    """The first byte from `at` on where a valid record header stands, or None."""
    while (at := data.find(RECORD_MARKER, at)) >= 0:
        if len(data) - at < RECORD_HEADER_BYTES:
            return None
        if header_at(data, at, seed) is not None:
            return at
        at += 1
    return None
