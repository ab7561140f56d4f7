"""Lines of `candump`, as they come over TCP: the log format (`candump -L`) and the one for the console.

The console's: `can0  123   [8]  11 22 33`, `can0  123  [08]` (two digits: CAN FD), `remote request`, `ERRORFRAME`,
before it a time in brackets (`-t`), after the interface `RX - -` (`-x`), after the data its text in quotes (`-a`).
"""

import re
from typing import Final

from ved.canbus.network.rawframes import ERROR, EXTENDED, NO_STAMP, REMOTE, FrameList, RawFrames
from ved.logfiles.candump import LOG_LINE, log_time_us

MAX_LINE: Final = 512
_CONSOLE: Final = re.compile(
    rb"^ *(?:\(([^)]{1,40})\) +)?(\S+) +(?:(?:RX|TX) [B-] [E-] +)?([0-9A-F]{3}|[0-9A-F]{8}) +"
    rb"\[([0-9]{1,2})\]((?: [ ]?[0-9A-F]{2})*| +remote request) *(ERRORFRAME)? *(?:'.*')? *(?:ERRORFRAME)?$"
)
_ABSOLUTE: Final = re.compile(rb"^(\d{9,11})\.(\d{6,9})$")


class CandumpTalk:
    """Takes pieces of a stream in order; `interface` (empty: any) is whose lines count. Says nothing itself."""

    is_raw = True

    def __init__(self, interface: str = "") -> None:
        self.answer = b""
        self._interface = interface.encode()
        self._rest = b""
        self._is_skipping = False

    def feed(self, piece: bytes) -> RawFrames:
        """The frames of the lines that have ended; a line that is none, or too long, is counted as refused."""
        found = FrameList()
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if self._is_skipping:
                self._is_skipping = False  # the end of a line that was too long
            else:
                self._take(line.rstrip(b"\r"), found)
        if len(self._rest) > MAX_LINE:
            found.refused += not self._is_skipping
            self._rest, self._is_skipping = b"", True
        return found.take()

    def _take(self, line: bytes, found: FrameList) -> None:
        if not line.strip():
            return
        if len(line) > MAX_LINE:
            found.refused += 1
        elif (log := LOG_LINE.fullmatch(line)) is not None:
            self._take_log(log, found)
        elif (shown := _CONSOLE.fullmatch(line)) is not None:
            self._take_shown(shown, found)
        else:
            found.refused += 1

    def _is_ours(self, name: bytes) -> bool:
        return not self._interface or name == self._interface

    def _take_log(self, match: re.Match[bytes], found: FrameList) -> None:
        seconds, fraction, name, number, fd_flags, fd_data, remote, asked, data, _ = match.groups()
        if not self._is_ours(name):
            return
        stamp_us = log_time_us(seconds, fraction)
        raw_id = _raw_id(number)
        if remote is not None:
            length = min(int(asked, 16), 8) if asked else 0
            found.add(raw_id | REMOTE, length, b"", None, stamp_us)
        elif fd_flags is not None:
            content = bytes.fromhex(fd_data.decode())
            found.add(raw_id, len(content), content, int(fd_flags, 16) & 3, stamp_us)
        else:
            content = bytes.fromhex((data or b"").decode())
            found.add(raw_id, len(content), content, None, stamp_us)

    def _take_shown(self, match: re.Match[bytes], found: FrameList) -> None:
        time, name, number, length, body, error = match.groups()
        if not self._is_ours(name):
            return
        absolute = _ABSOLUTE.fullmatch(time or b"")
        stamp_us = NO_STAMP if absolute is None else log_time_us(absolute[1], absolute[2])
        raw_id = _raw_id(number)
        is_fd = len(length) == 2
        if body.strip() == b"remote request":
            found.add(raw_id | REMOTE, int(length), b"", None, stamp_us)
        else:
            bits = ERROR if error is not None else 0
            content = bytes.fromhex(body.replace(b" ", b"").decode())
            found.add(raw_id | bits, int(length), content, 0 if is_fd else None, stamp_us)


def _raw_id(text: bytes) -> int:
    """Eight digits are an extended id, or one with the error bit."""
    number = int(text, 16)
    if len(text) == 3:
        return number
    return number if number & ERROR else number | EXTENDED
