"""A session, or a lap of it, into a file of one of several formats."""

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ved.analysis.naming import find_channels
from ved.api.export_mcap import write_mcap
from ved.api.export_messages import write_messages
from ved.api.export_motec import MotecDetails, write_beacons, write_motec
from ved.api.export_tables import write_csv, write_mat, write_parquet
from ved.api.frame import Frame
from ved.api.recorded import RecordedSession
from ved.errors import UserError
from ved.logfiles.blf_write import write_blf
from ved.logfiles.candump import write_candump
from ved.logfiles.mf4_write import write_mf4

_WINDOW_S: Final = 300.0

_TABLES: Final[dict[str, Callable[[Path, Iterator[Frame]], int]]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "mat": write_mat,
}
_LOGS: Final = ("candump", "blf", "mf4")
FORMATS: Final = (*_TABLES, "motec", "messages", "mcap", *_LOGS)
"""Channels on one time base; decoded messages (`messages`: a folder of Parquet files); raw frames."""


@dataclass(frozen=True, slots=True)
class Export:
    """What to write: format, channels (names, ends or patterns; None: all that have samples), rows per second, lap.

    `lap` None: the whole session, or what of it lies in `utc_us` (from, to).
    """

    format: str
    channels: Sequence[str] | None = None
    rate_hz: float = 100.0
    lap: int | None = None
    utc_us: tuple[int, int] | None = None


def export_session(session: RecordedSession, export: Export, path: Path) -> int:
    """Write the session to `path`; returns rows (tables, messages), messages (MCAP) or frames (logs).

    The file (of `messages`: the folder) takes its name when it is whole, in place of a file of that name. UserError for
    what is not possible, and when nothing is there to write.
    """
    if export.format not in FORMATS:
        raise UserError(f"format '{export.format}': there is none; known are {', '.join(FORMATS)}")
    if export.format in _LOGS and export.channels is not None:
        raise UserError(f"format {export.format}: holds raw frames, all of them; leave the channels out")
    if not path.parent.is_dir():
        raise UserError(f"{path}: cannot be written: there is no folder {path.parent}")
    if path.is_dir() or (export.format == "messages" and path.exists()):
        raise UserError(f"{path}: is there already; give the name of a new {_kind(export)}")
    draft = path.with_name(f".{path.stem}.part{path.suffix}")
    _remove(draft)
    try:
        written = _write(session, export, draft)
        draft.replace(path)
        if export.format == "motec" and export.lap is None and export.utc_us is None:
            _write_beacons(session, path.with_suffix(".ldx"))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        _remove(draft)
    return written


def _kind(export: Export) -> str:
    return "folder" if export.format == "messages" else "file"


def _remove(draft: Path) -> None:
    """What an export that was stopped left behind."""
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)


def _write(session: RecordedSession, export: Export, path: Path) -> int:
    utc_us = _limits(session, export)
    if export.format == "candump":
        return write_candump(path, session.raw_frames(utc_us), utc_us[0], session.buses)
    if export.format == "blf":
        return write_blf(path, session.raw_frames(utc_us), utc_us[0])
    if export.format == "mf4":
        return write_mf4(path, session.raw_frames(utc_us), utc_us[0], session.dbc_texts)
    asked = session.sampled_channels(utc_us) if export.channels is None else export.channels
    chosen = find_channels(session.channels, asked, session.aliases)
    if not chosen:
        raise UserError(f"session {session.id}: no channels to export; assign a DBC, or export raw frames as candump")
    if export.format == "messages":
        return write_messages(path, session.decodable_frames(utc_us), list(chosen.values()), utc_us[0])
    if export.format == "mcap":
        return write_mcap(path, session, list(chosen.values()), utc_us)
    windows = _windows(session, list(chosen), export.rate_hz, utc_us)
    if export.format == "motec":
        return write_motec(path, windows, export.rate_hz, MotecDetails(session.vehicle, utc_us[0], session=session.id))
    return _TABLES[export.format](path, windows)


def _write_beacons(session: RecordedSession, path: Path) -> None:
    if session.laps:
        start_us = session.utc_us[0]
        ends = [(lap.utc_to_us - start_us) / 1e6 for lap in session.laps]
        write_beacons(path, ends, [(lap.utc_to_us - lap.utc_from_us) / 1e6 for lap in session.laps])


def _limits(session: RecordedSession, export: Export) -> tuple[int, int]:
    from_us, to_us = session.utc_us
    if export.lap is not None:
        for one in session.laps:
            if one.number == export.lap:
                return one.utc_from_us, one.utc_to_us
        raise UserError(f"session {session.id}: has no lap {export.lap}; it has {len(session.laps)} laps")
    if export.utc_us is not None:
        from_us, to_us = max(export.utc_us[0], from_us), min(export.utc_us[1], to_us)
        if to_us <= from_us:
            raise UserError(
                f"session {session.id}: has nothing between {export.utc_us[0]} and {export.utc_us[1]} µs (UTC)"
            )
    return from_us, to_us


def _windows(
    session: RecordedSession, names: Sequence[str], rate_hz: float, utc_us: tuple[int, int]
) -> Iterator[Frame]:
    """The frame of that time, some minutes at a time, so that a day does not have to fit into memory."""
    if not 0 < rate_hz <= 1e6:
        raise UserError(f"rate {rate_hz:g}: give rows per second above 0 and at most a million")
    window_us = round(math.ceil(_WINDOW_S * rate_hz) * 1e6 / rate_hz)
    for at in range(*utc_us, window_us):
        frame = session.read_frame(names, rate_hz, (at, min(at + window_us, utc_us[1])))
        yield replace(frame, start_utc_us=utc_us[0])
