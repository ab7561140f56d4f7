"""MF4 bus logs (ASAM MDF 4.1: CAN_DataFrame, CAN_RemoteFrame, CAN_ErrorFrame) through asammdf, as columns."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError
from ved.logfiles.logfile import CHUNK_FRAMES
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

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
        self.problem: str | None = None
        mdf = self._open()
        try:
            start = mdf.header.start_time
            parts = [part for index, group in enumerate(mdf.groups) for part in self._group(mdf, index, group)]
        finally:
            mdf.close()
        frames = FrameColumns.concatenate(parts)
        if len(parts) > 1:
            frames = frames.take(np.argsort(frames.t_us, kind="stable"))
        if len(frames) == 0:
            raise UserError(f"log {path}: holds no CAN frames; give an MF4 file of bus logging")
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

    def _open(self) -> Any:
        try:
            from asammdf import MDF
            from asammdf.blocks.utils import MdfException
        except ImportError as error:
            raise UserError(f"log {self._path}: reading MF4 needs asammdf; run `pip install 'ved[mf4]'`") from error
        try:
            return MDF(self._path)
        except (MdfException, ValueError) as error:
            raise UserError(f"log {self._path}: is no MF4 file or is damaged: {error}") from error

    def _group(self, mdf: Any, index: int, group: Any) -> Iterator[FrameColumns]:
        names = {channel.name for channel in group.channels}
        count = int(group.channel_group.cycles_nr)
        for kind, kind_flag in _KINDS.items():
            if count and kind in names:
                yield _Group(mdf, index, kind, names).columns(kind_flag)


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
