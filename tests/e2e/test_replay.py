"""Recordings through the whole system, from files to the lake, as a person would do it."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

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


def replay(served, *arguments: str) -> None:
    done = served.ved.run("replay", *arguments, "--speed", "max", "--data", str(served.ved.data))
    assert done.returncode == 0, done.stderr


def frame_counts(served, vehicle: str) -> list[int]:
    return sorted(len(frames) for frames in stored(served.ved.data, vehicle))


def sessions(served, vehicle: str) -> int:
    with closing(sqlite3.connect(served.ved.data / "db.sqlite")) as db:
        return db.execute("select count(*) from sessions where vehicle = ?", [vehicle]).fetchone()[0]


@pytest.mark.slow
def test_two_parts_are_one_session_and_each_replay_is_an_epoch(served):
    parts = [str(PARTS / "part-1.MF4"), str(PARTS / "part-2.MF4"), "--dbc", str(PARTS / "gnss.dbc"), "--vehicle", "van"]
    for _ in range(2):
        replay(served, *parts)
    assert frame_counts(served, "van") == [4_024 + 3_587] * 2
    assert sessions(served, "van") == 2


def test_a_simulated_drive_goes_through_a_candump_file_and_decodes(served, tmp_path: Path):
    log = tmp_path / "drive.log"
    simulated = served.ved.run("simulate", "fs", "--speed", "max", "--minutes", "0.2", "--out", str(log))
    assert simulated.returncode == 0, simulated.stderr
    replay(served, str(log), "--vehicle", "fs")
    assert len(log.read_text().splitlines()) in frame_counts(served, "fs")
    assert served.ved.stats()["channels"] > 300  # decoded under the vehicle's own DBCs, bus by bus


def test_a_truncated_log_stores_what_was_readable_and_says_the_rest(served, tmp_path: Path):
    whole = (DRIVE / "drive-9min.MF4").read_bytes()
    cut = tmp_path / "cut.MF4"
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    done = served.ved.run("replay", str(cut), "--speed", "max", "--vehicle", "cut", "--data", str(served.ved.data))
    assert done.returncode == 0, done.stderr
    assert "cut.MF4" in done.stderr
    assert "Traceback" not in done.stderr
    (count,) = frame_counts(served, "cut")
    assert 0 < count < FRAMES


def test_a_far_server_wants_a_key(served, tmp_path: Path, eventually: Callable):
    link_url = json.loads((served.ved.data / "run" / "server.json").read_text())["link_url"]
    away = ["--server", link_url, "--state", str(tmp_path / "car")]
    command = ["replay", str(PARTS / "part-2.MF4"), "--dbc", str(PARTS / "gnss.dbc"), "--vehicle", "far",
               "--speed", "max", *away]  # fmt: skip
    refused = served.ved.run(*command)
    assert refused.returncode == 2
    assert "ved agent enrol" in refused.stderr
    code = served.ved.run("keys", "code", "far", "--data", str(served.ved.data)).stdout.strip()
    assert served.ved.run("agent", "enrol", *away, "--code", code).returncode == 0
    again = served.ved.run("agent", "enrol", *away, "--code", code)
    assert again.returncode == 2, "a code works once"
    done = served.ved.run(*command)
    assert done.returncode == 0, done.stderr
    eventually(lambda: frame_counts(served, "far") == [3_587], "the far replay is in the lake")


@pytest.mark.slow
def test_the_same_file_twice_in_a_row_is_one_epoch_at_a_pace_too(served):
    part = str(PARTS / "part-1.MF4")
    done = served.ved.run("replay", part, part, "--vehicle", "twice", "--speed", "60", "--data", str(served.ved.data))
    assert done.returncode == 0, done.stderr
    assert frame_counts(served, "twice") == [2 * 4_024]
