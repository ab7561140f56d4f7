"""One contract for the lake, one suite: on a folder and on a real S3 API."""

import errno
import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from tests.integration.lake_helpers import EPOCH, batch, make_frames, stored
from tests.integration.s3_server import s3
from tests.integration.test_lake_samples import batch as samples
from tests.integration.test_lake_samples import expected, same
from tests.integration.test_lake_samples import stored as stored_samples

from ved.errors import StorageError, UserError
from ved.lake import reading, store, table
from ved.lake.lake import Lake
from ved.lake.reading import FrameKey, Where
from ved.model.intervals import Intervals


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3("season") as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the lake is: what a person writes as `lake_url`."""
    if request.param == "folder":
        return str(tmp_path / "lake")
    request.getfixturevalue("endpoint")
    return f"s3://season/{uuid.uuid4().hex}/lake"


def test_frames_are_stored_once_found_again_and_read_by_others(url: str) -> None:
    frames = make_frames(3000, width=64)
    lake = Lake(url)
    assert lake.version == -1
    with pytest.raises(UserError, match="no lake there"):
        Lake.existing(url)
    assert lake.append([batch(frames, 1, 1000), batch(frames, 501, 1500)]).new == 1500
    again = Lake.existing(url)
    result = again.append([batch(frames, 1, 3000)])
    assert (result.new, result.duplicates) == (1500, 1500)
    assert lake.refresh()
    for one in (lake, again):
        seqs, columns = stored(one)
        assert seqs == list(range(1, 3001))
        assert columns.equals(frames)
        assert one.intervals("fs", EPOCH) == Intervals([(1, 3000)])
    assert deltalake.DeltaTable(f"{url}/frames").version() == 2
    found = pl.read_delta(f"{url}/frames").sort("seq")
    assert found["seq"].to_list() == list(range(1, 3001))
    assert found["t_us"].to_list() == frames.t_us.tolist()


def test_one_id_and_one_time_are_read(url: str) -> None:
    frames = make_frames(2000)
    lake = Lake(url)
    lake.append([batch(frames, 1, 2000)])
    rows = lake.rows("fs", EPOCH, Where((FrameKey(0x123, 1),), t_from_us=50_000, t_to_us=200_000)).frames
    mask = (frames.arbitration_id == 0x123) & (frames.bus == 1) & (frames.t_us >= 50_000) & (frames.t_us < 200_000)
    assert rows.equals(frames.take(mask))


def test_a_merge_changes_nothing_and_its_leftovers_go(url: str) -> None:
    frames = make_frames(1000)
    lake = Lake(url)
    for first in range(1, 1000, 100):
        lake.append([batch(frames, first, first + 99)])
    assert lake.compact() == 10
    assert lake.compact() == 0
    assert stored(lake)[1].equals(frames)
    assert lake.vacuum(0.0) == 10
    assert lake.vacuum(0.0) == 0
    again = Lake(url)
    assert (again.stats().files, again.stats().frames) == (1, 1000)
    assert stored(again)[1].equals(frames)


def test_samples_are_a_table_of_the_same_kind(url: str) -> None:
    lake = Lake(url)
    lake.samples.append([samples(1, 300)])
    assert lake.samples.append([samples(200, 201)]).new == 100
    lake.compact()
    again = Lake.existing(url)
    assert same(stored_samples(again), expected(1, 400))
    assert {one.name for one in again.samples.channels("fs")} == {"pack.temperature", "record.is_storing", "a.b"}


def test_two_writers_and_a_merger_at_once_double_and_lose_nothing(url: str) -> None:
    frames = make_frames(1200)
    lakes = [Lake(url), Lake(url)]
    lakes[0].append([batch(frames, 1, 1)])

    def write(lake: Lake, order: list[int]) -> None:
        for number in order:
            lake.append([batch(frames, number * 50 + 1, number * 50 + 80 if number < 23 else 1200)])
            if number % 6 == 0:
                lake.compact()

    threads = [
        threading.Thread(target=write, args=(lakes[0], list(range(24)))),
        threading.Thread(target=write, args=(lakes[1], list(reversed(range(24))))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seqs, columns = stored(Lake(url))
    assert seqs == list(range(1, 1201))
    assert columns.equals(frames)


def test_a_start_after_many_commits_knows_what_is_stored(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SNAPSHOT_EVERY", 5)
    frames = make_frames(130)
    lake = Lake(url)
    for first in range(1, 130, 10):
        lake.append([batch(frames, first, first + 9)])
    assert Lake(url).intervals("fs", EPOCH) == Intervals([(1, 130)])
    assert Lake(url).append([batch(frames, 1, 130)]).new == 0


def test_a_file_that_cannot_be_read_is_named_and_the_rest_reads(url: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = make_frames(300)
    lake = Lake(url)
    lake.append([batch(frames, 1, 100)])
    (victim,) = lake.live_paths()
    lake.append([batch(frames, 101, 300)])
    lake.frame_rows._store.delete(victim)
    again = Lake(url)
    with caplog.at_level(logging.ERROR):
        assert stored(again)[0] == list(range(101, 301))
    assert victim in caplog.text
    assert list(again.broken_files()) == [f"frames/{victim}"]


def test_a_killed_writer_leaves_a_lake_that_goes_on(url: str) -> None:
    """A process that is killed at some point of append and merge, several times; then everything comes again."""
    program = (
        "import sys; from tests.integration.lake_helpers import batch, make_frames; from ved.lake.lake import Lake\n"
        "lake = Lake.for_writing(sys.argv[1]); frames = make_frames(4000); print('go', flush=True)\n"
        "for first in range(1, 4000, 100):\n"
        "    lake.append([batch(frames, first, first + 99)]); print(first, flush=True)\n"
        "    if first % 500 == 1: lake.compact()\n"
    )
    for lines in (3, 14):
        process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, env=dict(os.environ))
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    frames = make_frames(4000)
    lake = Lake.for_writing(url)
    before = lake.intervals("fs", EPOCH).count()
    assert before >= 1000
    assert lake.append([batch(frames, 1, 4000)]).new == 4000 - before
    lake.compact()
    lake.vacuum(0.0)
    seqs, columns = stored(lake)
    assert seqs == list(range(1, 4001))
    assert columns.equals(frames)


def test_an_s3_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="cannot read the lake's log at s3://season/lake/frames") as raised:
        Lake("s3://season/lake")
    assert "\n" not in str(raised.value)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="give a folder or s3://"):
        Lake("ftp://somewhere")


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), OSError("Generic S3 error"), MemoryError("malloc")]
)
def test_a_file_that_cannot_be_read_for_now_is_no_broken_file(
    url: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = make_frames(2000)
    Lake(url).append([batch(frames, 1, 1000)])
    lake = Lake(url)
    lake.append([batch(frames, 1001, 2000)])
    with monkeypatch.context() as patch:
        if isinstance(error, MemoryError):
            patch.setattr(reading.FrameFormat, "read", mock.Mock(side_effect=pa.ArrowMemoryError("malloc")))
        else:
            patch.setattr(type(lake.frame_rows._store), "open", mock.Mock(side_effect=error))
        for read in (lambda: stored(lake), lake.compact, lambda: lake.frame_rows.check(lake.frame_rows.files()[0])):
            with pytest.raises(StorageError, match=r"cannot read .*parquet"):
                read()
    assert lake.broken_files() == {}
    assert stored(lake)[1].equals(frames)


def test_one_failed_answer_of_the_store_is_asked_for_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = make_frames(500)
    Lake(url).append([batch(frames, 1, 500)])
    lake = Lake(url)
    real, failed = type(lake.frame_rows._store).open, []

    def once(self: store.Store, path: str) -> pa.NativeFile:
        if not failed:
            failed.append(path)
            raise OSError("Generic S3 error")
        return real(self, path)

    monkeypatch.setattr(type(lake.frame_rows._store), "open", once)
    assert stored(lake)[1].equals(frames)
    assert failed
    assert lake.broken_files() == {}


def test_an_object_store_that_is_away_is_a_storage_error_everywhere() -> None:
    frames = make_frames(200)
    with s3("away"):
        lake = Lake("s3://away/lake")
        lake.append([batch(frames, 1, 100)])
        committer = lake.frame_rows._table._committer
    for call in (
        lambda: list(lake.frame_rows._store.walk()),
        lambda: lake.vacuum(0.0),
        lake.frame_rows.orphans,
        lambda: committer.commit(lake.version + 1, [], {}),
        lambda: lake.append([batch(frames, 101, 200)]),
        lambda: stored(lake),
    ):
        with pytest.raises(StorageError, match="s3://away/lake"):
            call()
    assert lake.broken_files() == {}
