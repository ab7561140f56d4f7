"""Sessions, found in the frames as they come."""

from sqlalchemy import Connection

from ved.analysis.sessions import GAP_US, SessionFinder, Stretch
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.sessions import found_sessions, write_sessions
from ved.db.sessions_merged import absorb_session
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Lane, SessionEvent
from ved.model.samples import SampleBatch
from ved.model.session import Session
from ved.watch.movement import is_moving
from ved.watch.parts import Append, Now, Taken


class SessionWatcher:
    """Turns batches into sessions, and keeps those that are not saved or published yet."""

    def __init__(self, db: Database, now: Now) -> None:
        self._db = db
        self._finder = SessionFinder(found_sessions(db))
        self._gone: dict[str, str] = {}
        self._last_heard_us = {one.vehicle: now.mono_us for one in self._finder.sessions() if one.is_open}
        self._heard: set[str] = set()
        self._unsaved: dict[str, Session] = {}
        self._unpublished: dict[str, Session] = {}

    def take(self, taken: Taken) -> None:
        """See WatchPart."""
        batch = taken.record
        if not isinstance(batch, FrameBatch | SampleBatch) or not batch.count:
            return
        self._heard.add(batch.vehicle)
        t_us = batch.frames.t_us if isinstance(batch, FrameBatch) else batch.samples.t_us
        stretch = Stretch(
            batch.vehicle, batch.epoch, int(t_us.min()), int(t_us.max()), taken.clock.offset_us, is_moving(taken)
        )
        self._note(self._finder.add(stretch))

    def tick(self, now: Now) -> None:
        """End the sessions of vehicles that have sent nothing for the length of a gap."""
        self._last_heard_us.update(dict.fromkeys(self._heard, now.mono_us))
        self._heard.clear()
        for vehicle, heard_us in list(self._last_heard_us.items()):
            if now.mono_us - heard_us > GAP_US:
                del self._last_heard_us[vehicle]
                self._note(self._finder.close(vehicle))

    def publish(self, append: Append, now: Now) -> None:
        """See WatchPart. A session that grows is told once per save."""
        if self._unsaved:
            return
        changed, self._unpublished = self._unpublished, {}
        arrival = Arrival(now.mono_us, now.utc_us, Lane.LIVE)
        for one in changed.values():
            event = SessionEvent(
                one.vehicle, one.parts[-1].epoch, one.id, one.utc_from_us, one.utc_to_us, is_open=one.is_open
            )
            append(arrival, encode_record(event))

    def save(self, connection: Connection) -> None:
        """See WatchPart."""
        changed, self._unsaved = self._unsaved, {}
        write_sessions(connection, list(changed.values()))
        absorbed, self._finder.absorbed = self._finder.absorbed, {}
        for gone in absorbed:
            into = self._finder.get(self.id_now(gone))
            if into is not None:
                absorb_session(self._db, connection, gone, into)

    def of(self, vehicle: str, epoch: bytes, t_us: int) -> Session | None:
        """The session that this time of an epoch is in."""
        return self._finder.at(vehicle, epoch, t_us)

    def get(self, session: str) -> Session | None:
        """The session of this id."""
        return self._finder.get(session)

    def id_now(self, session: str) -> str:
        """The id of what was this session, where it went into another since watch began."""
        while session in self._gone:
            session = self._gone[session]
        return session

    def _note(self, sessions: list[Session]) -> None:
        for session in sessions:
            self._unsaved[session.id] = session
            self._unpublished[session.id] = session
        for gone, into in self._finder.absorbed.items():
            self._gone[gone] = into
            self._unsaved.pop(gone, None)
            self._unpublished.pop(gone, None)
