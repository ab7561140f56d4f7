"""Tells people of alarms: follows the stream `events`, gathers, and delivers from the database, again where it failed.

A slow or dead service delays its own messages alone: watch's parts do not wait for it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from ved.broker.base import Stream, StreamReader
from ved.codec.records import decode_record, peek
from ved.db.database import Database
from ved.db.notifications import (
    Draft,
    Notification,
    add_notifications,
    claim,
    newest_notifications,
    note_failure,
    note_sent,
    take_tests,
    waiting_notifications,
    write_targets,
)
from ved.db.watch import read_position, write_position
from ved.errors import CorruptDataError, StorageError
from ved.metrics import (
    NOTIFICATIONS_FAILED_TOTAL,
    NOTIFICATIONS_SENT_TOTAL,
    RECORDS_CORRUPT_TOTAL,
    TASK_FAILURES_TOTAL,
    Counters,
)
from ved.model.alarm import Alarm
from ved.model.records import RecordKind
from ved.notify.message import Message, message_of, trial_message
from ved.notify.pace import Pace
from ved.notify.targets import NotifySettings, Target, targets_of
from ved.notify.webhook import DeliveryError

CURSOR: Final = "notify"
READ_S: Final = 0.5
RESTART_S: Final = 5.0
MAX_ATTEMPTS: Final = 6
FIRST_PAUSE_US: Final = 10_000_000
CLAIM_US: Final = 120_000_000
"""Longer than any delivery takes: then another one may try, should this process have ended meanwhile."""
MARK_EVERY: Final = 1000
"""Stream entries without an alarm after which the position is written all the same."""
_log = logging.getLogger("ved.notify")


class Notifier:
    """One task that writes what is to be sent, one that sends."""

    def __init__(self, db: Database, events: Stream, settings: NotifySettings, counters: Counters) -> None:
        self._db = db
        self._events = events
        self._counters = counters
        self._targets: Sequence[Target] = targets_of(settings)
        self._pace = Pace(settings.severity, int(settings.every_s * 1e6))
        self._marked = 0
        self._has_alarms = False

    async def run(self) -> None:
        """Work until cancelled; without targets, only say that there are none."""
        while True:
            try:
                await asyncio.to_thread(write_targets, self._db, [one.name for one in self._targets])
                if not self._targets:
                    return
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._gather())
                    group.create_task(self._deliver())
            except Exception as error:  # noqa: BLE001 - a task's top: watch goes on without it, and it starts again
                self._counters.add(TASK_FAILURES_TOTAL)
                _log.error("notifications stopped (%s); they start again in %.0f s", _names(error), RESTART_S)
                await asyncio.sleep(RESTART_S)

    async def _gather(self) -> NoReturn:
        await asyncio.to_thread(self._remember)
        reader = await asyncio.to_thread(self._reader)
        self._marked = reader.position
        try:
            while True:
                for entry in await reader.read(timeout_s=READ_S):
                    self._take(entry.record)
                try:
                    await asyncio.to_thread(self._draft, reader.position)
                except StorageError as error:
                    _log.warning("alarms are not told yet: %s", error)
        finally:
            reader.close()

    def _take(self, data: bytes) -> None:
        try:
            record = decode_record(data) if peek(data).kind == RecordKind.ALARM else None
        except CorruptDataError as error:
            self._counters.add(RECORDS_CORRUPT_TOTAL)
            _log.warning("events: %s", error)
            return
        if isinstance(record, Alarm):
            self._has_alarms = True
            self._pace.take(record, _utc_us(), _mono_us())

    def _draft(self, position: int) -> None:
        """Write what is due, with the position up to which it holds. While alarms gather, the position stays."""
        is_due = self._pace.is_due(_mono_us())
        is_told = is_due or not self._pace.is_gathering
        is_marked = is_told and (self._has_alarms or position - self._marked >= MARK_EVERY)
        with self._db.engine.begin() as connection:
            messages = [trial_message(who) for who in take_tests(connection)]
            if is_due:
                messages.append(message_of(self._pace.news()))
            if messages:
                add_notifications(connection, [self._to(one, target) for one in messages for target in self._targets])
            if is_marked:
                write_position(connection, CURSOR, position)
        if is_due:
            self._pace.done(_mono_us())
        if is_marked:
            self._marked, self._has_alarms = position, False

    @staticmethod
    def _to(message: Message, target: Target) -> Draft:
        return Draft(_utc_us(), target.name, message.title, message.text, message.alarms)

    def _remember(self) -> None:
        """What was told before a restart is not told again."""
        for one in reversed(newest_notifications(self._db, 500)):
            for alarm in one.alarms:
                self._pace.know(alarm["id"], alarm["step"])

    def _reader(self) -> StreamReader:
        """A reader that goes on; the first time, or when the journal is another one, from now on."""
        saved = read_position(self._db, CURSOR)
        newest = self._events.reader("latest")
        if saved is None or saved > newest.position:
            return newest
        newest.close()
        return self._events.reader(saved)

    async def _deliver(self) -> NoReturn:
        while True:
            try:
                waiting = await asyncio.to_thread(waiting_notifications, self._db, _utc_us())
                by_target: dict[str, list[Notification]] = {}
                for one in waiting:
                    by_target.setdefault(one.target, []).append(one)
                await asyncio.gather(*(asyncio.to_thread(self._send_all, ones) for ones in by_target.values()))
            except StorageError as error:
                _log.warning("notifications wait: %s", error)
            await asyncio.sleep(READ_S)

    def _send_all(self, waiting: Sequence[Notification]) -> None:
        """Deliver to one target, one after the other; what follows a failure waits for the next time."""
        for one in waiting:
            if not self._send(one):
                return

    def _send(self, one: Notification) -> bool:
        if not claim(self._db, one, _utc_us() + CLAIM_US):
            return True
        try:
            self._deliver_to(one)
        except DeliveryError as error:
            is_last = error.is_final or one.attempts + 1 >= MAX_ATTEMPTS
            again_us = None if is_last else _utc_us() + FIRST_PAUSE_US * 3**one.attempts
            note_failure(self._db, one.id, str(error), again_utc_us=again_us, utc_us=_utc_us())
            self._counters.add(NOTIFICATIONS_FAILED_TOTAL)
            _log.warning("notification %d to %s: %s%s", one.id, one.target, error, "" if again_us else "; given up")
            return False
        note_sent(self._db, one.id, _utc_us())
        self._counters.add(NOTIFICATIONS_SENT_TOTAL)
        return True

    def _deliver_to(self, one: Notification) -> None:
        target = self._target(one.target)
        try:
            target.send(Message(one.title, one.text, one.alarms))
        except DeliveryError:
            raise
        except Exception as error:  # a delivery is a task of its own, and services are other people's programs
            self._counters.add(TASK_FAILURES_TOTAL)
            raise DeliveryError(f"{one.target}: failed with {type(error).__name__}") from error

    def _target(self, name: str) -> Target:
        for target in self._targets:
            if target.name == name:
                return target
        raise DeliveryError("this target is not set any more", is_final=True)


def _names(error: Exception) -> str:
    """What failed, without the texts, which may hold addresses that are secrets."""
    inside = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    return ", ".join(type(one).__name__ for one in inside)


def _mono_us() -> int:
    return time.monotonic_ns() // 1000


def _utc_us() -> int:
    return time.time_ns() // 1000
