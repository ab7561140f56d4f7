"""candump logs (`candump -L`): `(1690000000.123456) can0 123#0102` a line, in and out.

Read here and not through python-can, whose reader drops the class and bytes of error frames and makes an object a
frame. The format is the one of can-utils: `#` data, `##<flags>` CAN FD, `#R<length>` remote, error bit in the id.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError
from ved.logfiles.logfile import CHUNK_FRAMES
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

LOG_LINE: Final = re.compile(
    rb"^\((\d{1,10})\.(\d{1,9})\) +(\S+) +([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#"
    rb"(?:#([0-9A-Fa-f])((?:[0-9A-Fa-f]{2}){0,64})|([Rr])([0-9A-Fa-f]?)|((?:[0-9A-Fa-f]{2}){0,8}))"
    rb"(?:_[0-9A-Fa-f])?(?: +([RTrt]))?[ \r]*$",
    re.MULTILINE,
)
_NAME, _ID, _FD_DATA, _DATA = 2, 3, 5, 8
_BUS_NAME: Final = re.compile(rb"^\([\d.]+\) +(\S+) ", re.MULTILINE)
_BLOCK_BYTES: Final = 1 << 20

_ERROR_BIT: Final = 0x2000_0000
_ID_MASK: Final = 0x1FFF_FFFF
_MAX_STANDARD_ID: Final = 0x7FF
_FD_BRS: Final = 1
_FD_ESI: Final = 2
_MAX_BUSES: Final = 256


class CandumpLog:
    """A candump log; of a last line that has no end, only a frame as long as others of its id is believed.

    `buses` takes the number at the end of the interface's name (`can2` -> 2) where it is free.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._skipped = 0
        self._first_skipped = 0
        self._is_cut = False
        self._indexes = self._find_buses()
        self.start_utc_us = self._find_start()
        self.frame_count: int | None = None

    @property
    def buses(self) -> dict[int, str]:
        """Bus index -> interface name."""
        return {index: name.decode(errors="replace") for name, index in self._indexes.items()}

    @property
    def problem(self) -> str | None:
        """Lines that are no frames, and a cut end."""
        parts = []
        if self._is_cut:
            parts.append("the last line is cut off")
        if self._skipped:
            parts.append(f"{self._skipped} lines are no frames (the first is line {self._first_skipped})")
        return f"log {self._path}: {' and '.join(parts)}; the rest was read" if parts else None

    def chunks(self) -> Iterator[FrameColumns]:
        """All frames in file order."""
        self._skipped, self._first_skipped, self._is_cut = 0, 0, False
        line_number = 0
        rows: list[tuple[bytes, ...]] = []
        before = b""
        for block, is_last in self._blocks():
            found = LOG_LINE.findall(block)
            if is_last and found and _is_shorter(found[-1], before):
                found.clear()
                self._is_cut = True
            before = block
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            if len(found) != lines and not self._is_cut:
                self._note_bad_lines(block, line_number, is_last)
            line_number += lines
            rows += found
            while len(rows) >= CHUNK_FRAMES:
                yield self._columns(rows[:CHUNK_FRAMES])
                rows = rows[CHUNK_FRAMES:]
        if rows:
            yield self._columns(rows)

    def _blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Whole lines, about a MiB at a time, and whether it is the file's end."""
        try:
            with self._path.open("rb") as file:
                rest = b""
                while data := file.read(_BLOCK_BYTES):
                    data = rest + data
                    end = data.rfind(b"\n") + 1
                    if end == 0 and len(data) > 2 * _BLOCK_BYTES:
                        raise UserError(f"log {self._path}: is no candump log (no line ends); give a `candump -L` file")
                    if end:
                        yield data[:end], False
                    rest = data[end:]
                if rest:
                    yield rest, True
        except OSError as error:
            raise UserError(f"log {self._path}: cannot be read: {error.strerror or error}") from error

    def _find_buses(self) -> dict[bytes, int]:
        names: dict[bytes, None] = {}
        for block, _ in self._blocks():
            names.update(dict.fromkeys(_BUS_NAME.findall(block)))
        if not names:
            raise UserError(f"log {self._path}: no line is a frame; give a file written by `candump -L`")
        if len(names) > _MAX_BUSES:
            raise UserError(f"log {self._path}: {len(names)} interfaces; at most {_MAX_BUSES} can be told apart")
        indexes: dict[bytes, int] = {}
        for name in sorted(names):
            digits = re.search(rb"\d+$", name)
            wanted = int(digits[0]) if digits and len(digits[0]) < 4 else 0
            if wanted >= _MAX_BUSES or wanted in indexes.values():
                wanted = min(set(range(_MAX_BUSES)) - set(indexes.values()))
            indexes[name] = wanted
        return indexes

    def _find_start(self) -> int:
        for block, _ in self._blocks():
            if first := LOG_LINE.search(block):
                return log_time_us(first[1], first[2])
        raise UserError(f"log {self._path}: no line is a frame; give a file written by `candump -L`")

    def _note_bad_lines(self, block: bytes, lines_before: int, is_last: bool) -> None:
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, lines_before + 1):
            if not line.strip() or LOG_LINE.match(line):
                continue
            if is_last and number == lines_before + len(lines):
                self._is_cut = True
            else:
                self._skipped += 1
                self._first_skipped = self._first_skipped or number

    def _columns(self, rows: list[tuple[bytes, ...]]) -> FrameColumns:
        seconds, fractions, names, ids, fd_flags, fd_data, remotes, asked, data, directions = zip(*rows, strict=True)
        t_us = np.array([log_time_us(s, f) for s, f in zip(seconds, fractions, strict=True)], np.int64)
        raw_id = np.array([int(text, 16) for text in ids], np.int64)
        is_error = (raw_id & _ERROR_BIT) != 0
        is_extended = np.array([len(text) > 3 for text in ids], np.bool_) & ~is_error
        flags = np.where(is_error, np.uint8(FrameFlag.ERROR), np.uint8(0))
        flags |= np.where(is_extended, np.uint8(FrameFlag.EXTENDED), np.uint8(0))
        flags |= np.array([_FD_FLAGS[text] for text in fd_flags], np.uint8)
        flags |= np.array([FrameFlag.REMOTE if text else 0 for text in remotes], np.uint8)
        flags |= np.array([FrameFlag.TRANSMITTED if text in b"Tt" and text else 0 for text in directions], np.uint8)
        texts = [a or b for a, b in zip(fd_data, data, strict=True)]
        length = np.array([len(text) // 2 for text in texts], np.uint8)
        width = CLASSIC_WIDTH if length.max() <= CLASSIC_WIDTH else FD_WIDTH
        payload = np.frombuffer(bytes.fromhex(b"".join(t.ljust(2 * width, b"0") for t in texts).decode()), np.uint8)
        asked_length = np.array([min(int(text, 16), CLASSIC_WIDTH) if text else 0 for text in asked], np.uint8)
        return FrameColumns(
            t_us - self.start_utc_us,
            np.array([self._indexes[name] for name in names], np.uint8),
            (raw_id & _ID_MASK).astype(np.uint32),
            flags,
            np.where(flags & np.uint8(FrameFlag.REMOTE), asked_length, length),
            payload.reshape(len(rows), width),
        )


def _is_shorter(last: tuple[bytes, ...], before: bytes) -> bool:
    """True when a last line without an end has fewer bytes than its id had before: part of a frame is no frame."""
    at = before.rfind(b" %s %s#" % (last[_NAME], last[_ID]))
    line = before[before.rfind(b"\n", 0, max(at, 0)) + 1 :].split(b"\n", 1)[0]
    whole = LOG_LINE.match(line)
    return at >= 0 and whole is not None and len(last[_FD_DATA] or last[_DATA]) < len(whole[6] or whole[9] or b"")


def _fd_flags(text: bytes) -> int:
    if not text:
        return 0
    bits = int(text, 16)
    switch = FrameFlag.BIT_RATE_SWITCH if bits & _FD_BRS else 0
    state = FrameFlag.ERROR_STATE if bits & _FD_ESI else 0
    return int(FrameFlag.FD | switch | state)


_FD_FLAGS: Final = {bytes([digit]): _fd_flags(bytes([digit])) for digit in b"0123456789abcdefABCDEF"} | {b"": 0}


def log_time_us(seconds: bytes, fraction: bytes) -> int:
    """µs; digits past the sixth are rounded half up."""
    micro = int(fraction.ljust(6, b"0")[:6])
    if len(fraction) > 6 and fraction[6:7] >= b"5":
        micro += 1
    return int(seconds) * 1_000_000 + micro


def write_candump(path: Path, chunks: Iterable[FrameColumns], start_utc_us: int, bus_names: Mapping[int, str]) -> int:
    """Write frames as a candump log; returns how many. A bus without a name is written as `can<index>`.

    `chunks` count `t_us` from `start_utc_us`. UserError when the file cannot be written.
    """
    written = 0
    try:
        with path.open("w", encoding="ascii", newline="\n") as file:
            for frames in chunks:
                file.write("".join(_lines(frames, start_utc_us, bus_names)))
                written += len(frames)
    except OSError as error:
        raise UserError(f"log {path}: cannot be written: {error.strerror or error}") from error
    return written


def _lines(frames: FrameColumns, start_utc_us: int, bus_names: Mapping[int, str]) -> Iterator[str]:
    text = frames.payload.tobytes().hex().upper()
    width = 2 * frames.payload.shape[1]
    columns = (frames.t_us + start_utc_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
    for row, (utc_us, bus, number, bits, length) in enumerate(zip(*(_list(c) for c in columns), strict=True)):
        if bits & FrameFlag.ERROR:
            name = f"{number | _ERROR_BIT:08X}"
        else:
            name = f"{number:08X}" if bits & FrameFlag.EXTENDED or number > _MAX_STANDARD_ID else f"{number:03X}"
        data = text[row * width : row * width + 2 * length]
        if bits & FrameFlag.REMOTE:
            data = f"R{min(length, CLASSIC_WIDTH)}" if length else "R"
        elif bits & FrameFlag.FD:
            fd_bits = (_FD_BRS if bits & FrameFlag.BIT_RATE_SWITCH else 0) | (
                _FD_ESI if bits & FrameFlag.ERROR_STATE else 0
            )
            data = f"#{fd_bits:X}{data}"
        end = " T" if bits & FrameFlag.TRANSMITTED else ""
        seconds, micro = divmod(utc_us, 1_000_000)
        yield f"({seconds}.{micro:06d}) {bus_names.get(bus, f'can{bus}')} {name}#{data}{end}\n"


def _list(column: NDArray[np.integer]) -> list[int]:
    out: list[int] = column.tolist()
    return out
