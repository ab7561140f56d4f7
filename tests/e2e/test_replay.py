"""Recordings through the whole system, from files to the lake, as a person would do it."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ved.canbus.replay import ReplaySource
from ved.lake.lake import Lake
from ved.model.frames import FrameColumns

DRIVE = Path(__file__).parent.parent / "data" / "canedge-gps"
PARTS = Path(__file__).parent.parent / "data" / "canedge-gnss-two-parts"
FRAMES = 65_296


def recorded(*paths: Path) -> FrameColumns:
    source = ReplaySource(paths, speed=0)
    source.open(0)
    chunks = []
    while (chunk := source.read(0.1)) is not None:
        chunks.append(chunk)
    return FrameColumns.concatenate(chunks)


def stored(data: Path, vehicle: str) -> list[FrameColumns]:
    lake = Lake(str(data / "lake"))
    return [lake.frames(vehicle, epoch) for name, epoch in lake.epochs() if name == vehicle]


def in_one_order(frames: FrameColumns) -> FrameColumns:
    return frames.take(np.lexsort((*frames.payload.T, frames.arbitration_id, frames.bus, frames.t_us)))


def test_a_recording_is_in_the_lake_byte_for_byte(ved):
    done = ved.run("replay", str(DRIVE / "drive-9min.MF4"), "--dbc", str(DRIVE / "canmod-gps.dbc"), "--speed", "max",
                   "--data", str(ved.data))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "65,296 frames are in the lake" in done.stdout
    stats = ved.stats()
    assert (stats["frames"], stats["vehicles"], stats["sessions"]) == (FRAMES, 1, 1)
    assert all(isinstance(value, int) for value in stats.values())
    (frames,) = stored(ved.data, "replay")
    truth = recorded(DRIVE / "drive-9min.MF4")
    assert len(truth) == FRAMES
    assert in_one_order(frames).equals(in_one_order(truth))


def test_two_parts_are_one_session_and_each_replay_is_an_epoch(ved):
    command = ["replay", str(PARTS / "part-1.MF4"), str(PARTS / "part-2.MF4"), "--dbc", str(PARTS / "gnss.dbc"),
               "--vehicle", "van", "--speed", "max", "--data", str(ved.data)]  # fmt: skip
    for _ in range(2):
        done = ved.run(*command)
        assert done.returncode == 0, done.stderr
    stats = ved.stats()
    assert (stats["frames"], stats["sessions"], stats["vehicles"]) == (2 * (4_024 + 3_587), 2, 1)
    assert len(stored(ved.data, "van")) == 2


def test_a_simulated_drive_goes_through_a_candump_file_and_decodes(ved, tmp_path: Path):
    log = tmp_path / "drive.log"
    assert ved.run("simulate", "fs", "--speed", "max", "--minutes", "0.2", "--out", str(log)).returncode == 0
    done = ved.run("replay", str(log), "--vehicle", "fs", "--speed", "max", "--data", str(ved.data))
    assert done.returncode == 0, done.stderr
    stats = ved.stats()
    assert stats["frames"] == len(recorded(log)) == len(log.read_text().splitlines())
    assert stats["channels"] > 300  # decoded under the vehicle's own DBCs, bus by bus


def test_a_truncated_log_stores_what_was_readable_and_says_the_rest(ved, tmp_path: Path):
    whole = (DRIVE / "drive-9min.MF4").read_bytes()
    cut = tmp_path / "cut.MF4"
    cut.write_bytes(whole[: len(whole) // 2])
    done = ved.run("replay", str(cut), "--speed", "max", "--data", str(ved.data))
    assert done.returncode == 0, done.stderr
    assert "cut.MF4" in done.stderr
    assert "Traceback" not in done.stderr
    assert 0 < ved.stats()["frames"] < FRAMES


def test_a_running_server_takes_the_replay_and_a_far_one_wants_a_key(ved, tmp_path: Path, eventually: Callable):
    with ved.serving():
        done = ved.run("replay", str(PARTS / "part-1.MF4"), "--speed", "max", "--data", str(ved.data))
        assert done.returncode == 0, done.stderr
        assert ved.stats()["frames"] == 4_024

        # the same server, as a far one: with an enrolment code, and the DBC of the replay's own epoch
        link_url = json.loads((ved.data / "run" / "server.json").read_text())["link_url"]
        away = ["--server", link_url, "--state", str(tmp_path / "car")]
        command = ["replay", str(PARTS / "part-2.MF4"), "--dbc", str(PARTS / "gnss.dbc"), "--vehicle", "far",
                   "--speed", "max", *away]  # fmt: skip
        refused = ved.run(*command)
        assert refused.returncode == 2
        assert "ved agent enrol" in refused.stderr
        code = ved.run("keys", "code", "far", "--data", str(ved.data)).stdout.strip()
        assert ved.run("agent", "enrol", *away, "--code", code).returncode == 0
        again = ved.run("agent", "enrol", *away, "--code", code)
        assert again.returncode == 2, "a code works once"
        done = ved.run(*command)
        assert done.returncode == 0, done.stderr
        eventually(lambda: ved.stats()["frames"] == 4_024 + 3_587, "the far replay is in the lake")
        assert ved.stats()["vehicles"] == 2


def test_the_same_file_twice_in_a_row_is_one_epoch(ved):
    part = str(PARTS / "part-1.MF4")
    done = ved.run("replay", part, part, "--speed", "max", "--data", str(ved.data))
    assert done.returncode == 0, done.stderr
    assert ved.stats()["frames"] == 2 * 4_024
    with sqlite3.connect(ved.data / "db.sqlite") as db:
        assert db.execute("select count(*) from epochs").fetchone() == (1,)


def test_a_faster_pace_stores_the_same(ved):
    done = ved.run("replay", str(PARTS / "part-1.MF4"), "--speed", "20", "--data", str(ved.data))
    assert done.returncode == 0, done.stderr
    assert ved.stats()["frames"] == 4_024
