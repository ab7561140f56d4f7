"""Data folders with sessions in them, made without a server: what ingest, record and watch would have left."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.db.sessions import save_sessions
from ved.lake.lake import Lake
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import BusDescription, Clock, ClockSource, Description
from ved.model.session import Session, SessionPart

DATA = Path(__file__).parents[1] / "data" / "canedge-gps"
DRIVE = DATA / "drive-9min.MF4"
DRIVE_DBC = DATA / "canmod-gps.dbc"


class Folder:
    """A data folder; each `add` is one session."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.db = Database(f"sqlite:///{path / 'db.sqlite'}")
        self.db.migrate()
        self.lake = Lake(str(path / "lake"))
        self._epochs = 0

    def add(
        self, vehicle: str, parts: Sequence[tuple[FrameColumns, int]], buses: Mapping[int, tuple[str, str]]
    ) -> None:
        """Store a session whose parts are (frames, UTC of t = 0), each an epoch of its own.

        `buses`: index -> (name, DBC text or nothing).
        """
        stretches, limits = [], []
        for frames, utc_us in parts:
            self._epochs += 1
            epoch = self._epochs.to_bytes(16, "big")
            described = [BusDescription(at, name, (text,) if text else ()) for at, (name, text) in buses.items()]
            note_description(self.db, Description(vehicle, epoch, 1, vehicle, tuple(described)), self._epochs)
            note_clock(self.db, Clock(vehicle, epoch, 2, 0, utc_us, ClockSource.RECORDED, 0))
            rows = range(0, len(frames), 65_536)
            self.lake.append([FrameBatch(vehicle, epoch, at + 1, frames.take(slice(at, at + 65_536))) for at in rows])
            first, last = int(frames.t_us.min()), int(frames.t_us.max())
            stretches.append(SessionPart(epoch, first, last))
            limits += [first + utc_us, last + utc_us]
        name = f"{vehicle}-{self._epochs:04d}"
        row = Session(name, vehicle, min(limits), max(limits), is_open=False, parts=tuple(stretches))
        save_sessions(self.db, [row])


def drive_frames() -> tuple[FrameColumns, int]:
    """The recorded drive, and the UTC of its first frame."""
    log = open_log(DRIVE)
    return FrameColumns.concatenate(list(log.chunks())), log.start_utc_us


def add_drive(folder: Folder) -> None:
    """The recorded drive as a session of the vehicle `recorded`."""
    text = DRIVE_DBC.read_text()
    folder.add("recorded", [drive_frames()], {1: ("CAN1", ""), 2: ("CAN2", text)})
