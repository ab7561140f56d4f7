"""Datagrams of devices without TCP <-> columns (docs/spec/datagram.md).

Who receives looks at the key's number first (`peek_key_id`), then at the MAC (`has_right_mac`), then at the rest.
"""

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import CorruptDataError
from ved.model.frames import CLASSIC_WIDTH, EPOCH_BYTES, FD_WIDTH, FrameColumns, FrameFlag
from ved.model.samples import MAX_UNIT_BYTES, SampleChannel, SampleColumns

MAX_DATAGRAM_BYTES: Final = 1472
KEY_BYTES: Final = 32
MAC_BYTES: Final = 16
MAX_SEQ: Final = 1 << 48
MAX_T_US: Final = 1 << 53
MAX_SENT_US: Final = (1 << 32) - 1
"""The sender needed that or longer from the first entry to the sending."""

_MAGIC: Final = b"VD"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<2sBBI16sQQIHH")
_FRAME: Final = np.dtype([("dt_us", "<i4"), ("id", "<u4"), ("bus", "u1"), ("flags", "u1"), ("length", "u1")])
_SAMPLE: Final = struct.Struct("<idBB")
_MAX_NAME_BYTES: Final = 255
_KNOWN_FLAGS: Final = 0x7F
_EXTENDED: Final = int(FrameFlag.EXTENDED)
_FD: Final = int(FrameFlag.FD)
_REMOTE: Final = int(FrameFlag.REMOTE)


class DatagramKind(IntEnum):
    """What the entries are."""

    FRAMES = 1
    SAMPLES = 2


@dataclass(frozen=True, slots=True, eq=False)
class NamedSamples:
    """Samples with the table that their `channel` counts in."""

    channels: tuple[SampleChannel, ...]
    samples: SampleColumns


@dataclass(frozen=True, slots=True, eq=False)
class Datagram:
    """One datagram: consecutive entries of an epoch from `first_seq`, and when it was sent in the epoch's own time."""

    key_id: int
    epoch: bytes
    first_seq: int
    sent_at_us: int
    entries: FrameColumns | NamedSamples

    @property
    def t_us(self) -> NDArray[np.int64]:
        """The times of the entries."""
        return self.entries.t_us if isinstance(self.entries, FrameColumns) else self.entries.samples.t_us

    @property
    def last_seq(self) -> int:
        """seq of the last entry."""
        return self.first_seq + len(self.t_us) - 1


def peek_key_id(data: bytes) -> int:
    """The number of the key; CorruptDataError when the bytes cannot be a datagram of this version."""
    if not _HEADER.size + MAC_BYTES < len(data) <= MAX_DATAGRAM_BYTES:
        raise CorruptDataError(f"a datagram of {len(data)} bytes")
    magic, version, kind, key_id = struct.unpack_from("<2sBBI", data)
    if magic != _MAGIC or version != _VERSION or kind not in (DatagramKind.FRAMES, DatagramKind.SAMPLES):
        raise CorruptDataError("not a datagram of version 1")
    return int(key_id)


def has_right_mac(data: bytes, key: bytes) -> bool:
    """True when `key` made the MAC at the end of `data`, compared in constant time."""
    return hmac.compare_digest(data[-MAC_BYTES:], _mac(data[:-MAC_BYTES], key))


def decode_datagram(data: bytes) -> Datagram:
    """The datagram in `data`, whose MAC was checked before. CorruptDataError when any byte is not as specified."""
    key_id = peek_key_id(data)
    _, _, kind, _, epoch, first_seq, t_us, sent_us, count, reserved = _HEADER.unpack_from(data)
    if not count or reserved or first_seq < 1 or first_seq + count - 1 > MAX_SEQ or t_us > MAX_T_US:
        raise CorruptDataError("a field of the header is out of range")
    body = data[_HEADER.size : -MAC_BYTES]
    entries = _frames(body, count, t_us) if kind == DatagramKind.FRAMES else _samples(body, count, t_us)
    return Datagram(key_id, epoch, first_seq, t_us + sent_us, entries)


def encode_datagram(datagram: Datagram, key: bytes) -> bytes:
    """The bytes of a datagram with its MAC. ValueError when a field is out of range or the whole is too large."""
    t_us = datagram.t_us
    if not len(t_us) or len(datagram.epoch) != EPOCH_BYTES:
        raise ValueError("a datagram has an epoch of 16 bytes and at least one entry")
    base_us = int(t_us[0])
    is_frames = isinstance(datagram.entries, FrameColumns)
    sent_us = min(max(datagram.sent_at_us - base_us, 0), MAX_SENT_US)
    try:
        head = _HEADER.pack(
            _MAGIC,
            _VERSION,
            DatagramKind.FRAMES if is_frames else DatagramKind.SAMPLES,
            datagram.key_id,
            datagram.epoch,
            datagram.first_seq,
            base_us,
            sent_us,
            len(t_us),
            0,
        )
        if isinstance(datagram.entries, FrameColumns):
            body = _pack_frames(datagram.entries, base_us)
        else:
            body = _pack_samples(datagram.entries, base_us)
    except struct.error as error:
        raise ValueError(f"datagram out of range: {error}") from error
    out = head + body
    out += _mac(out, key)
    try:
        decode_datagram(out)
    except CorruptDataError as error:
        raise ValueError(f"datagram out of range: {error}") from error
    return out


def _mac(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")[:MAC_BYTES]


def _frames(body: bytes, count: int, base_us: int) -> FrameColumns:
    """The frames of a body, every byte of it."""
    heads, starts = _frame_heads(body, count)
    flags, length, ids = heads["flags"], heads["length"], heads["id"]
    is_fd, is_remote = (flags & _FD) > 0, (flags & _REMOTE) > 0
    limit = np.where(flags & _EXTENDED, 1 << 29, 1 << 11)
    t_us = heads["dt_us"].astype(np.int64) + base_us
    _check_times(t_us, base_us)
    if (
        (flags & ~np.uint8(_KNOWN_FLAGS)).any()
        or (ids >= limit).any()
        or (length > np.where(is_fd, FD_WIDTH, CLASSIC_WIDTH)).any()
        or (is_fd & is_remote).any()
    ):
        raise CorruptDataError("a frame is out of range")
    width = FD_WIDTH if (length > CLASSIC_WIDTH).any() else CLASSIC_WIDTH
    column = np.arange(width)
    is_data = column < np.where(is_remote, 0, length)[:, None]
    payload = np.zeros((count, width), np.uint8)
    payload[is_data] = np.frombuffer(body, np.uint8)[(starts[:, None] + column)[is_data]]
    return FrameColumns(t_us, heads["bus"].copy(), ids.astype(np.uint32), flags.copy(), length.copy(), payload)


def _frame_heads(body: bytes, count: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """The fixed parts of the entries, and where the data of each begin."""
    at, places = 0, []
    for _ in range(count):
        data_at = at + _FRAME.itemsize
        if data_at > len(body):
            raise CorruptDataError("the entries are cut short")
        places.append(at)
        at = data_at if body[data_at - 2] & _REMOTE else data_at + body[data_at - 1]
    if at != len(body):
        raise CorruptDataError("the entries do not fill the datagram")
    starts = np.array(places, np.int64)
    raw = np.frombuffer(body, np.uint8)[starts[:, None] + np.arange(_FRAME.itemsize)]
    return raw.view(_FRAME)[:, 0], starts + _FRAME.itemsize


def _samples(body: bytes, count: int, base_us: int) -> NamedSamples:
    """The samples of a body, every byte of it."""
    units: dict[str, str] = {}
    numbers: dict[str, int] = {}
    t_us, channel, value = np.empty(count, np.int64), np.empty(count, np.uint16), np.empty(count, np.float64)
    at = 0
    for row in range(count):
        texts_at = at + _SAMPLE.size
        if texts_at > len(body):
            raise CorruptDataError("the entries are cut short")
        dt_us, value[row], name_bytes, unit_bytes = _SAMPLE.unpack_from(body, at)
        at = texts_at + name_bytes + unit_bytes
        if not name_bytes or unit_bytes > MAX_UNIT_BYTES or at > len(body):
            raise CorruptDataError("a sample is out of range")
        name, unit = _text(body[texts_at : texts_at + name_bytes]), _text(body[texts_at + name_bytes : at])
        if units.setdefault(name, unit) != unit:
            raise CorruptDataError("one channel with two units")
        t_us[row], channel[row] = base_us + dt_us, numbers.setdefault(name, len(numbers))
    if at != len(body):
        raise CorruptDataError("the entries do not fill the datagram")
    _check_times(t_us, base_us)
    channels = tuple(SampleChannel(name, unit) for name, unit in units.items())
    return NamedSamples(channels, SampleColumns(t_us, channel, value))


def _check_times(t_us: NDArray[np.int64], base_us: int) -> None:
    if t_us[0] != base_us or t_us.min() < 0 or t_us.max() > MAX_T_US:
        raise CorruptDataError("a time is out of range")


def _text(data: bytes) -> str:
    if 0 in data:
        raise CorruptDataError("a text with a zero byte")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CorruptDataError("a text is not UTF-8") from error


def _pack_frames(frames: FrameColumns, base_us: int) -> bytes:
    dt_us = frames.t_us - base_us
    if (np.abs(dt_us) >= 1 << 31).any():
        raise ValueError("frames more than 35 minutes apart")
    heads = np.empty(len(frames), _FRAME)
    heads["dt_us"], heads["id"], heads["bus"] = dt_us, frames.arbitration_id, frames.bus
    heads["flags"], heads["length"] = frames.flags, frames.length
    parts = []
    for row, head in enumerate(heads):
        length = 0 if head["flags"] & _REMOTE else int(head["length"])
        parts.append(head.tobytes() + frames.payload[row, :length].tobytes())
    return b"".join(parts)


def _pack_samples(named: NamedSamples, base_us: int) -> bytes:
    parts = []
    columns = named.samples
    for t_us, number, value in zip(
        columns.t_us.tolist(), columns.channel.tolist(), columns.value.tolist(), strict=True
    ):
        channel = named.channels[number]
        name, unit = channel.name.encode(), channel.unit.encode()
        if len(name) > _MAX_NAME_BYTES:
            raise ValueError(f"channel {channel.name}: a name in a datagram has at most {_MAX_NAME_BYTES} bytes")
        parts.append(_SAMPLE.pack(t_us - base_us, value, len(name), len(unit)) + name + unit)
    return b"".join(parts)
