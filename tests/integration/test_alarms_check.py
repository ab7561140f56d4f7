"""Would it have fired? Rules over stored sessions, from Python and the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.integration.recorded_helpers import Folder, add_drive
from typer.testing import CliRunner

import ved
from ved.api import alarmreading
from ved.cli.main import app
from ved.db.alarmrules import put_rule
from ved.db.epochs import note_clock
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.model.alarmrule import Guard, Rule
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Clock, ClockSource
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

DBC = 'BU_: A\nBO_ 16 Cell: 2 A\n SG_ Temperature : 0|16@1+ (0.1,0) [0|100] "degC" A\n'
UTC_US = 1_790_000_000_000_000
HOT = Rule("hot", "above", "Hot", "Chaud", "critical", "Cell.Temperature", limit=60.0, off_delay_ms=0)


def frames(*samples: tuple[float, float]) -> FrameColumns:
    payload = np.zeros((len(samples), 8), np.uint8)
    payload[:, :2] = np.array([round(10 * value) for _, value in samples], "<u2").view(np.uint8).reshape(-1, 2)
    zero = np.zeros(len(samples), np.uint8)
    t_us = np.array([round(1e6 * t_s) for t_s, _ in samples], np.int64)
    return FrameColumns(t_us, zero, np.full(len(samples), 16, np.uint32), zero, zero + np.uint8(2), payload)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "data")
    put_rule(folder.db, "fs", HOT, "test")
    put_rule(folder.db, "fs", Rule("silent", "no_data", "s", "s", for_ms=3000), "test")
    # The agent restarts during an alarm, which goes on in the second epoch.
    parts = [(frames((0, 50), (1, 61), (2, 62)), UTC_US), (frames((0, 63), (1, 50)), UTC_US + 10_000_000)]
    folder.add("fs", parts, {0: ("main", DBC)})
    return folder


def test_an_alarm_goes_on_over_the_parts_of_a_session(folder: Folder):
    with ved.open(folder.path) as lake:
        check = lake.check_alarms(lake.sessions("fs")[0])
    alarm, silent = check.alarms
    assert (alarm.rule.id, alarm.value, alarm.worst) == ("hot", 61.0, 63.0)
    assert (alarm.utc_raised_us - UTC_US, alarm.utc_cleared_us - UTC_US) == (1_000_000, 11_000_000)
    # The car is silent from one life of its agent to the next.
    assert silent.rule.id == "silent"
    assert (silent.utc_raised_us - UTC_US, silent.utc_cleared_us - UTC_US) == (5_000_000, 10_500_000)
    assert check.idle == {}


def test_the_command_prints_what_it_finds(folder: Folder):
    def run(*arguments: str):
        return CliRunner().invoke(app, ["alarms", "check", *arguments, "--data", str(folder.path)])

    told = run("--last")
    assert told.exit_code == 0, told.output
    assert "2 alarms in 11 s of fs" in " ".join(told.output.split())
    values = json.loads(run("fs-0", "--rule", "hot", "--json").output)
    assert [(one["rule"], one["value"]) for one in values["alarms"]] == [("hot", 61.0)]
    for arguments, words in (
        ((), "name one session"),
        (("--last", "--rule", "odd"), "known are hot, silent"),
        (("fs-0", "--vehicle", "fs"), "belongs to --last"),
        (("no-such",), "there is none"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, UserError)
        assert words in str(error)


def test_rules_over_a_recorded_drive(tmp_path: Path):
    folder = Folder(tmp_path / "data")
    add_drive(folder)
    rules = [
        Rule("fast", "above", "f", "v", channel="gnss_speed.Speed", limit=13.9, hysteresis=0.5, on_delay_ms=1000),
        Rule(
            "corner", "outside", "c", "v", channel="gnss_imu.AccelerationY", low=-2.5, high=2.5,
            guard=Guard("gnss_speed.Speed", above=5),
        ),
        Rule("silent", "no_data", "s", "m", channel="gnss_speed.Speed", for_ms=1500),
    ]  # fmt: skip
    with ved.open(folder.path) as lake:
        session = lake.sessions()[0]
        check = lake.check_alarms(session, rules)
        speed = session.samples("gnss_speed.Speed")
    found = {rule.id: [one for one in check.alarms if one.rule.id == rule.id] for rule in rules}
    # From the first frame on, whatever is in it, and to the last.
    gaps_us = np.diff(speed.utc_us, prepend=session.utc_from_us, append=session.utc_to_us)
    assert len(found["silent"]) == np.count_nonzero(gaps_us > 1_500_000) > 0
    assert [one.worst for one in found["fast"]] == pytest.approx([max_between(speed, one) for one in found["fast"]])
    assert len(found["fast"]) > 1
    assert found["corner"]


def max_between(speed, alarm) -> float:
    """The greatest speed from where the limit was crossed (the delay before it was raised) to the end."""
    to_us = alarm.utc_cleared_us or (1 << 62)
    inside = (speed.utc_us >= alarm.utc_raised_us - 1_000_000) & (speed.utc_us < to_us)
    return float(speed.values[inside].max())


SILENT = Rule("silent", "no_data", "Silent", "Muette", for_ms=2000, off_delay_ms=0)


def other(frames: FrameColumns) -> FrameColumns:
    """The same under an id that no rule looks at."""
    ids = np.full(len(frames), 17, np.uint32)
    return FrameColumns(frames.t_us, frames.bus, ids, frames.flags, frames.length, frames.payload)


def test_the_car_is_silent_only_where_no_frame_of_any_kind_came(tmp_path: Path):
    folder = Folder(tmp_path / "data")
    looked_at = frames((3, 50), (4, 50), (20, 61), (30, 50))
    others = other(frames(*((t_s, 0) for t_s in (0, 1.5, 5.5, 7, 8.5, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 35))))
    both = FrameColumns.concatenate([looked_at, others])
    folder.add("fs", [(both.take(np.argsort(both.t_us, kind="stable")), UTC_US)], {0: ("main", DBC)})
    with ved.open(folder.path) as lake:
        for rules in ([HOT, SILENT], [SILENT]):
            check = lake.check_alarms(lake.sessions("fs")[0], rules)
            silent = [one for one in check.alarms if one.rule == SILENT]
            told = [(one.utc_raised_us - UTC_US, one.utc_cleared_us - UTC_US) for one in silent]
            assert told == [(10_500_000, 19_000_000), (33_000_000, 35_000_000)]


def test_files_that_overlap_and_cuts_anywhere_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dice = np.random.default_rng(3)
    t_s = np.cumsum(dice.choice([0.01, 0.02, 0.5, 3.0], 400, p=[0.5, 0.3, 0.19, 0.01]))
    drive = frames(*zip(t_s.tolist(), dice.choice([50.0, 59.0, 61.0, 70.0], 400).tolist(), strict=True))
    is_other = dice.random(400) < 0.4
    drive = FrameColumns(
        drive.t_us, drive.bus, np.where(is_other, 17, 16).astype(np.uint32), drive.flags, drive.length, drive.payload
    )
    quiet = Rule("quiet", "no_data", "Quiet", "Calme", channel="Cell.Temperature", for_ms=400)
    frozen = Rule("frozen", "not_plausible", "f", "f", channel="Cell.Temperature", frozen_ms=300)
    rules = [HOT, SILENT, quiet, frozen]
    whole, cut = Folder(tmp_path / "whole"), tmp_path / "cut"
    whole.add("fs", [(drive, UTC_US)], {0: ("main", DBC)})
    shutil.copytree(whole.path, cut)
    shutil.rmtree(cut / "lake")
    lake = Lake(str(cut / "lake"))
    epoch = (1).to_bytes(16, "big")
    # What came late fills holes in files that were there before.
    for first, last in ((1, 60), (100, 130), (300, 350), (61, 99), (131, 299), (351, 400)):
        lake.append([FrameBatch("fs", epoch, first, drive.take(slice(first - 1, last)))])
    with ved.open(whole.path) as opened:
        expected = opened.check_alarms(opened.sessions("fs")[0], rules).alarms
    monkeypatch.setattr(alarmreading, "_BLOCK_ROWS", 50)
    with ved.open(cut) as opened:
        assert repr(opened.check_alarms(opened.sessions("fs")[0], rules).alarms) == repr(expected)
    assert {one.rule.id for one in expected} == {rule.id for rule in rules}


def test_rules_over_samples_that_never_were_frames(folder: Folder):
    epoch, channel = b"samples" + bytes(9), SampleChannel("weather.wind", "m/s")
    columns = SampleColumns(np.arange(5) * 1_000_000, np.zeros(5, np.uint16), np.array([3.0, 9.0, 12.0, 4.0, 3.0]))
    folder.lake.samples.append([SampleBatch("fs", epoch, 1, (channel,), columns)])
    note_clock(folder.db, Clock("fs", epoch, 1, 0, UTC_US + 500_000, ClockSource.SERVER, 0))
    wind = Rule("wind", "above", "Wind", "Vent", channel="weather.wind", limit=8.0, off_delay_ms=0)
    unknown = Rule("unknown", "above", "?", "?", channel="weather.rain", limit=8.0)
    with ved.open(folder.path) as lake:
        check = lake.check_alarms(lake.sessions("fs")[0], [HOT, wind, unknown])
    assert [one.rule.id for one in check.alarms] == ["hot", "wind"]
    found = check.alarms[1]
    assert (found.utc_raised_us - UTC_US, found.utc_cleared_us - UTC_US) == (1_500_000, 3_500_000)
    assert (found.value, found.worst) == (9.0, 12.0)
    assert list(check.idle) == ["unknown"]
