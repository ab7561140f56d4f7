"""`ved.open`: a data folder for reading, while a server runs on it or not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sqlalchemy.exc import DatabaseError

from ved.api.alarmcheck import AlarmCheck, check_parts
from ved.api.choosing import Wanted, choose_sessions
from ved.api.parts import PartLoader
from ved.api.recorded import RecordedSession
from ved.config.settings import ServerSettings, load_settings
from ved.db.alarmrules import list_rules
from ved.db.database import Database
from ved.db.sessions import find_session, list_sessions
from ved.db.tracks import list_tracks
from ved.db.vehicles import list_vehicles
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.model.alarmrule import Rule
from ved.model.track import Track

if TYPE_CHECKING:
    from ved.api.sql import SqlResult


class OpenedLake:
    """The lake and the database of a data folder, for reading. Also a context manager."""

    def __init__(self, lake: Lake, db: Database) -> None:
        self._lake, self._db = lake, db

    @classmethod
    def of(cls, settings: ServerSettings) -> OpenedLake:
        """The folder that the settings name. UserError when there is no data there."""
        if not settings.db_url and not (settings.data / "db.sqlite").is_file():
            raise UserError(f"{settings.data}: no data of ved here; name the folder that 'ved serve' was given")
        return cls(Lake.existing(settings.lake), Database(settings.database))

    def sessions(
        self,
        vehicle: str | None = None,
        *,
        track: str | None = None,
        tag: str | None = None,
        driver: str | None = None,
        name: str | None = None,
        moved: bool | None = None,
    ) -> list[RecordedSession]:
        """The sessions by start, of one vehicle or of all.

        `track` (id or a part of its name), `driver` and `name` (parts of them) and `tag` choose among them, without
        regard to case; `moved` True: those in which the vehicle moved. UserError when there is no such vehicle.
        """
        self._lake.refresh()
        try:
            rows = list_sessions(self._db, vehicle)
            if not rows and vehicle is not None:
                known = {row.name for row in list_vehicles(self._db)}
                if vehicle not in known:
                    raise UserError(f"vehicle '{vehicle}': there is none; known are {', '.join(sorted(known))}")
            chosen = choose_sessions(self._db, rows, Wanted(track, tag, driver, name, moved))
        except DatabaseError as error:
            raise UserError(f"{self._db.engine.url!s}: is no database of this version: {error.orig}") from error
        loaders = {name: PartLoader(self._db, self._lake, name) for name in {row.vehicle for row in chosen}}
        return [RecordedSession(self._lake, self._db, row, loaders[row.vehicle].load(row)) for row in chosen]

    @property
    def tracks(self) -> list[Track]:
        """The tracks that people drew and that were learned, by name."""
        return list_tracks(self._db)

    def session(self, name: str) -> RecordedSession:
        """The session with this id, or of which that is a part now, or the only one whose id begins so. UserError."""
        self._lake.refresh()
        known, exact = list_sessions(self._db), find_session(self._db, name)
        found = [one for one in known if one.id.startswith(name)] if exact is None else [exact]
        if len(found) == 1:
            parts = PartLoader(self._db, self._lake, found[0].vehicle).load(found[0])
            return RecordedSession(self._lake, self._db, found[0], parts)
        if found:
            raise UserError(f"session '{name}': could be {', '.join(one.id for one in found)}; give more of its id")
        newest = ", ".join(f"{one.id} ({one.vehicle}, {_when(one.utc_from_us)})" for one in known[:-6:-1])
        raise UserError(f"session '{name}': there is none; the newest are {newest or 'none at all'}")

    def newest(self, vehicle: str | None = None) -> RecordedSession:
        """The newest session, of one vehicle or of all. UserError when there is none."""
        sessions = self.sessions(vehicle)
        if not sessions:
            whose = vehicle or "any vehicle"
            raise UserError(f"no session of {whose} is in the lake yet; drive, replay or simulate first")
        return sessions[-1]

    def alarm_rules(self, vehicle: str) -> list[Rule]:
        """The alarm rules of a vehicle, as they are now."""
        return list_rules(self._db, vehicle)

    def check_alarms(self, session: RecordedSession, rules: Sequence[Rule] | None = None) -> AlarmCheck:
        """What the rules (None: those of the session's vehicle) would have found in a session."""
        return check_parts(self._lake, session.parts, self.alarm_rules(session.vehicle) if rules is None else rules)

    def sql(self, query: str) -> SqlResult:
        """The rows of one SELECT over all sessions: a table for each message (`fs."VehicleMotion"`), `channels`,
        `sessions`, `laps`, `signals`; see docs/api.md. UserError for what is no query, and names that nobody knows.
        """
        # Arrow's datasets bring pandas where that is installed: half a second and 40 MB for who asks no SQL.
        from ved.api.sql import run_sql

        return run_sql(self._lake, self.sessions(), query)

    def close(self) -> None:
        """Give the database back."""
        self._db.close()

    def __enter__(self) -> OpenedLake:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def open_lake(data: str | Path | None = None, config: str | Path | None = None) -> OpenedLake:
    """The data folder `data` (None: as the settings say), with the settings file `config`."""
    given = {"data": None if data is None else Path(data)}
    return OpenedLake.of(load_settings(None if config is None else Path(config), given))


def _when(utc_us: int) -> str:
    return f"{dt.datetime.fromtimestamp(utc_us // 1_000_000, dt.UTC):%Y-%m-%d %H:%M}"
