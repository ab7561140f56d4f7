"""Records whose numbers fit their fields and nothing else: refused at the link, left out of what stands in a stream.

And the numbers just inside the limits of docs/spec/records.md: they pass everywhere.
"""

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from sqlalchemy import insert
from tests.services.postgres_server import running_postgres
from tests.unit.sealed import seal, seal_note

from ved.broker.open import open_journal
from ved.codec.columns import pack_columns
from ved.codec.learn import LayoutBook
from ved.codec.link import FEATURE_WIRE, Ping, WireData, encode_message
from ved.codec.records import encode_record
from ved.codec.wire import WireEncoder
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_losses, vehicle_clocks
from ved.db.ledger import list_ledger_epochs
from ved.db.tables import clocks
from ved.db.vehicles import ensure_vehicle
from ved.lake.lake import Lake
from ved.metrics import BATCHES_CORRUPT_TOTAL, RECORDS_CORRUPT_TOTAL, Counters
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Clock, ClockSource, Lane, LinkState, Loss, LossPlace, RecordKind
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns
from ved.record.role import CURSOR, run_record
from ved.record.rolling import make_rollups
from ved.record.settings import RecordSettings
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import Site, make_frames, stored_frames
from test_link_access import RawCar
from web_live import FS, Server, until

GOOD, BAD, INSIDE, SAMPLED = (letter * 16 for letter in (b"g", b"b", b"i", b"s"))
MOST = 2**54
CROSS_US = 1_700_000_000_000_000


def clock(number: int = 1, t_us: int = 0, utc_us: int = CROSS_US, epoch: bytes = BAD) -> Clock:
    return Clock("pe", epoch, number, t_us, utc_us, ClockSource.NTP, 0)


def loss(number: int, **changes: int) -> Loss:
    return replace(Loss("pe", BAD, number, LossPlace.CAR_DISK, 0, 1, 0, 1), **changes)


def batch_at(t_us: int) -> bytes:
    frames = make_frames(1, 4)
    frames.t_us[2] = t_us
    body = zstandard.compress(b"".join(pack_columns(frames)))
    return seal(RecordKind.BATCH, 1, 4, body, "pe", BAD)


NOTES = {
    "loss_last_seq": seal_note(loss(1, first_seq=1, last_seq=2**63)),
    "loss_count": seal_note(loss(1, count=2**63 - 1)),
    "loss_backwards": seal_note(loss(1, first_seq=9, last_seq=3)),
    "loss_number": seal_note(loss(2**63)),
    "clock_number": seal_note(clock(2**64 - 1)),
    "clock_offset": seal_note(clock(1, -(2**63), 2**63 - 1)),
    "clock_utc": seal_note(clock(1, 0, MOST + 1)),
}
BATCHES = {
    "batch_seq": seal(RecordKind.BATCH, 2**63, 0, b"", "pe", BAD),
    "batch_last_seq": seal(RecordKind.BATCH, 2**63 - 1, 4, b"", "pe", BAD),
    "samples_seq": seal(RecordKind.SAMPLES, 2**64 - 1, 1, b"", "pe", BAD),
    "preview_number": seal(RecordKind.PREVIEW, 2**63, 1, b"", "pe", BAD),
}
UNSEEN = {"batch_time": batch_at(-(2**62)), "batch_time_just": batch_at(MOST + 1)}
"""What only a reader of the columns sees: these stand in the stream."""


class BadCar(RawCar):
    """Sends bytes that no sender of ours would make."""

    async def send_message(self, message: bytes) -> None:
        assert self.connection is not None
        await self.connection._socket.send(message)


class GoodCar(RawCar):
    """Comes back when its connection was lost, and sends again, as an agent does."""

    async def deliver(self, record: bytes, first: int, last: int) -> None:
        while True:
            if self.running is None or self.running.done():
                await self.open()
            assert self.running is not None
            await self.send(record)
            stored = asyncio.create_task(self.wait_stored(first, last))
            await asyncio.wait((stored, self.running), return_when=asyncio.FIRST_COMPLETED)
            if stored.done():
                return
            stored.cancel()


def test_a_car_that_sends_them_is_refused_and_costs_the_others_nothing(tmp_path: Path) -> None:
    site, counters, told = Site(tmp_path), Counters(), []
    site.prepare("fs", "pe")
    given = NOTES | BATCHES

    async def main() -> None:
        async with site.serving(counters):
            good, credentials = GoodCar(site.credentials("fs"), "fs", GOOD), site.credentials("pe")
            for at, record in enumerate(given.values()):
                bad = BadCar(credentials, "pe", BAD)
                await bad.open()
                await bad.send_message(b"\4\0\0\0" + record)  # DATA, as it stands
                told.append(str(await bad.ended()))
                frames = make_frames(10 * at + 1, 10)
                await good.deliver(
                    encode_record(FrameBatch("fs", GOOD, 10 * at + 1, frames)), 10 * at + 1, 10 * at + 10
                )
            await good.close()

    asyncio.run(asyncio.wait_for(main(), 120))
    for name, said in zip(given, told, strict=True):
        assert any(word in said for word in ("seqs", "within", "above")), (name, said)
        assert "\n" not in said
    assert counters[BATCHES_CORRUPT_TOTAL] == len(given)
    _, seqs = stored_frames(site.records(), GOOD)
    assert seqs.runs() == [(1, 10 * len(given))]
    assert {one.epoch for one in site.records() if not isinstance(one, LinkState)} == {GOOD}


def test_a_batch_on_the_wire_with_them_is_refused(tmp_path: Path) -> None:
    """The wire's own numbers wrap, so any time and any seq can be sent."""
    site, counters, told = Site(tmp_path), Counters(), []
    site.prepare("fs", "pe")
    frames = make_frames(1, 5)
    far = replace(frames, t_us=frames.t_us - 2**62)

    async def main() -> None:
        async with site.serving(counters):
            for batch in (FrameBatch("pe", BAD, 1, far), FrameBatch("pe", BAD, 2**63, frames)):
                bad = BadCar(site.credentials("pe"), "pe", BAD)
                bad.hello = replace(bad.hello, features=FEATURE_WIRE)
                await bad.open()
                body = WireEncoder(LayoutBook()).encode(batch)
                assert body is not None
                await bad.send_message(encode_message(WireData(body)))
                told.append(str(await bad.ended()))

    asyncio.run(asyncio.wait_for(main(), 60))
    assert all("within" in said for said in told), told
    assert counters[BATCHES_CORRUPT_TOTAL] == 2


def test_a_time_in_a_ping_makes_no_clock(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.prepare("fs", "pe")

    async def main() -> None:
        async with site.serving():
            bad = BadCar(site.credentials("pe"), "pe", BAD)
            await bad.open()
            ping = bytearray(encode_message(Ping(1, 0)))
            ping[8:] = (2**63 - 1).to_bytes(8, "little")
            await bad.send_message(bytes(ping))
            assert "within" in str(await bad.ended())

    asyncio.run(main())
    assert not any(isinstance(one, Clock) for one in site.records())


GOOD_CLOCK = Clock("fs", GOOD, 1, 0, CROSS_US, ClockSource.NTP, 0)
AT_THE_EDGE = [
    Clock("pe", INSIDE, 1, -MOST, MOST, ClockSource.GPS, MOST),
    Clock("pe", INSIDE, MOST, MOST, -MOST, ClockSource.NTP, -MOST),
    Loss("pe", INSIDE, 2, LossPlace.CAR_DISK, 255, MOST, -MOST, MOST, 1, MOST),
    Loss("pe", INSIDE, MOST, LossPlace.KERNEL, 0, -MOST, MOST, MOST),
    Loss("pe", INSIDE, 3, LossPlace.WAY, 0, 1, -MOST, -MOST, MOST, MOST),
    FrameBatch("pe", INSIDE, MOST - 3, replace(make_frames(1, 3), t_us=np.array([-MOST, 0, MOST]))),
    Clock("pe", SAMPLED, 1, MOST, MOST, ClockSource.NTP, 0),
    SampleBatch(
        "pe",
        SAMPLED,
        MOST - 2,
        (SampleChannel("a.b"),),
        SampleColumns(np.array([-MOST, MOST]), np.zeros(2, np.uint16), np.array([1.0, 2.0])),
    ),
]
"""Just within the limits."""
STORED = [*NOTES.values(), *BATCHES.values(), *UNSEEN.values()]


def write_stream(data: Path) -> None:
    """What a server before these limits may have in its journal, between the records of a good car."""
    writer = open_journal(data, "frames").writer()
    good = [encode_record(GOOD_CLOCK)]
    good += [encode_record(FrameBatch("fs", GOOD, 10 * at + 1, make_frames(10 * at + 1, 10))) for at in range(30)]
    edge = [encode_record(one) for one in AT_THE_EDGE]
    for at in range(max(len(good), len(STORED))):
        for record in (*STORED[at : at + 1], *edge[at : at + 1], *good[at : at + 1]):
            writer.append(Arrival(1, CROSS_US, Lane.LIVE), record)
    writer.sync()
    writer.close()


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory):
    with running_postgres(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path):
    name = f"sqlite:///{tmp_path / 'people.db'}"
    found = request.getfixturevalue("postgres_url") if request.param == "postgresql" else name
    db = Database(found)
    db.migrate()
    db.close()
    return found


def test_record_and_watch_leave_out_what_is_stored_already(tmp_path: Path, url: str) -> None:
    write_stream(tmp_path)
    stream, counters, watched = open_journal(tmp_path, "frames"), Counters(), Counters()
    reader = stream.reader("latest")
    end = reader.position
    reader.close()
    settings = RecordSettings(tmp_path, url, str(tmp_path / "lake"), commit_s=0.05, quiet_s=0.0, housekeeping_s=60.0)

    async def main() -> None:
        stop = asyncio.Event()
        role = asyncio.create_task(run_record(settings, lambda _: None, stop, counters))
        while not role.done() and stream.cursor(CURSOR) != end:
            await asyncio.sleep(0.02)
        stop.set()
        await role
        await run_watch(WatchSettings(tmp_path, url), lambda _: None, stop, watched)

    asyncio.run(asyncio.wait_for(main(), 120))
    assert counters[RECORDS_CORRUPT_TOTAL] == watched[RECORDS_CORRUPT_TOTAL] == len(STORED)
    lake, db = Lake(settings.lake_url), Database(url)
    assert lake.rows("fs", GOOD).seq.tolist() == list(range(1, 301))
    assert lake.epochs() == [("fs", GOOD), ("pe", INSIDE)] or set(lake.epochs()) == {("fs", GOOD), ("pe", INSIDE)}
    rows = lake.rows("pe", INSIDE)
    assert rows.frames.t_us.tolist() == [-MOST, 0, MOST]
    pairs = clock_pairs(db, "pe", INSIDE)
    assert sorted(one.t_us for one in pairs) == [-MOST, MOST]
    assert ClockMap.best(pairs).to_utc(rows.frames.t_us).tolist() == [MOST, 2 * MOST, 3 * MOST]
    assert {one.number for one in list_losses(db, "pe", INSIDE)} == {2, 3, MOST}
    assert list_losses(db, "pe", BAD) == []
    assert {one.epoch for one in list_ledger_epochs(db, "pe")} == {INSIDE}
    assert make_rollups(lake, db, lambda _: True) >= 0
    db.close()


def test_a_clock_from_before_the_limits_is_not_read_again(url: str) -> None:
    db = Database(url)
    bad = {"vehicle": "ps", "epoch": BAD, "source": int(ClockSource.GPS), "error_us": 0}
    with db.engine.begin() as connection:
        connection.execute(insert(clocks), [{**bad, "number": 1, "t_us": -(2**63), "utc_us": 2**63 - 1}])
        connection.execute(insert(clocks), [{**bad, "number": 2, "t_us": 5, "utc_us": CROSS_US}])
    (pair,) = clock_pairs(db, "ps", BAD)
    assert vehicle_clocks(db, "ps") == {BAD: [pair]}
    assert pair.utc_us == CROSS_US
    db.close()


def test_web_shows_the_good_car_whatever_stands_in_the_stream(tmp_path: Path) -> None:
    server = Server(tmp_path)

    async def go() -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page, server.page() as other:
            await page.watch("Motor.speed")
            await other.watch("a.b", vehicle="pe")
            await until(lambda: page.is_history_done)
            server.send_clock()
            for at, record in enumerate([*STORED, *map(encode_record, AT_THE_EDGE)]):
                server.writer.append(Arrival(time.monotonic_ns() // 1000, CROSS_US, Lane.LIVE), record)
                server.send([20_000 * at], [at])
            await until(lambda: page.last()[-1:] == [at])
            assert page.last() == list(range(at + 1))

    try:
        asyncio.run(go())
    finally:
        server.close()


def test_ingest_starts_on_a_journal_that_holds_them(tmp_path: Path) -> None:
    site, counters = Site(tmp_path), Counters()
    site.prepare("fs", "pe")
    write_stream(tmp_path)

    async def main() -> None:
        async with site.serving(counters):
            good = GoodCar(site.credentials("fs"), "fs", GOOD)
            await good.deliver(encode_record(FrameBatch("fs", GOOD, 301, make_frames(301, 10))), 301, 310)
            await good.wait_stored(1, 300)
            await good.close()

    for _ in range(2):  # the second start has a checkpoint
        asyncio.run(asyncio.wait_for(main(), 60))
