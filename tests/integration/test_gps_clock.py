"""A car that booted in 1970 hears the time from a GPS receiver on its bus: what was stored before is right too."""

import asyncio
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from tests.integration.link_helpers import Site
from tests.integration.recorded_helpers import DRIVE_DBC, drive_frames
from typer.testing import CliRunner

import ved
from ved.agent.agent import AgentReport, AgentSettings, run_agent
from ved.cli.describe import buses_of, describe
from ved.cli.importing import look_through, records_of
from ved.cli.main import app
from ved.codec.records import decode_record
from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs
from ved.db.sessions import list_sessions, save_sessions
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.logfiles.candump import write_candump
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameColumns
from ved.model.gpsclock import ERROR_US
from ved.model.records import Clock, ClockSource
from ved.model.session import Session, SessionPart
from ved.model.vehicle import Vehicle
from ved.record.role import run_record
from ved.record.settings import RecordSettings

TOML = """
name = "fs"
title_en = "Car"
title_fr = "Voiture"
[[bus]]
index = 2
name = "gps"
bitrate_hz = 500000
dbc = ["gps.dbc"]
[clock]
utc = "gnss_time.Epoch"
valid = "gnss_time.TimeValid"
"""
GNSS_TIME, IMU = 2, 9
MOVED_S = 5 * 365 * 86_400
"""The drive was in 2021; no clock of this program says so."""

FIX_US = 100_000_000
RECORDED_US = 1_780_000_000_000_000


class GpsSite(Site):
    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.data / 'db.sqlite'}"


def make_car(folder: Path) -> Vehicle:
    folder.mkdir(parents=True)
    (folder / "vehicle.toml").write_text(TOML)
    shutil.copy(DRIVE_DBC, folder / "gps.dbc")
    return load_vehicle(folder)


def drive(fix_us: int) -> tuple[FrameColumns, int]:
    """The recorded receiver, five years later, with its first fix at `fix_us`; and the median of its UTC - t."""
    frames, _ = drive_frames()
    frames = frames.take((frames.bus == 2) & (frames.arbitration_id != IMU))
    at = np.flatnonzero(frames.arbitration_id == GNSS_TIME)
    payload, raw = frames.payload.copy(), np.zeros((len(at), 8), np.uint8)
    raw[:, :5] = payload[at, 1:6]
    told_ms = raw.view("<i8")[:, 0] + MOVED_S * 1000
    is_fixed = frames.t_us[at] >= fix_us
    payload[at, 1:6] = np.where(is_fixed, told_ms, 0).astype("<i8").view(np.uint8).reshape(-1, 8)[:, :5]
    payload[at, 0] = is_fixed
    columns = (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length, payload)
    offsets_us = told_ms * 1000 + 1_577_840_400_000_000 - frames.t_us[at]
    return FrameColumns(*columns), int(np.median(offsets_us[is_fixed]))


class Car:
    """Frames at once up to `allowed`; its own clock began in 1970."""

    is_realtime = True

    def __init__(self, frames: FrameColumns, allowed: int) -> None:
        self.frames, self.allowed, self.sent = frames, allowed, 0

    def open(self, origin_mono_ns: int) -> None:
        self._origin_ns = origin_mono_ns

    def read(self, timeout_s: float) -> FrameColumns:
        out = self.frames.take(slice(self.sent, min(self.sent + 500, self.allowed)))
        self.sent += len(out)
        if not len(out):
            time.sleep(timeout_s)
        return out

    def clock(self, now_mono_ns: int) -> ClockPair:
        t_us = (now_mono_ns - self._origin_ns) // 1000
        return ClockPair(t_us, 60_000_000 + t_us, ClockSource.HOST, 1000)

    def close(self) -> None:
        pass


def utc_of_frames(site: GpsSite, epoch: bytes, count: int) -> np.ndarray:
    """UTC of the first `count` time messages, as a person reads them."""
    part = SessionPart(epoch, 0, 600_000_000)
    db = Database(site.db_url)
    save_sessions(db, [Session("fs-1", "fs", 0, 1, is_open=False, parts=(part,))])
    db.close()
    with ved.open(site.data) as lake:
        return lake.sessions("fs")[0].samples("gnss_time.TimeValid").utc_us[:count]


def test_a_late_fix_corrects_what_was_stored_before_it(tmp_path: Path) -> None:
    site = GpsSite(tmp_path / "data")
    site.prepare("fs")
    car = make_car(tmp_path / "fs")
    frames, truth_us = drive(FIX_US)
    before = int(np.searchsorted(frames.t_us, FIX_US))
    early = frames.t_us[:before][frames.arbitration_id[:before] == GNSS_TIME]
    source = Car(frames, before)
    found: list[tuple[ClockMap, np.ndarray]] = []

    async def look(stored: int, source_of_time: ClockSource) -> None:
        """Once so many frames are in the lake, read the early ones."""
        db, lake = Database(site.db_url), Lake(str(site.data / "lake"))
        while True:
            await asyncio.sleep(0.02)
            lake.refresh()
            if (rows := list_epochs(db, "fs")) and lake.intervals("fs", rows[0].epoch).count() == stored:
                best = ClockMap.best(clock_pairs(db, "fs", rows[0].epoch))
                if best.source == source_of_time:
                    break
        db.close()
        found.append((best, utc_of_frames(site, rows[0].epoch, len(early))))

    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            stop = asyncio.Event()
            settings = RecordSettings(site.data, site.db_url, str(site.data / "lake"), commit_s=0.05)
            record = asyncio.create_task(run_record(settings, lambda _: None, stop))
            described = describe(car.name, car.title_en, buses_of(car))
            options = AgentSettings(tmp_path / "car", "fs", gps=car.gps)
            agent = asyncio.create_task(run_agent(options, source, described, stop))
            await look(before, ClockSource.SERVER)
            source.allowed = len(frames)
            await look(len(frames), ClockSource.GPS)
            stop.set()
            await record
            return await agent

    begun_us = time.time_ns() // 1000
    report = asyncio.run(asyncio.wait_for(go(), 60))
    (first, early_utc), (best, late_utc) = found
    assert abs(first.offset_us - begun_us) < 60_000_000  # until then: when the server first heard of it
    np.testing.assert_array_equal(early_utc, early + first.offset_us)
    assert abs(best.offset_us - truth_us) < ERROR_US
    np.testing.assert_array_equal(late_utc, early + best.offset_us)
    assert Lake(str(site.data / "lake")).rows("fs", report.epoch).frames.equals(frames)
    db = Database(site.db_url)
    pairs = [one for one in clock_pairs(db, "fs", report.epoch) if one.source == ClockSource.GPS]
    db.close()
    assert pairs[0].t_us < FIX_US + 3_000_000
    assert np.diff([one.t_us for one in pairs]).min() >= 10_000_000
    assert len(pairs) > 35


def recorded(path: Path) -> tuple[Path, int]:
    """The drive as a log whose own clock is off, and UTC - t as its import should find it."""
    frames, truth_us = drive(FIX_US)
    begin_us = int(frames.t_us[0])
    write_candump(path, iter([frames]), RECORDED_US - begin_us, {2: "gps"})
    return path, truth_us + begin_us


@pytest.mark.parametrize("has_clock", [True, False])
def test_an_import_takes_the_receivers_time(tmp_path: Path, has_clock: bool) -> None:
    gps = make_car(tmp_path / "fs").gps if has_clock else None
    log, truth_us = recorded(tmp_path / "drive.log")
    found = look_through(log)
    made = list(records_of(found, [], {"gps": 2}, "fs", gps))
    assert made == list(records_of(found, [], {"gps": 2}, "fs", gps))
    records = [decode_record(one) for one in made]
    clocks = [one for one in records if isinstance(one, Clock)]
    assert records[1 : 1 + len(clocks)] == clocks  # before the first frame: sessions are found in frames
    assert [one.number for one in clocks] == list(range(2, 2 + len(clocks)))
    best = ClockMap.best([ClockPair(one.t_us, one.utc_us, one.source, one.error_us) for one in clocks])
    assert abs(best.offset_us - (truth_us if has_clock else RECORDED_US)) < (ERROR_US if has_clock else 1)


def test_a_recording_of_1970_is_dated_by_its_receiver(tmp_path: Path) -> None:
    frames, truth_us = drive(FIX_US)
    write_candump(tmp_path / "drive.log", iter([frames]), 0, {2: "gps"})
    found = look_through(tmp_path / "drive.log")
    records = [decode_record(one) for one in records_of(found, [], {"gps": 2}, "fs", make_car(tmp_path / "fs").gps)]
    clocks = [ClockPair(one.t_us, one.utc_us, one.source) for one in records if isinstance(one, Clock)]
    assert {one.source for one in clocks} == {ClockSource.GPS}
    assert abs(ClockMap.best(clocks).offset_us - truth_us - int(frames.t_us[0])) < ERROR_US
    with pytest.raises(UserError, match=r"drive\.log: does not say when it was recorded"):
        next(records_of(found, [], {"gps": 2}, "fs"))


@pytest.mark.slow
def test_the_command_finds_the_vehicles_clock(tmp_path: Path) -> None:
    make_car(tmp_path / "data" / "vehicles" / "fs")
    log, truth_us = recorded(tmp_path / "drive.log")
    arguments = ["import", str(log), "--vehicle", "fs", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    db = Database(f"sqlite:///{tmp_path / 'data' / 'db.sqlite'}")
    maps = [ClockMap.best(clock_pairs(db, "fs", row.epoch)) for row in list_epochs(db, "fs")]
    sessions = list_sessions(db, "fs")
    db.close()
    assert [abs(one.utc_from_us - truth_us) < 1_000_000 for one in sessions] == [True]
    assert [abs(best.offset_us - truth_us) < ERROR_US for best in maps if best.source == ClockSource.GPS] == [True]
