"""Alarms: every rule of every vehicle over every sample, and what people say about what they find.

Rules, acknowledgements and shelves come through the database; alarms go there and to the stream `events`. A rule's
state is saved with watch's position, and an alarm's id follows from what raised it: so a kill at any time loses none
and doubles none.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan
from typing import Final

from sqlalchemy import Connection

from ved.analysis.alarms.life import NEVER
from ved.analysis.sessions import GAP_US
from ved.codec.records import encode_record
from ved.db.alarmrules import list_rules, rules_mark
from ved.db.alarms import (
    Ack,
    Kept,
    acks_after,
    drop_old_samples,
    get_alarm,
    open_alarms,
    read_states,
    shelves_after,
    write_alarms,
    write_samples,
    write_states,
)
from ved.db.database import Database
from ved.model.alarm import Alarm
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Incident, IncidentKind, Lane, Preview
from ved.model.samples import SampleBatch
from ved.watch.alarmruns import AROUND_US, Found, Run
from ved.watch.parts import Append, Now, Taken

POLL_US: Final = 250_000
LATE_QUIET_US: Final = 5_000_000
"""Late data that stopped for so long is at its end."""
INCIDENT_US: Final = 180_000_000
"""An incident is told again within a minute while it lasts; after so long it is over."""
EARLY_US: Final = 600_000_000
"""An acknowledgement waits so long for an alarm that watch does not know (again) yet."""
MAX_KEPT: Final = 5000
"""So many alarms keep the samples around them; DROP_EVERY saves it is looked at."""
DROP_EVERY: Final = 600
MAX_CAPTURES: Final = 50
MAX_CAPTURES_AT_ONCE: Final = 3
"""So that saving never holds up the next alarm for long."""
_MARKS: Final = "marks"
_INCIDENTS: Final = {
    IncidentKind.KEY_SHARED: ("incident-key-shared", 2, "Two agents use one key", "Deux agents utilisent la même clé"),
    IncidentKind.BYTES_DIFFER: (
        "incident-bytes-differ",
        3,
        "Data came again with other content",
        "Des données sont revenues avec un autre contenu",
    ),
}

RunKey = tuple[str, str]
"""Vehicle, and what the run is over: live, late, or samples and their epoch."""
OpenKey = tuple[str, str, bool]
"""Vehicle, rule, is_late."""


@dataclass(slots=True)
class _Capture:
    """Samples still to be kept around an alarm; `until_us`: up to there they are kept already (None: nothing is)."""

    alarm: str
    run: RunKey
    channels: list[str]
    epoch: bytes
    from_us: int
    to_us: int
    until_us: int | None = None


class AlarmWatcher:
    """A part of watch; see `WatchPart`."""

    def __init__(self, db: Database, now: Now) -> None:
        self._db = db
        self._runs: dict[RunKey, Run] = {}
        self._past: dict[str, set[bytes]] = {}
        self._open: dict[OpenKey, Alarm] = {}
        self._shelves: dict[tuple[str, str], int] = {}
        self._captures: list[_Capture] = []
        self._unsaved: dict[str, Alarm] = {}
        self._unpublished: dict[str, Alarm] = {}
        self._gone: list[str] = []
        self._early_acks: dict[str, Ack] = {}
        self._ack_number = self._shelf_number = self._saves = 0
        self._rules_mark: tuple[int, int] | None = None
        self._polled_us = now.mono_us
        self._load(now)

    def take(self, taken: Taken) -> None:
        """See WatchPart."""
        record = taken.record
        if isinstance(record, FrameBatch) and record.count:
            key = self._frames_key(record, taken.arrival.lane)
            self._note(key, self._run(key).take_frames(taken, record.first_seq))
        elif isinstance(record, Preview) and len(record.frames):
            key = self._frames_key(record, Lane.LIVE)
            self._note(key, self._run(key).take_frames(taken, 0))
        elif isinstance(record, SampleBatch):
            is_late = taken.arrival.lane == Lane.BACKFILL
            key = (record.vehicle, f"{'late-' * is_late}samples-{record.epoch.hex()}")
            self._note(key, self._run(key).take_samples(taken, record))
        elif isinstance(record, Incident):
            self._take_incident(record)

    def tick(self, now: Now) -> None:
        """Silences, runs that ended, and what people changed."""
        for key, run in list(self._runs.items()):
            quiet_us = run.quiet_us(now.mono_us)
            if key[1] == "live":
                self._note(key, run.advance(quiet_us))
            if quiet_us > (LATE_QUIET_US if key[1].startswith("late") else GAP_US):
                self._note(key, run.close())
                del self._runs[key]
                self._gone.append("/".join(key))
        self._end_incidents(now)
        if now.mono_us - self._polled_us >= POLL_US:
            self._polled_us = now.mono_us
            self._poll(now)

    def publish(self, append: Append, now: Now) -> None:
        """See WatchPart: at once, an alarm does not wait for the disk."""
        changed, self._unpublished = self._unpublished, {}
        arrival = Arrival(now.mono_us, now.utc_us, Lane.LIVE)
        for alarm in changed.values():
            append(arrival, encode_record(alarm))

    def save(self, connection: Connection) -> None:
        """See WatchPart."""
        self._note_worst()
        write_alarms(connection, self._unsaved.values())
        for alarm, part, kept in self._due_captures():
            write_samples(connection, alarm, part, kept)
        self._saves += 1
        if self._saves % DROP_EVERY == 0:
            drop_old_samples(connection, MAX_KEPT)
        states = {"/".join(key): json.dumps(run.state()) for key, run in self._runs.items()}
        ack_number = min([self._ack_number, *(ack.number - 1 for ack in self._early_acks.values())])
        captures = [_capture_values(capture) for capture in self._captures]
        states[_MARKS] = json.dumps({"ack": ack_number, "captures": captures})
        write_states(connection, states, self._gone)
        self._unsaved, self._gone = {}, []

    def _load(self, now: Now) -> None:
        for alarm in open_alarms(self._db):
            self._open[alarm.vehicle, alarm.rule, alarm.is_late] = alarm
        states = read_states(self._db)
        marks = json.loads(states.pop(_MARKS, '{"ack": 0, "captures": []}'))
        self._ack_number = marks["ack"]
        self._captures = [_capture_of(values) for values in marks["captures"]]
        for name, text in states.items():
            vehicle, of = name.split("/", 1)
            run = self._run((vehicle, of))
            run.saved = json.loads(text) or None
            run.heard_us = now.mono_us
            if run.saved is not None:
                run.epoch, run.next_seq = bytes.fromhex(run.saved["epoch"]), run.saved["next_seq"]
                run.offset_us = run.saved["offset_us"]
        self._poll(now)

    def _frames_key(self, batch: FrameBatch | Preview, lane: Lane) -> RunKey:
        """Live is what comes over the live lane of the newest epoch."""
        live = self._runs.get((batch.vehicle, "live"))
        past = self._past.setdefault(batch.vehicle, set())
        if lane == Lane.BACKFILL or batch.epoch in past:
            return batch.vehicle, "late"
        if live is not None and live.epoch and live.epoch != batch.epoch:
            past.add(live.epoch)
        return batch.vehicle, "live"

    def _run(self, key: RunKey) -> Run:
        run = self._runs.get(key)
        if run is None:
            is_late = key[1].startswith("late")
            run = self._runs[key] = Run(list_rules(self._db, key[0]), with_silence=not is_late, is_fed=True)
        return run

    def _note(self, key: RunKey, found: list[Found]) -> None:
        for one in found:
            is_late = key[1].startswith("late")
            known = self._open.get((key[0], one.rule.id, is_late))
            if one.change.is_raised:
                self._raise(key, one, known)
            elif known is not None and known.is_active and not self._is_on_elsewhere(key, one.rule.id):
                at_us = max(1, one.change.t_us + one.offset_us, known.utc_raised_us)
                worst = known.worst if isnan(one.change.worst) else one.change.worst
                self._put(replace(known, utc_cleared_us=at_us, worst=worst))

    def _is_on_elsewhere(self, key: RunKey, rule: str) -> bool:
        """True while another run has the same trouble: figures of health go on in a new epoch."""
        is_late = key[1].startswith("late")
        others = (one for one in self._runs if one != key and one[0] == key[0])
        return any(rule in self._runs[one].worst() for one in others if one[1].startswith("late") == is_late)

    def _raise(self, key: RunKey, found: Found, known: Alarm | None) -> None:
        rule, change, is_late = found.rule, found.change, key[1].startswith("late")
        live = self._open.get((key[0], rule.id, False))
        if is_late and live is not None and live.epoch == found.epoch and live.t_raised_us <= change.t_us:
            return  # a preview has told it already
        if known is not None:
            self._put(replace(known, utc_cleared_us=0))  # it is still open: the same trouble again
            return
        alarm = Alarm(
            _id_of(key[0], rule.id, found.epoch, change.t_us, is_late=is_late),
            key[0],
            found.epoch,
            rule.id,
            int(rule.level),
            rule.title_en,
            rule.title_fr,
            rule.channel or rule.expression,
            found.unit,
            is_late,
            rule.latch,
            change.t_us,
            change.t_us + found.offset_us,
            change.value,
            change.worst,
            shelved_until_utc_us=self._shelves.get((key[0], rule.id), 0),
        )
        self._put(alarm)
        if alarm.id in self._early_acks:
            self._acknowledge(self._early_acks.pop(alarm.id))
        if len(self._captures) < MAX_CAPTURES:
            around = change.t_us - AROUND_US, change.t_us + AROUND_US
            self._captures.append(_Capture(alarm.id, key, found.channels, found.epoch, *around))
            self._runs[key].hold_from_us = min(self._runs[key].hold_from_us, around[0])

    def _put(self, alarm: Alarm) -> None:
        key = (alarm.vehicle, alarm.rule, alarm.is_late)
        if alarm.is_open:
            self._open[key] = alarm
        elif key in self._open and self._open[key].id == alarm.id:
            del self._open[key]
        self._unsaved[alarm.id] = self._unpublished[alarm.id] = alarm

    def _take_incident(self, incident: Incident) -> None:
        rule, severity, title_en, title_fr = _INCIDENTS[incident.incident]
        known = self._open.get((incident.vehicle, rule, False))
        if known is not None and known.is_active:
            self._put(replace(known, detail=incident.text, worst=float(incident.utc_us)))
            return
        self._put(
            Alarm(
                _id_of(incident.vehicle, rule, incident.epoch, incident.utc_us, is_late=False),
                incident.vehicle,
                incident.epoch,
                rule,
                severity,
                title_en,
                title_fr,
                "",
                "",
                is_late=False,
                latch=True,
                t_raised_us=0,
                utc_raised_us=incident.utc_us,
                value=float("nan"),
                worst=float(incident.utc_us),
                detail=incident.text,
            )
        )

    def _end_incidents(self, now: Now) -> None:
        """`worst` of an incident is when it was last told."""
        for alarm in list(self._open.values()):
            is_incident = alarm.rule.startswith("incident-") and alarm.is_active
            if is_incident and now.utc_us - alarm.worst > INCIDENT_US:
                self._put(replace(alarm, utc_cleared_us=max(int(alarm.worst), alarm.utc_raised_us, 1)))

    def _poll(self, now: Now) -> None:
        with self._db.engine.connect() as connection:
            mark = rules_mark(connection)
            acks = acks_after(connection, self._ack_number)
            shelves = shelves_after(connection, self._shelf_number)
        if mark != self._rules_mark:
            if self._rules_mark is not None:
                for key, run in self._runs.items():
                    self._note(key, run.use_rules(list_rules(self._db, key[0])))
            self._rules_mark = mark
        for shelf in shelves:
            self._shelf_number = shelf.number
            self._shelves[shelf.vehicle, shelf.rule] = shelf.until_utc_us
            for alarm in self._of_rule(shelf.vehicle, shelf.rule):
                if alarm.shelved_until_utc_us != shelf.until_utc_us:
                    self._put(replace(alarm, shelved_until_utc_us=shelf.until_utc_us))
        for ack in acks:
            self._ack_number = ack.number
            self._acknowledge(ack)
        self._shelves = {key: until for key, until in self._shelves.items() if until > now.utc_us}
        early = self._early_acks.items()
        self._early_acks = {alarm: ack for alarm, ack in early if ack.utc_us > now.utc_us - EARLY_US}

    def _of_rule(self, vehicle: str, rule: str) -> list[Alarm]:
        keys = ((vehicle, rule, False), (vehicle, rule, True))
        return [self._open[key] for key in keys if key in self._open]

    def _acknowledge(self, ack: Ack) -> None:
        alarm = self._unsaved.get(ack.alarm) or next((o for o in self._open.values() if o.id == ack.alarm), None)
        alarm = alarm or get_alarm(self._db, ack.alarm)
        if alarm is None:
            # After a kill: it was seen before it was saved, and is about to be found again.
            self._early_acks[ack.alarm] = ack
        elif not alarm.utc_acked_us:
            self._put(replace(alarm, utc_acked_us=ack.utc_us, acked_by=ack.who))

    def _note_worst(self) -> None:
        for key, run in self._runs.items():
            for rule, worst in run.worst().items():
                alarm = self._open.get((key[0], rule, key[1].startswith("late")))
                if alarm is not None and not isnan(worst) and worst != alarm.worst:
                    self._put(replace(alarm, worst=worst))

    def _due_captures(self) -> Iterator[tuple[str, int, dict[str, Kept]]]:
        """What is at hand before an alarm's start, and what came after it once all of it did; some at a time."""
        given = 0
        for capture in list(self._captures):
            run = self._runs.get(capture.run)
            if run is None:
                self._captures.remove(capture)
                continue
            if given >= MAX_CAPTURES_AT_ONCE:
                break
            reached_us = run.reached_us(capture.epoch)
            if capture.until_us is None:
                given += 1
                until_us = min(capture.to_us, reached_us + 1)
                yield capture.alarm, 0, run.around(capture.channels, capture.epoch, (capture.from_us, until_us))
                capture.until_us = until_us
            if reached_us >= capture.to_us or run.epoch != capture.epoch:
                given += 1
                span = capture.until_us, capture.to_us
                yield capture.alarm, 1, run.around(capture.channels, capture.epoch, span)
                self._captures.remove(capture)
        for key, run in self._runs.items():
            run.hold_from_us = min((one.from_us for one in self._captures if one.run == key), default=NEVER)


def _id_of(vehicle: str, rule: str, epoch: bytes, t_us: int, *, is_late: bool) -> str:
    """The same for the same find, also when it is found again after a crash."""
    text = f"{vehicle} {rule} {epoch.hex()} {t_us} {is_late}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _capture_values(capture: _Capture) -> list[object]:
    until_us = capture.until_us
    return [capture.alarm, capture.run, capture.channels, capture.epoch.hex(), capture.from_us, capture.to_us, until_us]


def _capture_of(values: list[object]) -> _Capture:
    alarm, run, channels, epoch, from_us, to_us, until_us = values
    return _Capture(alarm, tuple(run), channels, bytes.fromhex(epoch), from_us, to_us, until_us)  # type: ignore[arg-type]
