"""The lake after crashes, full disks, broken files, other tools."""

import errno
import os
from pathlib import Path

import deltalake
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.integration.lake_helpers import EPOCH, batch, make_frames, stored

from ved.errors import StorageError, UserError
from ved.lake import log, store, table
from ved.lake.lake import Lake
from ved.model.intervals import Intervals


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def test_a_crash_between_file_and_commit_leaves_an_orphan_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = make_frames(300)
    lake = Lake(url)
    lake.append([batch(frames, 1, 100)])

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(table.LakeTable, "_commit", die)
        with pytest.raises(Killed):
            lake.append([batch(frames, 101, 200)])
    assert len(list(Path(url).rglob("*.parquet"))) == 2
    again = Lake(url)
    assert again.stats().frames == 100
    assert again.append([batch(frames, 101, 300)]).new == 200
    assert stored(again)[1].equals(frames)
    assert again.vacuum(3600.0) == 0
    assert again.vacuum(0.0) == 1
    assert stored(again)[1].equals(frames)


def test_a_full_disk_is_a_storage_error_and_the_same_call_works_later(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = make_frames(100)
    lake = Lake(url)
    lake.append([batch(frames, 1, 50)])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            lake.append([batch(frames, 1, 100)])
    assert len(list(Path(url).rglob("*.parquet"))) == 1
    assert lake.append([batch(frames, 1, 100)]).new == 50
    assert stored(Lake(url))[1].equals(frames)


def test_a_commit_that_was_not_synced_counts_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit landed but its sync failed: the caller hears an error, tries again, and nothing is doubled."""
    frames = make_frames(100)
    lake = Lake(url)
    lake.append([batch(frames, 1, 50)])
    with monkeypatch.context() as patch:
        real = store._sync_folder

        def refuse(folder: Path) -> None:
            if folder.name == "_delta_log":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(folder)

        patch.setattr(store, "_sync_folder", refuse)
        with pytest.raises(StorageError):
            lake.append([batch(frames, 1, 100)])
    assert lake.append([batch(frames, 1, 100)]).new in (0, 50)
    assert stored(Lake(url))[0] == list(range(1, 101))


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "missing", "garbage"])
def test_a_broken_file_is_set_aside_and_the_rest_reads(url: str, damage: str) -> None:
    frames = make_frames(3000)
    lake = Lake(url)
    lake.append([batch(frames, 1, 1000)])
    (victim,) = Path(url).rglob("*.parquet")
    lake.append([batch(frames, 1001, 2000)])
    data = victim.read_bytes()
    middle = len(data) // 2
    broken = {
        "flipped": data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 50]) + data[middle + 50 :],
        "cut": data[:middle],
        "empty": b"",
        "garbage": b"PAR1" + os.urandom(len(data) - 8) + b"PAR1",
    }
    victim.unlink()
    if damage != "missing":
        victim.write_bytes(broken[damage])
    lake = Lake(url)
    assert stored(lake)[0] == list(range(1001, 2001))
    assert lake.stats().broken_files == 1
    assert list(lake.broken_files()) == [str(victim.relative_to(url))]
    lake.append([batch(frames, 2001, 3000)])
    assert lake.compact() == 2
    assert stored(lake)[0] == list(range(1001, 3001))
    assert lake.intervals("fs", EPOCH) == Intervals([(1, 3000)]), "the log still says that they were stored"


def test_merging_over_a_broken_file_leaves_it_in_place(url: str) -> None:
    frames = make_frames(300)
    lake = Lake(url)
    lake.append([batch(frames, 1, 100)])
    (victim,) = Path(url).rglob("*.parquet")
    lake.append([batch(frames, 101, 200)])
    victim.write_bytes(b"nothing")
    assert Lake(url).compact() == 0
    assert victim.exists()
    assert Lake(url).stats().files == 2


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no lake there"):
        Lake.existing(str(tmp_path / "none"))
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="not a lake"):
        Lake(str(tmp_path))
    with pytest.raises(UserError, match="not a lake"):
        Lake.for_writing(str(tmp_path))
    other = tmp_path / "other"
    deltalake.write_deltalake(str(other / "frames"), pl.DataFrame({"a": [1]}).to_arrow())
    with pytest.raises(UserError, match="not a lake of ved"):
        Lake(str(other))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError):
        Lake(str(tmp_path / "file"))
    with pytest.raises(UserError, match="s3://"):
        Lake("ftp://host/x")


def test_intervals_come_back_from_the_files_when_the_log_lost_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = make_frames(200)
    lake = Lake(url)
    lake.append([batch(frames, 1, 50)])
    lake.append([batch(frames, 91, 120), batch(frames, 1, 10, "pe")])
    delta = deltalake.DeltaTable(f"{url}/frames")
    delta.optimize.compact()
    delta.create_checkpoint()
    for version in range(delta.version()):
        (Path(url) / "frames" / log.commit_path(version)).unlink()
    again = Lake(url)
    assert again.intervals("fs", EPOCH) == Intervals([(1, 50), (91, 120)])
    assert again.intervals("pe", EPOCH) == Intervals([(1, 10)])
    assert again.append([batch(frames, 1, 200)]).new == 120
    read: list[str] = []
    original = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *a, **k: read.append("") or original(*a, **k))
    assert Lake(url).intervals("fs", EPOCH) == Intervals([(1, 200)])
    assert read == [], "the first commit after the loss carries all intervals"


@pytest.mark.parametrize("rest", [0.0, 0.5, "zeros"])
@pytest.mark.parametrize("commits", [0, 2])
def test_a_power_cut_in_the_newest_commit_is_mended(url: str, rest: float | str, commits: int) -> None:
    frames = make_frames(100)
    lake = Lake(url)
    if commits:
        lake.append([batch(frames, 1, 50)])
        lake.append([batch(frames, 51, 70)])
    else:
        lake.frame_rows._table.create()
    newest = max((Path(url) / "frames" / "_delta_log").glob("*.json"))
    data = newest.read_bytes()
    newest.write_bytes(b"\0" * len(data) if rest == "zeros" else data[: int(len(data) * float(rest))])
    again = Lake.for_writing(url)
    assert again.stats().frames == (50 if commits else 0)
    again.append([batch(frames, 1, 100)])
    assert stored(Lake(url))[1].equals(frames)


def test_another_tools_optimize_does_no_harm(url: str) -> None:
    frames = make_frames(500)
    lake = Lake(url)
    for first in range(1, 500, 100):
        lake.append([batch(frames, first, first + 99)])
    deltalake.DeltaTable(f"{url}/frames").optimize.compact()
    lake.refresh()
    assert lake.stats().files == 1
    assert lake.stats().frames == 500
    for one in (lake, Lake(url)):
        assert stored(one)[1].equals(frames)
        assert one.append([batch(frames, 1, 500)]).new == 0


def test_a_folder_without_hard_links(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(store.os, "link", no_links)
    frames = make_frames(100)
    one, two = Lake(url), Lake(url)
    one.append([batch(frames, 1, 50)])
    two.append([batch(frames, 1, 100)])
    assert one.append([batch(frames, 1, 100)]).new == 0
    assert one.compact() == 2
    assert stored(Lake.existing(url))[1].equals(frames)
    names = [file.name for file in (Path(url) / "frames" / "_delta_log").iterdir()]
    assert sorted(names) == [Path(log.commit_path(version)).name for version in range(4)]
