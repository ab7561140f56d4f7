"""The dialogue with a socketcand daemon (doc/protocol.md of that project), up to raw mode, and its frames. Read-only.

Everything is an element `< word ... >`. In raw mode come `< frame ID SECONDS.MICROSECONDS DATA >` (bytes with or
without spaces between), `< fdframe ID FLAGS TIME DATA >`, `< rtr ID TIME LENGTH >` and `< error CLASS TIME >`; three
digits are a standard id. The only words that this side ever says are `open` and `rawmode`: none sends a frame.
"""

import re
from typing import Final

from ved.canbus.network.rawframes import ERROR, EXTENDED, REMOTE, FrameList, RawFrames
from ved.errors import CorruptDataError

MAX_ELEMENT: Final = 512
_CHANNEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,16}")
_TIME: Final = re.compile(rb"(\d{1,12})\.(\d{6})")
_ID: Final = re.compile(rb"[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8}")
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}){0,64}")
_BYTE: Final = re.compile(rb"[0-9A-Fa-f]{1,2}")
_QUIET: Final = (b"ok", b"echo", b"hi", b"stat")


def is_channel(name: str) -> bool:
    """True for a name that can be asked for; nothing else may stand in what is sent."""
    return _CHANNEL.fullmatch(name) is not None


class SocketcandTalk:
    """Takes pieces of what the daemon says; `answer` is what to say to it. `is_raw`: frames can come."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._rest = b""
        self._oks = 0
        self._is_greeted = False
        self.answer = b""

    @property
    def is_raw(self) -> bool:
        """True once the daemon has opened the bus and is in raw mode."""
        return self._oks == 2

    def feed(self, piece: bytes) -> RawFrames:
        """The frames of the elements that have ended, refused ones counted.

        CorruptDataError when the daemon does not let us in, or is none.
        """
        found = FrameList()
        self._rest += piece
        *elements, self._rest = self._rest.split(b">")
        for element in elements:
            before, opened, words = element.rpartition(b"<")
            if len(element) > MAX_ELEMENT or not opened or before.strip():
                found.refused += 1
                self._must_be_raw("says what is no element")
            else:
                self._take(words.split(), found)
        if len(self._rest) > MAX_ELEMENT:
            self._rest = b""
            found.refused += 1
            self._must_be_raw("says too much before it lets us in")
        return found.take()

    def _must_be_raw(self, text: str) -> None:
        if not self.is_raw:
            raise CorruptDataError(f"the daemon {text}; is this a socketcand?")

    def _take(self, words: list[bytes], found: FrameList) -> None:
        if not self.is_raw:
            self._greet(words)
        elif not _add(words, found) and words[:1] not in ([word] for word in _QUIET):
            found.refused += 1

    def _greet(self, words: list[bytes]) -> None:
        if words == [b"hi"] and not self._is_greeted:
            self._is_greeted = True
            self.answer += f"< open {self._channel} >".encode()
        elif words == [b"ok"] and self._is_greeted:
            self._oks += 1
            self.answer += b"< rawmode >" if self._oks == 1 else b""
        else:
            said = b" ".join(words)[:60].decode(errors="replace")
            raise CorruptDataError(f"the daemon does not open {self._channel}: it says {said!r}")


def _add(words: list[bytes], found: FrameList) -> bool:
    """Add the frame that the words are; False when they are none. A frame that cannot exist counts as refused."""
    kind, rest = (words[0], words[1:]) if words else (b"", [])
    fd_flags = None
    if kind == b"fdframe" and len(rest) >= 2 and _BYTE.fullmatch(rest[1]):
        fd_flags = int(rest.pop(1), 16) & 3
    elif kind not in (b"frame", b"rtr", b"error"):
        return False
    if len(rest) < 2 or not _ID.fullmatch(rest[0]) or (time := _TIME.fullmatch(rest[1])) is None:
        return False
    stamp_us = int(time[1]) * 1_000_000 + int(time[2])
    raw_id = int(rest[0], 16) & 0x1FFF_FFFF
    raw_id |= EXTENDED if len(rest[0]) == 8 and kind != b"error" else 0
    if kind == b"error":
        found.add(raw_id | ERROR, 8, bytes(8), None, stamp_us)  # the daemon keeps the bytes to itself
    elif kind == b"rtr":
        if len(rest) != 3 or not _BYTE.fullmatch(rest[2]):
            return False
        found.add(raw_id | REMOTE, int(rest[2], 16), b"", None, stamp_us)
    else:
        data = b"".join(word.rjust(2, b"0") for word in rest[2:]) if len(rest) > 3 else b"".join(rest[2:])
        if not _HEX.fullmatch(data):
            return False
        content = bytes.fromhex(data.decode())
        found.add(raw_id, len(content), content, fd_flags, stamp_us)
    return True
