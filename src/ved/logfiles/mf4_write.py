"""MF4 bus logs out (ASAM MDF 4.1), through asammdf, the DBC files attached."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError
from ved.model.frames import FD_WIDTH, FrameColumns, FrameFlag, widen

_BYTES: Final = [("DataLength", "<u1"), ("DataBytes", f"({FD_WIDTH},)u1")]
_HEAD: Final = [("BusChannel", "<u1"), ("ID", "<u4"), ("IDE", "<u1"), ("DLC", "<u1"), ("Dir", "<u1")]
_FD: Final = [("EDL", "<u1"), ("BRS", "<u1"), ("ESI", "<u1")]
_KINDS: Final = {
    "CAN_DataFrame": [*_HEAD, *_FD, *_BYTES],
    "CAN_ErrorFrame": [*_HEAD, *_FD, *_BYTES],
    "CAN_RemoteFrame": _HEAD,
}
_FLAGS: Final = {
    "IDE": FrameFlag.EXTENDED,
    "Dir": FrameFlag.TRANSMITTED,
    "EDL": FrameFlag.FD,
    "BRS": FrameFlag.BIT_RATE_SWITCH,
    "ESI": FrameFlag.ERROR_STATE,
}
_DLC_ENDS: Final = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64])
_TRANSPOSED_DEFLATE: Final = 2


def write_mf4(path: Path, chunks: Iterable[FrameColumns], start_utc_us: int, dbcs: Mapping[str, str]) -> int:
    """Write frames as an MF4 bus log with the DBC texts (file name -> text) inside; returns how many.

    `chunks` count `t_us` from `start_utc_us`. Channels keep our bus numbers. UserError when asammdf is missing or the
    file cannot be written.
    """
    try:
        from asammdf import MDF, Signal, Source
    except ImportError as error:
        raise UserError(f"log {path}: writing MF4 needs asammdf; run `pip install 'ved[mf4]'`") from error
    written = 0
    groups: dict[str, int] = {}
    source = Source("CAN", "CAN", "", Source.SOURCE_BUS, Source.BUS_TYPE_CAN)
    mdf: Any = MDF(version="4.10")
    try:
        mdf.header.start_time = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=start_utc_us)
        for name, text in dbcs.items():
            data = text.encode()
            # MDF asks for MD5 as the mark of an attachment.
            mdf.attach(data, name, hashlib.md5(data, usedforsecurity=False).digest(), mime="application/dbc")
        for frames in chunks:
            written += len(frames)
            for kind, part in _by_kind(frames):
                samples, time_s = _records(kind, part), part.t_us / 1e6
                if kind in groups:
                    mdf.extend(groups[kind], [(time_s, None), (samples, None)])
                else:
                    groups[kind] = mdf.append([Signal(samples=samples, timestamps=time_s, name=kind, source=source)])
        mdf.save(path, overwrite=True, compression=_TRANSPOSED_DEFLATE)
    except OSError as error:
        raise UserError(f"log {path}: cannot be written: {error.strerror or error}") from error
    finally:
        mdf.close()
    return written


def _by_kind(frames: FrameColumns) -> Iterable[tuple[str, FrameColumns]]:
    is_error = (frames.flags & np.uint8(FrameFlag.ERROR)) != 0
    is_remote = ~is_error & ((frames.flags & np.uint8(FrameFlag.REMOTE)) != 0)
    for kind, mask in zip(_KINDS, (~is_error & ~is_remote, is_error, is_remote), strict=True):
        if mask.any():
            yield kind, frames.take(mask)


def _records(kind: str, frames: FrameColumns) -> NDArray[Any]:
    out = np.zeros(len(frames), np.dtype([(f"{kind}.{name}", *rest) for name, *rest in _KINDS[kind]]))
    columns: dict[str, NDArray[Any]] = {
        "BusChannel": frames.bus,
        "ID": frames.arbitration_id,
        "DLC": np.searchsorted(_DLC_ENDS, frames.length),
        "DataLength": frames.length,
        "DataBytes": widen(frames.payload),
    }
    columns |= {name: (frames.flags & np.uint8(flag)) != 0 for name, flag in _FLAGS.items()}
    for name, *_ in _KINDS[kind]:
        out[f"{kind}.{name}"] = columns[name]
    return out
