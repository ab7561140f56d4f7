"""`ved import` as a person would do it: several formats, folders, damage, twice."""

from pathlib import Path

import numpy as np
import pytest

from ved.canbus.replay import ReplaySource
from ved.lake.lake import Lake
from ved.logfiles.candump import write_candump
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns

DATA = Path(__file__).parent.parent / "data"
DRIVE = DATA / "canedge-gps"
PART = DATA / "canedge-gnss-two-parts" / "part-1.MF4"
PART_FRAMES = 4024


@pytest.mark.slow
def test_files_folders_and_damaged_ones_each_content_once(ved, tmp_path: Path):
    season = tmp_path / "season"
    season.mkdir()
    log = open_log(PART)
    frames = FrameColumns.concatenate(list(log.chunks()))
    write_candump(season / "run.log", iter([frames]), log.start_utc_us, log.buses)
    text = (season / "run.log").read_text()
    (season / "copy.log").write_text(text)
    lines = text.splitlines(keepends=True)
    (season / "cut.log").write_text("".join(lines[:1000]) + "(17000")
    (season / "junk.log").write_text("no frame at all\n")
    data = ["--data", str(ved.data), "--vehicle", "car"]
    done = ved.run("import", str(season), "--dbc", str(DRIVE / "canmod-gps.dbc"), *data)
    assert done.returncode == 2, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert said[str(season / "copy.log")].startswith("4,024 frames are in the lake")
    assert said[str(season / "run.log")].startswith(f"has the same content as {season / 'copy.log'}")
    assert said[str(season / "cut.log")].startswith("1,000 frames are in the lake")
    assert "cut.log" in done.stderr
    assert "junk.log: no line is a frame" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("(1 of 4 files could not be imported)")
    lake = Lake(str(ved.data / "lake"))
    assert sorted(lake.intervals(*key).count() for key in lake.epochs()) == [1000, PART_FRAMES]
    whole = next(key for key in lake.epochs() if lake.intervals(*key).count() == PART_FRAMES)
    source = ReplaySource((PART,), 0)
    truth = FrameColumns.concatenate(list(source.one_round()))
    assert np.array_equal(
        lake.rows(*whole).frames.arbitration_id, truth.arbitration_id[np.argsort(truth.t_us, kind="stable")]
    )

    again = ved.run("import", str(season / "run.log"), str(season / "c*.log"), *data)
    assert again.returncode == 0, again.stderr
    assert [line.split(": ")[1].split(" (")[0] for line in again.stdout.splitlines()] == ["is in the lake already"] * 3
    assert ved.stats()["frames"] == 1000 + PART_FRAMES


def test_bad_input_is_one_clear_line(ved, tmp_path: Path):
    for arguments, said in (
        (["missing.log"], "missing.log: no such file"),
        (["a.log", "--vehicle", "No Name"], "a name has 1 to 32 small letters"),
    ):
        done = ved.run("import", *arguments, "--data", str(ved.data), cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
