"""Watch and alarms: raised, acknowledged, shelved, late, killed and started again."""

import asyncio
import math
import time
from pathlib import Path

import numpy as np
import pytest

from ved.broker.base import StreamEntry
from ved.broker.open import open_stream
from ved.codec.records import decode_record, encode_record
from ved.db.alarmrules import put_rule, remove_rule
from ved.db.alarms import (
    Shelf,
    acknowledge,
    drop_old_samples,
    get_alarm,
    kept_samples,
    list_alarms,
    open_alarms,
    shelve,
)
from ved.db.database import Database
from ved.db.dbcs import AssignmentDraft, DbcFile, assign_dbc, put_dbc
from ved.db.vehicles import ensure_vehicle_name
from ved.metrics import Counters
from ved.model.alarm import Alarm
from ved.model.alarmrule import Rule
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.health import channel_of
from ved.model.records import Arrival, Clock, ClockSource, Incident, IncidentKind, Lane, Preview
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns
from ved.watch import role
from ved.watch.parts import Now
from ved.watch.role import Watching, make_parts, run_watch
from ved.watch.role import now as clock_now
from ved.watch.settings import WatchSettings

EPOCH, OTHER = b"a" * 16, b"b" * 16
UTC_US = 1_790_000_000_000_000
DBC = """VERSION ""
BU_: A
BO_ 16 Cell: 2 A
 SG_ Temperature : 0|16@1+ (0.1,0) [0|100] "degC" A
BO_ 17 Motion: 2 A
 SG_ Speed : 0|16@1+ (0.1,0) [0|300] "km/h" A
"""
HOT = Rule("hot", "above", "Cell hot", "Cellule chaude", "critical", "Cell.Temperature", limit=60.0, off_delay_ms=0)
ALL_TIME = (0, 1 << 62)


@pytest.fixture
def db(tmp_path: Path):
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    ensure_vehicle_name(db, "fs")
    files = (DbcFile(put_dbc(db, "a.dbc", DBC), "a.dbc"),)
    assign_dbc(db, AssignmentDraft("fs", 0, "a", files, "test", ""))
    put_rule(db, "fs", HOT, "test")
    yield db
    db.close()


def frames(samples: list[tuple[float, float]], arbitration_id: int = 16) -> FrameColumns:
    count = len(samples)
    payload = np.zeros((count, 8), np.uint8)
    raw = np.array([round(value * 10) for _, value in samples], "<u2")
    payload[:, :2] = raw.view(np.uint8).reshape(count, 2)
    t_us = np.array([round(t_s * 1e6) for t_s, _ in samples], np.int64)
    bus = np.zeros(count, np.uint8)
    return FrameColumns(t_us, bus, np.full(count, arbitration_id, np.uint32), bus, np.full(count, 2, np.uint8), payload)


class Bench:
    """Watch's parts without its loop: entries in, events out, and a kill at any time."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.events: list[Alarm] = []
        self.log: list[tuple[Lane, bytes]] = []
        self.saved = 0
        self.start()
        self.give(Clock("fs", EPOCH, 1, 0, UTC_US, ClockSource.NTP, 0))

    def start(self) -> None:
        """As after a kill: what was not saved is gone, and comes again."""
        self.watching = Watching(self.db, make_parts(self.db, clock_now()), Counters())
        for lane, record in self.log[self.saved :]:
            self._take(lane, record)

    def give(self, record, lane: Lane = Lane.LIVE) -> None:
        self.log.append((lane, encode_record(record)))
        self._take(*self.log[-1])

    def batch(self, first_seq: int, samples, *, epoch: bytes = EPOCH, lane: Lane = Lane.LIVE, of: int = 16) -> None:
        self.give(FrameBatch("fs", epoch, first_seq, frames(samples, of)), lane)

    def save(self) -> None:
        self.watching.save(len(self.log))
        self.saved = len(self.log)

    def poll(self) -> None:
        """Let the time pass after which watch looks at the database again."""
        time.sleep(0.26)
        self.watching.take([])
        self._publish()

    def _take(self, lane: Lane, record: bytes) -> None:
        at = clock_now()
        self.watching.take([StreamEntry(len(self.log), Arrival(at.mono_us, at.utc_us, lane), record)])
        self._publish()

    def _publish(self) -> None:
        def append(_arrival: Arrival, record: bytes) -> int:
            event = decode_record(record)
            if isinstance(event, Alarm):
                self.events.append(event)
            return 0

        self.watching.publish(append)


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


def test_a_spike_of_one_sample_raises_one_alarm_with_the_samples_around_it(bench: Bench, db: Database):
    ramp = [(at / 100, 40.0 + at / 100) for at in range(700)]
    ramp[500] = (5.0, 61.5)
    bench.batch(1, ramp[:505])
    (raised, cleared) = bench.events[-2:] if len(bench.events) > 1 else (bench.events[0], bench.events[0])
    assert (raised.rule, raised.severity, cleared.value) == ("hot", 3, 61.5)
    bench.save()
    bench.batch(506, ramp[505:])
    for at in range(6):
        bench.batch(706 + 100 * at, [(7 + at + one / 100, 40.0) for one in range(100)])
    bench.save()
    (alarm,) = list_alarms(db, "fs", ALL_TIME)
    assert (alarm.utc_raised_us - UTC_US, alarm.utc_cleared_us - UTC_US) == (5_000_000, 5_010_000)
    assert (alarm.worst, alarm.unit, alarm.is_late, alarm.is_open) == (61.5, "degC", False, False)
    t_us, values = kept_samples(db, alarm.id)["Cell.Temperature"]
    assert np.array_equal(t_us, np.arange(0, 10_000_000, 10_000))
    assert values[500] == pytest.approx(61.5)


def test_acknowledged_by_whom_and_shelved_until_when(bench: Bench, db: Database):
    bench.batch(1, [(0.0, 50.0), (0.1, 70.0)])
    bench.save()
    (alarm,) = open_alarms(db)
    acknowledge(db, alarm.id, "Zoé", UTC_US + 9)
    until_us = clock_now().utc_us + 60_000_000
    shelve(db, Shelf(0, "fs", "hot", until_us, UTC_US, "Zoé"))
    bench.poll()
    assert (bench.events[-1].utc_acked_us, bench.events[-1].acked_by) == (UTC_US + 9, "Zoé")
    assert bench.events[-1].shelved_until_utc_us == until_us
    bench.batch(3, [(0.2, 50.0), (0.3, 70.0)])
    assert bench.events[-1].id != alarm.id
    assert bench.events[-1].shelved_until_utc_us == until_us
    bench.save()
    known = get_alarm(db, alarm.id)
    assert known is not None
    assert (known.acked_by, known.utc_cleared_us - UTC_US) == ("Zoé", 200_000)


def test_a_latched_alarm_stays_until_somebody_has_seen_it(bench: Bench, db: Database):
    put_rule(
        db,
        "fs",
        Rule("hot", "above", "h", "c", channel="Cell.Temperature", limit=60.0, latch=True, off_delay_ms=0),
        "t",
    )
    bench.poll()
    bench.batch(1, [(0.0, 70.0), (0.1, 50.0)])
    bench.save()
    (alarm,) = open_alarms(db)
    assert not alarm.is_active
    bench.batch(3, [(0.2, 70.0), (0.3, 50.0)])
    bench.save()
    assert [one.id for one in list_alarms(db, "fs", ALL_TIME)] == [alarm.id]
    acknowledge(db, alarm.id, "Zoé", 5)
    bench.poll()
    bench.save()
    assert open_alarms(db) == []


@pytest.mark.parametrize("saves_before_kill", [False, True])
def test_a_kill_during_an_alarm_loses_neither_state_nor_acknowledgement(bench: Bench, db: Database, saves_before_kill):
    bench.batch(1, [(0.0, 50.0), (0.1, 70.0), (0.2, 71.0)])
    first = bench.events[-1]
    if saves_before_kill:
        bench.save()
    acknowledge(db, first.id, "Zoé", clock_now().utc_us)
    bench.start()
    bench.poll()
    bench.batch(4, [(0.3, 75.0), (0.4, 50.0)])
    bench.save()
    (alarm,) = list_alarms(db, "fs", ALL_TIME)
    assert (alarm.id, alarm.acked_by, alarm.value, alarm.worst) == (first.id, "Zoé", 70.0, 75.0)
    assert (alarm.utc_raised_us - UTC_US, alarm.utc_cleared_us - UTC_US) == (100_000, 400_000)


def test_backfilled_data_raises_late_alarms_only(bench: Bench, db: Database):
    bench.batch(1, [(0.0, 50.0), (0.1, 50.0)])
    bench.batch(11, [(1.0, 50.0), (1.1, 50.0)])
    bench.batch(3, [(0.2, 70.0), (0.3, 70.0)], lane=Lane.BACKFILL)
    assert [(one.is_late, one.is_active) for one in bench.events] == [(True, True)]
    bench.batch(7, [(0.6, 50.0)], lane=Lane.BACKFILL)  # another place: what was on has ended
    assert [(one.is_late, one.is_active) for one in bench.events] == [(True, True), (True, False)]
    assert bench.events[-1].utc_cleared_us - UTC_US == 300_000
    bench.batch(13, [(1.2, 70.0)])
    assert (bench.events[-1].is_late, bench.events[-1].is_active) == (False, True)


def test_a_preview_rings_live_and_its_frames_do_not_ring_again_late(bench: Bench, db: Database):
    bench.give(Preview("fs", EPOCH, 1, frames([(0.0, 50.0)])))
    bench.give(Preview("fs", EPOCH, 2, frames([(0.4, 70.0)])))
    assert [(one.is_late, one.is_active) for one in bench.events] == [(False, True)]
    bench.batch(1, [(0.0, 50.0), (0.2, 50.0), (0.4, 70.0)], lane=Lane.BACKFILL)
    assert len(bench.events) == 1


def test_only_the_newest_alarms_keep_the_samples_around_them(bench: Bench, db: Database):
    for at in range(4):
        bench.batch(1 + 2 * at, [(at, 70.0), (at + 0.5, 50.0)])
        bench.save()
    newest = list_alarms(db, "fs", ALL_TIME)
    with db.engine.begin() as connection:
        drop_old_samples(connection, 2)
    assert [bool(kept_samples(db, one.id)) for one in newest] == [True, True, False, False]


def test_an_alarm_goes_on_over_a_restart_of_the_agent(bench: Bench, db: Database):
    bench.batch(1, [(0.0, 70.0)])
    bench.give(Clock("fs", OTHER, 1, 0, UTC_US + 10_000_000, ClockSource.NTP, 0))
    bench.batch(1, [(0.5, 70.0), (0.6, 50.0)], epoch=OTHER)
    bench.save()
    (alarm,) = list_alarms(db, "fs", ALL_TIME)
    assert (alarm.utc_raised_us - UTC_US, alarm.utc_cleared_us - UTC_US) == (0, 10_600_000)
    bench.batch(2, [(0.1, 70.0)])  # what the old life still had to say is late
    assert bench.events[-1].is_late


def test_rules_are_taken_over_while_watch_runs(bench: Bench, db: Database):
    bench.batch(1, [(0.0, 70.0)])
    put_rule(db, "fs", Rule("cold", "below", "c", "f", channel="Cell.Temperature", limit=10.0), "Zoé")
    bench.poll()
    bench.batch(2, [(0.1, 71.0), (0.2, 5.0)])
    assert {(one.rule, one.is_active) for one in bench.events} == {("hot", True), ("hot", False), ("cold", True)}
    remove_rule(db, "fs", "cold", "Zoé")
    bench.poll()
    assert (bench.events[-1].rule, bench.events[-1].is_active) == ("cold", False)


def test_silence_of_the_car_is_told_by_the_servers_clock(bench: Bench, db: Database):
    put_rule(db, "fs", Rule("silent", "no_data", "s", "s", for_ms=100, off_delay_ms=0), "test")
    bench.poll()
    bench.batch(1, [(0.0, 50.0)])
    assert bench.events == []
    bench.poll()
    assert [(one.rule, one.utc_raised_us - UTC_US) for one in bench.events] == [("silent", 100_000)]
    bench.batch(2, [(0.4, 50.0)])
    assert (bench.events[-1].id, bench.events[-1].utc_cleared_us - UTC_US) == (bench.events[0].id, 400_000)


def test_health_figures_can_raise(bench: Bench, db: Database):
    channel = channel_of("link", "age").name
    put_rule(db, "fs", Rule("age", "above", "a", "a", channel=channel, limit=-1.0), "test")
    bench.poll()
    bench.batch(1, [(0.0, 50.0)])
    for _ in range(12):  # figures come once per second
        bench.poll()
        if bench.events:
            break
    assert (bench.events[0].rule, bench.events[0].unit) == ("age", "ms")


def test_an_incident_is_an_alarm(bench: Bench, db: Database):
    bench.give(Incident("fs", EPOCH, IncidentKind.BYTES_DIFFER, clock_now().utc_us, "batch 601"))
    bench.give(Incident("fs", EPOCH, IncidentKind.BYTES_DIFFER, clock_now().utc_us, "batch 1201"))
    assert {one.id for one in bench.events} == {bench.events[0].id}
    assert (bench.events[-1].severity, bench.events[-1].detail) == (3, "batch 1201")
    bench.save()
    bench.start()
    assert [one.detail for one in open_alarms(db)] == ["batch 1201"]


def test_the_role_writes_alarms_to_database_and_stream(tmp_path: Path, db: Database):
    writer = open_stream(tmp_path, "frames").writer()
    at = clock_now()
    for record in (
        Clock("fs", EPOCH, 1, 0, UTC_US, ClockSource.NTP, 0),
        FrameBatch("fs", EPOCH, 1, frames([(0.0, 50.0), (0.1, 70.0)])),
    ):
        writer.append(Arrival(at.mono_us, at.utc_us, Lane.LIVE), encode_record(record))
    writer.sync()
    writer.close()
    stop = asyncio.Event()
    stop.set()
    asyncio.run(run_watch(WatchSettings(tmp_path, db.url), lambda _: None, stop))
    (alarm,) = open_alarms(db)

    async def read() -> list[object]:
        reader = open_stream(tmp_path, "events").reader("earliest")
        try:
            return [decode_record(entry.record) for entry in await reader.read(timeout_s=1.0)]
        finally:
            reader.close()

    events = [event for event in asyncio.run(read()) if isinstance(event, Alarm)]
    assert events == [alarm]
    assert not math.isnan(alarm.value)


def test_samples_that_come_rarely_are_no_silence_of_the_car(bench: Bench, db: Database):
    put_rule(db, "fs", Rule("silent", "no_data", "Silent", "Muette", for_ms=2000), "test")
    bench.poll()
    columns = SampleColumns(np.array([0, 10_000_000]), np.zeros(2, np.uint16), np.array([3.0, 4.0]))
    bench.give(SampleBatch("fs", b"samples" + bytes(9), 1, (SampleChannel("weather.wind"),), columns))
    assert "silent" not in {alarm.rule for alarm in bench.events}
    bench.batch(1, [(0, 50), (10, 50)])
    assert "silent" in {alarm.rule for alarm in bench.events}


@pytest.mark.parametrize("trouble", ["watch starts anew", "the server's clock is set"])
def test_an_alarm_on_a_health_figure_stays_while_the_trouble_does(db: Database, monkeypatch, trouble: str):
    mono_us, utc_us = 1_000_000_000, UTC_US
    monkeypatch.setattr(role, "now", lambda: Now(mono_us, utc_us))
    age = channel_of("link", "age").name
    put_rule(db, "fs", Rule("away", "above", "Away", "Absente", channel=age, limit=5000.0, off_delay_ms=0), "test")

    def start() -> Watching:
        return Watching(db, make_parts(db, role.now()), Counters())

    def pass_time(seconds: int) -> None:
        nonlocal mono_us, utc_us
        for _ in range(0, seconds, 5):
            mono_us, utc_us = mono_us + 5_000_000, utc_us + 5_000_000
            watching.take([])
            watching.publish(lambda _arrival, _record: 0)
            watching.save(1)

    def hear(number: int) -> None:
        record = encode_record(FrameBatch("fs", EPOCH, number, frames([(number, 50.0)])))
        watching.take([StreamEntry(number, Arrival(mono_us, utc_us, Lane.LIVE), record)])

    def states() -> list[bool]:
        return [one.is_active for one in list_alarms(db, "fs", ALL_TIME) if one.rule == "away"]

    watching = start()
    hear(1)
    pass_time(20)
    assert states() == [True]
    if trouble == "watch starts anew":
        watching = start()
    else:
        utc_us += 2_000_000
    pass_time(400)
    assert states() == [True]
    hear(2)
    pass_time(5)
    hear(3)
    pass_time(5)
    assert states() == [False]
