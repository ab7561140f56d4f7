"""`ved export`: a session, or a lap of it, into a file for other tools."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.api.export import FORMATS, Export, export_session
from ved.api.opened import OpenedLake
from ved.config.settings import ServerSettings
from ved.errors import UserError

console = Console(highlight=False, soft_wrap=True)
_UNITS: Final = {"mcap": "messages", "candump": "frames", "blf": "frames", "mf4": "frames"}
_ENDINGS: Final = {"candump": "log", "mf4": "MF4", "motec": "ld"}


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What to export: the session with this id (None: the newest, of `vehicle` or of all)."""

    session: str | None
    vehicle: str | None
    export: Export

    @staticmethod
    def parse(
        session: str | None,
        file_format: str,
        channels: str | None,
        rate_hz: float,
        lap: int | None,
        *,
        is_last: bool,
        vehicle: str | None,
    ) -> "ExportOrder":
        """Check the options against each other; UserError."""
        if (session is None) is not is_last:
            raise UserError("export: name one session, or say --last for the newest")
        if session is not None and vehicle is not None:
            raise UserError(f"--vehicle {vehicle}: belongs to --last; a session's id says its vehicle")
        if file_format not in FORMATS:
            raise UserError(f"--format {file_format}: there is none; known are {', '.join(FORMATS)}")
        names = None if channels is None else [name.strip() for name in channels.split(",") if name.strip()]
        return ExportOrder(session, vehicle, Export(file_format, names, rate_hz, lap))


def run_export(settings: ServerSettings, order: ExportOrder, out: Path | None) -> None:
    """Write the file and say what is in it."""
    export = order.export
    with OpenedLake.of(settings) as lake:
        session = lake.newest(order.vehicle) if order.session is None else lake.session(order.session)
        path = out or Path(f"{session.id}.{_ENDINGS.get(export.format, export.format)}")
        written = export_session(session, export, path)
        what = repr(session) if export.lap is None else f"lap {export.lap} of {session!r}"
        console.print(f"{path}: {written:,} {_UNITS.get(export.format, 'rows')} of {what}", markup=False)
