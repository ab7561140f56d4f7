"""The table of samples: stored once, read channel by channel, described in the log, open to outside readers."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ved.lake import log, table
from ved.lake.lake import Lake
from ved.lake.samplerows import SampleWhere
from ved.model.intervals import Intervals
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

EPOCH = bytes(range(16))
ALL = SampleWhere()
CHANNELS = (
    SampleChannel("pack.temperature", "°C"),
    SampleChannel("record.is_storing", "", "discrete"),
    SampleChannel("a.b", "m"),
)


def batch(first: int, count: int, vehicle: str = "fs", epoch: bytes = EPOCH) -> SampleBatch:
    """Sample k has time 1000 k, channel k % 3, value k / 4 (or NaN)."""
    seq = np.arange(first, first + count)
    value = seq / 4
    value[seq % 50 == 0] = np.nan
    return SampleBatch(vehicle, epoch, first, CHANNELS, SampleColumns(seq * 1000, (seq % 3).astype(np.uint16), value))


def stored(lake: Lake, where: SampleWhere = ALL) -> list[tuple[int, int, str, float]]:
    rows = lake.samples.all_parts("fs", EPOCH, where)
    names = [rows.channels[number].name for number in rows.channel.tolist()]
    return sorted(
        zip(rows.seq.tolist(), rows.t_us.tolist(), names, rows.value.tolist(), strict=True), key=lambda r: r[0]
    )


def expected(first: int, last: int) -> list[tuple[int, int, str, float]]:
    one = batch(first, last - first + 1).samples
    names = [CHANNELS[number].name for number in one.channel.tolist()]
    return list(zip(range(first, last + 1), one.t_us.tolist(), names, one.value.tolist(), strict=True))


def same(found: object, wanted: object) -> bool:
    return repr(found) == repr(wanted)  # NaN is NaN


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def test_overlapping_batches_are_stored_once_and_a_merge_changes_nothing(url: str) -> None:
    lake = Lake(url)
    assert lake.samples.append([batch(1, 400), batch(301, 200)]).new == 500
    result = lake.samples.append([batch(450, 351), batch(1, 10)])
    assert (result.new, result.duplicates) == (300, 61)
    again = Lake.existing(url)
    assert again.samples.append([batch(1, 1000)]).new == 200
    for _ in ("appended", "merged"):
        assert same(stored(again), expected(1, 1000))
        assert again.samples.intervals("fs", EPOCH) == Intervals([(1, 1000)])
        assert again.stats().samples == 1000
        again.compact()
    assert len(again.samples.files()) == 1
    assert again.epochs() == []  # the frames are another table


def test_one_channel_and_one_time_are_read_alone(url: str) -> None:
    lake = Lake(url)
    lake.samples.append([batch(1, 65_536), batch(65_537, 65_536)])
    lake.compact()
    found = stored(lake, SampleWhere(("a.b",), 1_000_000, 2_000_000))
    assert same(found, [row for row in expected(1000, 1999) if row[2] == "a.b"])
    assert stored(lake, SampleWhere(("nobody",))) == []
    file = lake.samples.files()[0]
    groups = duckdb.sql(
        "select distinct row_group_id, stats_min_value, stats_max_value "
        f"from parquet_metadata('{url}/samples/{file.path}') where path_in_schema = 'channel'"
    ).fetchall()
    assert len(groups) == 3
    assert all(low == high for _, low, high in groups)


def test_channels_are_described_in_the_log_the_newest_holds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SNAPSHOT_EVERY", 3)
    lake = Lake(url)
    lake.samples.append([batch(1, 9)])
    other = (SampleChannel("a.b", "km", "discrete"), SampleChannel("new"))
    one = SampleColumns(np.array([1]), np.array([0], np.uint16), np.array([2.0]))
    lake.samples.append([SampleBatch("fs", bytes(16), 1, other, one)])
    lake.samples.append([batch(10, 9, "pe")])
    for number in range(4):
        lake.samples.append([SampleBatch("fs", bytes(16), 2 + number, other[1:], one)])
    for seen in (lake, Lake(url)):
        assert {one.name: (one.unit, one.kind) for one in seen.samples.channels("fs")} == {
            "pack.temperature": ("°C", "continuous"),
            "record.is_storing": ("", "discrete"),
            "a.b": ("km", "discrete"),
            "new": ("", "continuous"),
        }
        assert len(seen.samples.channels("pe")) == 3
    told = [json.loads(line) for line in (Path(url) / "samples" / log.commit_path(4)).read_text().splitlines()]
    assert "channels" not in next(line["commitInfo"]["ved"] for line in told if "commitInfo" in line)


def test_outside_readers_see_the_samples(url: str) -> None:
    lake = Lake(url)
    lake.samples.append([batch(1, 300)])
    found = duckdb.sql(
        f"select seq, t_us, channel, value from read_parquet('{url}/samples/**/*.parquet') "
        "where not isnan(value) order by seq"
    ).fetchall()
    assert found == [row for row in expected(1, 300) if row[3] == row[3]]


def test_intervals_and_channels_come_back_from_the_files(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SNAPSHOT_EVERY", 1)
    lake = Lake(url)
    lake.samples.append([batch(1, 100), batch(201, 100)])
    assert lake.samples.checkpoint()
    commit = Path(url) / "samples" / log.commit_path(1)
    commit.unlink()
    again = Lake(url)
    assert again.samples.intervals("fs", EPOCH).runs() == [(1, 100), (201, 300)]
    assert {one.name for one in again.samples.channels("fs")} == {one.name for one in CHANNELS}
    assert again.samples.append([batch(1, 300)]).new == 100


def test_a_broken_file_is_named_and_set_aside(url: str) -> None:
    lake = Lake(url)
    lake.samples.append([batch(1, 100)])
    victim = Path(url) / "samples" / lake.samples.files()[0].path
    lake.samples.append([batch(101, 100)])
    victim.write_bytes(victim.read_bytes()[:-20])
    again = Lake(url)
    assert same(stored(again), expected(101, 200))
    assert list(again.broken_files()) == [f"samples/{victim.relative_to(Path(url) / 'samples')}"]
