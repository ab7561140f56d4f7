"""MF4 bus logs (ASAM MDF 4.1: CAN_DataFrame, CAN_RemoteFrame, CAN_ErrorFrame) through asammdf, as columns."""

import contextlib
import datetime as dt
import io
import logging
import struct
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError
from ved.logfiles.logfile import CHUNK_FRAMES
from ved.logfiles.mf4_repair import BadBlockError, Repair, find_repair
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

_UNFINISHED: Final = b"UnFinMF "
_FINISHED: Final = b"MDF     "
_ID_MASK: Final = 0x1FFF_FFFF
_KINDS: Final = {
    "CAN_DataFrame": FrameFlag(0),
    "CAN_RemoteFrame": FrameFlag.REMOTE,
    "CAN_ErrorFrame": FrameFlag.ERROR,
}
_BITS: Final = {
    "IDE": FrameFlag.EXTENDED,
    "EDL": FrameFlag.FD,
    "BRS": FrameFlag.BIT_RATE_SWITCH,
    "ESI": FrameFlag.ERROR_STATE,
    "RTR": FrameFlag.REMOTE,
    "Dir": FrameFlag.TRANSMITTED,
}
_LENGTH_OF_DLC: Final = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64], np.uint8)


class Mf4Log:
    """An MF4 bus log, read whole when it is opened (about 25 bytes a frame). Buses keep the file's numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data, repair = self._read()
        mdf_class, mdf_error = _import_asammdf(path)
        logging.getLogger("asammdf").setLevel(logging.CRITICAL)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # asammdf prints the tracebacks of some of its errors
                mdf = mdf_class(io.BytesIO(data), raise_on_multiple_occurrences=False)
                parts = [part for index, group in enumerate(mdf.groups) for part in _frames_of(mdf, index, group)]
                start = mdf.header.start_time
                self.problem = self._end_problem(data, repair, mdf)
                mdf.close()
        except (mdf_error, ValueError, LookupError, AttributeError, TypeError, struct.error) as error:
            _disarm(error)
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"log {path}: is damaged; asammdf says: {why}") from error
        frames = FrameColumns.concatenate(parts)
        if len(frames) == 0:
            raise UserError(self.problem or f"log {path}: holds no CAN frames; give an MF4 file of bus logging")
        if len(parts) > 1:
            frames = frames.take(np.argsort(frames.t_us, kind="stable"))
        if start.tzinfo is None:
            start = start.replace(tzinfo=dt.UTC)
        first_us = int(frames.t_us[0])
        self._frames = FrameColumns(
            frames.t_us - first_us, frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload
        )
        self.start_utc_us = round(start.timestamp() * 1e6) + first_us
        self.buses = {int(bus): f"CAN{bus}" for bus in np.unique(frames.bus)}
        self.frame_count: int | None = len(frames)

    def chunks(self) -> Iterator[FrameColumns]:
        """All frames; several groups in the file are merged in the order of time."""
        for row in range(0, len(self._frames), CHUNK_FRAMES):
            yield self._frames.take(slice(row, row + CHUNK_FRAMES))

    def _read(self) -> tuple[bytearray, Repair]:
        """The file's bytes, mended where it was cut off, and what had to be mended."""
        data = bytearray(self._path.read_bytes())
        if not data.startswith((_FINISHED, _UNFINISHED)):
            raise UserError(f"log {self._path}: is no MF4 file")
        try:
            repair = find_repair(data)
        except BadBlockError as error:
            raise UserError(f"log {self._path}: is damaged or was cut off before its index") from error
        if repair.is_cut and data.startswith(_UNFINISHED):
            raise UserError(f"log {self._path}: is damaged or was cut off before its frames begin")
        for offset, value in repair.patches.items():
            struct.pack_into("<Q", data, offset, value)
        return data, repair

    def _end_problem(self, data: bytearray, repair: Repair, mdf: Any) -> str | None:
        """What to say when the file does not end with a whole record."""
        if repair.is_cut:
            kept = repair.all_records - repair.lost_records
            return f"log {self._path}: is cut off; {kept} of {repair.all_records} records are whole"
        if data.startswith(_UNFINISHED) and repair.only_data_at is not None:
            sizes = [_record_bytes(group) * int(group.channel_group.cycles_nr) for group in mdf.groups]
            if sum(sizes) < len(data) - repair.only_data_at and all(_has_fixed_size(group) for group in mdf.groups):
                return f"log {self._path}: is cut off in its last record; those before it are whole"
        return None


def _frames_of(mdf: Any, index: int, group: Any) -> Iterator[FrameColumns]:
    """The frames of one channel group: none when it holds something else."""
    names = {channel.name for channel in group.channels}
    for kind, kind_flag in _KINDS.items():
        if kind in names and int(group.channel_group.cycles_nr) > 0:
            yield _Group(mdf, index, kind, names).columns(kind_flag)


def _record_bytes(group: Any) -> int:
    channel_group = group.channel_group
    return int(group.data_group.record_id_len + channel_group.samples_byte_nr + channel_group.invalidation_bytes_nr)


def _has_fixed_size(group: Any) -> bool:
    """False for a group of byte strings of any length that holds some."""
    return not (int(group.channel_group.flags) & 1 and int(group.channel_group.samples_byte_nr))


def _disarm(error: Exception) -> None:
    """Tell the half-built asammdf objects behind an error that they are closed; else they complain when collected."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        unfinished = frame.f_locals.get("self")
        if hasattr(unfinished, "_closed"):
            setattr(unfinished, "_closed", True)  # noqa: B010  (it has no public way)


def _import_asammdf(path: Path) -> tuple[Any, type[Exception]]:
    """Imported here alone: it takes seconds, and is an extra."""
    try:
        from asammdf import MDF
        from asammdf.blocks.utils import MdfException
    except ImportError as error:
        raise UserError(f"log {path}: reading MF4 needs asammdf; run `pip install 'ved[mf4]'`") from error
    return MDF, MdfException


class _Group:
    """One channel group of one kind of frame."""

    def __init__(self, mdf: Any, index: int, kind: str, names: set[str]) -> None:
        self._mdf, self._index, self._kind, self._names = mdf, index, kind, names

    def columns(self, kind_flag: FrameFlag) -> FrameColumns:
        master = self._mdf.get_master(self._index)
        count = len(master)
        flags = np.full(count, kind_flag, np.uint8)
        for name, flag in _BITS.items():
            flags |= np.where(self._is_set(name, count), np.uint8(flag), np.uint8(0))
        is_remote = (flags & np.uint8(FrameFlag.REMOTE)).astype(np.bool_)
        dlc = _LENGTH_OF_DLC[np.minimum(self._integers("DLC", count), 15)]
        length = self._integers("DataLength", count).astype(np.uint8) if self._has("DataLength") else dlc
        length = np.where(is_remote, np.minimum(dlc if self._has("DLC") else length, CLASSIC_WIDTH), length)
        length = length.astype(np.uint8)
        payload = self._payload(count)
        used = np.arange(payload.shape[1], dtype=np.uint8) < length[:, None]
        payload[~used | is_remote[:, None]] = 0
        return FrameColumns(
            np.rint(master * 1e6).astype(np.int64),
            self._integers("BusChannel", count).astype(np.uint8),
            (self._integers("ID", count) & _ID_MASK).astype(np.uint32),
            flags,
            length,
            payload,
        )

    def _has(self, name: str) -> bool:
        return f"{self._kind}.{name}" in self._names

    def _get(self, name: str) -> Any:
        full = f"{self._kind}.{name}"
        # Converted, not raw: a constant (bus, direction) may stand in the conversion alone, over a virtual channel.
        return self._mdf.get(full, group=self._index, raw=False, ignore_invalidation_bits=True).samples

    def _integers(self, name: str, count: int) -> NDArray[np.int64]:
        if not self._has(name):
            return np.zeros(count, np.int64)
        out: NDArray[np.int64] = self._get(name).astype(np.int64)
        return out

    def _is_set(self, name: str, count: int) -> NDArray[np.bool_]:
        """A one-bit channel; `Dir` may also be the text Rx or Tx."""
        if not self._has(name):
            return np.zeros(count, np.bool_)
        samples = self._get(name)
        if samples.dtype.kind == "S":
            return np.asarray(np.char.lower(samples) == b"tx")
        return np.asarray(samples != 0)

    def _payload(self, count: int) -> NDArray[np.uint8]:
        if not self._has("DataBytes"):
            return np.zeros((count, CLASSIC_WIDTH), np.uint8)
        samples = self._get("DataBytes")
        data = np.ascontiguousarray(samples).view(np.uint8).reshape(count, -1)[:, :FD_WIDTH]
        width = CLASSIC_WIDTH if data.shape[1] <= CLASSIC_WIDTH else FD_WIDTH
        out = np.zeros((count, width), np.uint8)
        out[:, : data.shape[1]] = data
        return out
