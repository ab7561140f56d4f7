"""Raw frames in MQTT payloads (docs/spec/mqtt.md): many in one, with a sender's life and numbers, so that gaps show."""

import struct
from dataclasses import dataclass
from typing import Final

from ved.canbus.network.rawframes import ERROR, REMOTE, FrameList, RawFrames
from ved.errors import CorruptDataError

VERSION: Final = 1
MAX_PAYLOAD: Final = 1 << 20
MAX_FRAMES: Final = 8192
_HEAD: Final = struct.Struct("<BBHIIQ")
_FRAME: Final = struct.Struct("<IIBB")
_FD: Final = 4
_NUMBERS: Final = 1 << 32
_AHEAD: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class MqttFrames:
    """One payload: the sender's life (a random number of each of its starts), the first frame's number, the frames."""

    life: int
    first: int
    frames: RawFrames


def parse_mqtt_frames(payload: bytes) -> MqttFrames:
    """All frames of a payload, with the sender's times; CorruptDataError when any part is wrong: then none counts."""
    if len(payload) > MAX_PAYLOAD:
        raise CorruptDataError(f"larger than {MAX_PAYLOAD} bytes")
    if len(payload) < _HEAD.size:
        raise CorruptDataError("shorter than a header")
    version, reserved, count, life, first, start_us = _HEAD.unpack_from(payload)
    if version != VERSION or reserved or not 1 <= count <= MAX_FRAMES or start_us >= 1 << 60:
        raise CorruptDataError("a header field out of range")
    found = FrameList()
    at = _HEAD.size
    for _ in range(count):
        if at + _FRAME.size > len(payload):
            raise CorruptDataError("ends inside a frame")
        raw_id, after_us, length, kind = _FRAME.unpack_from(payload, at)
        at += _FRAME.size
        size = 0 if raw_id & REMOTE and not raw_id & ERROR else length
        fd_flags = kind & 3 if kind & _FD else None
        data = payload[at : at + size]
        is_possible = kind <= 7 and (fd_flags is not None or kind == 0)
        if not is_possible or not found.add(raw_id, length, data, fd_flags, start_us + after_us):
            raise CorruptDataError("ends inside a frame, or a frame that cannot exist")
        at += size
    if at != len(payload):
        raise CorruptDataError("bytes after the last frame")
    return MqttFrames(life, first, found.take())


class NumberWatch:
    """Follows the frame numbers of one sender over its lives."""

    def __init__(self) -> None:
        self._life: int | None = None
        self._next = 0
        self._earlier: list[int] = []

    def skip(self, payload: MqttFrames) -> tuple[int, int] | None:
        """(frames lost before this payload, or -1: not known; frames at its start that came before).

        None: a payload of a life that is over, so all of it came before.
        """
        count = len(payload.frames)
        if payload.life != self._life:
            if payload.life in self._earlier:
                return None
            if self._life is not None:
                self._earlier = [*self._earlier[-15:], self._life]
            lost = payload.first if self._life is not None else 0
            self._life, self._next = payload.life, (payload.first + count) % _NUMBERS
            return lost, 0
        ahead = (payload.first - self._next) % _NUMBERS
        if ahead < _AHEAD:
            self._next = (payload.first + count) % _NUMBERS
            return ahead, 0
        known = min(_NUMBERS - ahead, count)
        self._next = (self._next + count - known) % _NUMBERS
        return 0, known


def take_from(frames: RawFrames, first: int) -> RawFrames:
    """The frames from row `first` on."""
    return RawFrames(frames.data[first:], frames.is_fd[first:], frames.stamps_us[first:], frames.refused)
