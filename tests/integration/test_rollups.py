"""Rollups give the very same overview as the samples, fit the DBC, the clock and the frames, and may go at any time."""

import errno
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.recorded_helpers import Folder, add_drive
from tests.integration.test_api_sql import DBC, START_US, frames

import ved
from ved.analysis.rollup import Rollup, combine, roll
from ved.api import history as history_module
from ved.api.history import History
from ved.db.epochs import note_clock
from ved.dbc.decode import Decoder
from ved.errors import StorageError
from ved.lake.lake import Lake
from ved.lake.rollups import ROLLUP_US, Rollups
from ved.lake.store import LocalStore
from ved.model.frames import FrameBatch
from ved.model.records import Clock, ClockSource
from ved.record.rolling import make_rollups

CHANNELS = ["Motor.speed", "Motor.temp", "Cells.one", "Other.x", "Nobody.x"]


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.one_of(st.integers(-9, 9), st.just(float("nan")))), max_size=60),
    st.integers(1, 7),
    st.integers(0, 60),
)
@settings(max_examples=150, deadline=None)
def test_a_rollup_of_rollups_is_the_rollup_of_the_samples(rows, factor, cut):
    rows = sorted(rows, key=lambda row: row[0])
    t_us = np.array([t for t, _ in rows], np.int64)
    values = np.array([value for _, value in rows], np.float64)
    whole = roll(t_us, values, 3 * factor)
    finer = roll(t_us[:cut], values[:cut], 3), roll(t_us[cut:], values[cut:], 3)
    again = combine(finer, 3 * factor)
    for name in Rollup.__slots__:
        np.testing.assert_allclose(getattr(again, name), getattr(whole, name), rtol=1e-12, err_msg=name)
    assert int(whole.count.sum()) == int((~np.isnan(values)).sum())
    for key in np.unique(t_us // (3 * factor)).tolist():
        mine = values[t_us // (3 * factor) == key]
        at = np.flatnonzero(whole.t_us // (3 * factor) == key)
        numbers = mine[~np.isnan(mine)]
        np.testing.assert_allclose(whole.mean[at], [numbers.mean() if len(numbers) else np.nan], rtol=1e-12)


def made(tmp_path: Path) -> Folder:
    """Two epochs of which the second hides the end of the first, and a vehicle beside them."""
    folder = Folder(tmp_path / "data")
    folder.add("car", [(frames(95), START_US + 1_234_567)], {0: ("can", DBC)})
    folder.add("car", [(frames(130), START_US + 60_000_000)], {0: ("can", DBC)})
    add_drive(folder)
    return folder


def overview(folder: Folder, first: int = -20, last: int = 300, width: int = 2, **how) -> dict:
    history = History(Lake(folder.lake.url), folder.db)
    span = (START_US + first * 1_000_000, START_US + last * 1_000_000)
    found = history.buckets("car", CHANNELS, *span, width * ROLLUP_US, **how)
    return {name: [column.tolist() for column in one] for name, one in found.items()}


def frames_decoded(monkeypatch: pytest.MonkeyPatch, folder: Folder, **how) -> tuple[dict, int]:
    """The overview, and how many frames were decoded for it."""
    decode, counted = Decoder.decode, []
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "decode", lambda one, part, *rest: counted.append(len(part)) or decode(one, part, *rest))
        found = overview(folder, **how)
    return found, sum(counted)


def test_the_overview_is_the_same_with_and_without(tmp_path, monkeypatch):
    folder = made(tmp_path)
    spans = [(-20, 300, 2), (0, 100, 1), (7, 143, 1), (33, 58, 3), (61, 190, 1)]
    plain = [overview(folder, *span) for span in spans]
    assert len(plain[0]["Motor.speed"][0]) == 10
    _, all_decoded = frames_decoded(monkeypatch, folder)
    assert make_rollups(folder.lake, folder.db, lambda _: True) == 3
    assert make_rollups(folder.lake, folder.db, lambda _: True) == 0
    assert [overview(folder, *span) for span in spans] == plain
    _, decoded = frames_decoded(monkeypatch, folder)
    assert decoded < all_decoded / 4


def test_a_session_uses_them_too(tmp_path, monkeypatch):
    folder = made(tmp_path)
    with ved.open(folder.path) as lake:
        plain = [[column.tolist() for column in one] for one in session_overview(lake.sessions("car")[1])]
        make_rollups(folder.lake, folder.db, lambda _: True)
        decoded = []
        decode = Decoder.decode
        counting = lambda one, part, *rest: decoded.append(len(part)) or decode(one, part, *rest)  # noqa: E731
        monkeypatch.setattr(Decoder, "decode", counting)
        found = [[column.tolist() for column in one] for one in session_overview(lake.sessions("car")[1])]
    assert found == plain
    assert sum(decoded) < 130 * 10 * 3 / 4


def session_overview(session) -> list:
    return list(session.buckets(["Motor.speed", "Other.x"], session.utc_us, 2 * ROLLUP_US).values())


def test_frames_that_come_later_a_better_clock_and_another_dbc_make_it_anew(tmp_path, monkeypatch):
    folder = made(tmp_path)
    make_rollups(folder.lake, folder.db, lambda _: True)
    epoch = (2).to_bytes(16, "big")
    later = frames(140)
    first = 130 * 10 * 3 + 1
    folder.lake.append([FrameBatch("car", epoch, first, later.take(slice(first - 1, None)))])
    grown = overview(folder)
    assert len(grown["Motor.speed"][0]) == 10
    assert max(grown["Motor.speed"][0]) == START_US + 60_000_000 + 139_900_000
    assert make_rollups(folder.lake, folder.db, lambda _: True) == 1
    assert overview(folder) == grown

    note_clock(folder.db, Clock("car", epoch, 9, 0, START_US + 61_500_000, ClockSource.RECORDED, 0))
    moved = overview(folder)
    assert max(moved["Motor.speed"][0]) == START_US + 61_500_000 + 139_900_000
    assert make_rollups(folder.lake, folder.db, lambda _: True) == 1
    assert overview(folder) == moved

    registry = history_module.load_registry

    def doubled(db, vehicle):
        """As if somebody had assigned a corrected DBC: everything is decoded under it."""
        found = registry(db, vehicle)
        other = DBC.replace('(1,0) [0|0] "rpm"', '(2,0) [0|0] "rpm"')
        return mock.Mock(wraps=found, aliases=found.aliases, stretches=lambda buses: found.stretches(
            [type(bus)(bus.index, bus.name, tuple(other for _ in bus.dbc_texts)) for bus in buses]
        ))  # fmt: skip

    monkeypatch.setattr(history_module, "load_registry", doubled)
    twice = overview(folder)
    assert twice["Motor.speed"][2] == [2 * value for value in moved["Motor.speed"][2]]
    monkeypatch.setattr("ved.record.rolling.load_registry", doubled)
    assert make_rollups(folder.lake, folder.db, lambda _: True) == 3
    assert overview(folder) == twice
    files = list(Path(folder.lake.url, "rollups").rglob("*.parquet"))
    assert len(files) == 3  # those of the old DBC are gone


def test_a_kill_at_any_write_leaves_whole_files_or_none_and_a_broken_one_is_passed_over(tmp_path, monkeypatch):
    folder = made(tmp_path)
    plain = overview(folder)

    class Killed(BaseException):
        pass

    write = type(folder.lake.frame_rows._store).write

    def die(store, path, rows, level):
        write(store, path, rows, level)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(folder.lake.frame_rows._store), "write", die)
        with pytest.raises(Killed):
            make_rollups(folder.lake, folder.db, lambda _: True)
    assert not list(Path(folder.lake.url, "rollups").rglob("*.parquet"))
    assert make_rollups(folder.lake, folder.db, lambda _: True, stop=lambda: True) == 0
    assert make_rollups(folder.lake, folder.db, lambda _: False) == 0
    make_rollups(folder.lake, folder.db, lambda _: True)
    for file in Path(folder.lake.url, "rollups").rglob("*.parquet"):
        data = bytearray(file.read_bytes())
        data[len(data) // 4] ^= 0xFF
        file.write_bytes(data)
    assert overview(folder) == plain


def test_frames_that_are_not_stored_yet_count(tmp_path):
    folder = made(tmp_path)
    make_rollups(folder.lake, folder.db, lambda _: True)
    epoch, first = (2).to_bytes(16, "big"), 130 * 10 * 3 + 1
    recent = [FrameBatch("car", epoch, first, frames(140).take(slice(first - 1, None)))]
    live = overview(folder, recent=recent)
    folder.lake.append(recent)
    assert overview(folder) == live


def test_j1939_is_read_from_samples(tmp_path):
    """No rollup has it, so none is asked."""
    folder = made(tmp_path)
    make_rollups(folder.lake, folder.db, lambda _: True)
    with (
        mock.patch("ved.api.rolling.all_rolled", return_value=False),
        mock.patch.object(Rollups, "read") as read,
    ):
        overview(folder)
    read.assert_not_called()


def test_none_is_made_over_a_file_that_is_broken_or_cannot_be_read_for_now(tmp_path, monkeypatch):
    folder = made(tmp_path)
    plain = overview(folder)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "open", mock.Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
        with pytest.raises(StorageError, match="Too many open files"):
            make_rollups(Lake(folder.lake.url), folder.db, lambda _: True)
    assert not list(Path(folder.lake.url).glob("rollups/**/*.parquet"))
    victim = min(Path(folder.lake.url).glob("frames/vehicle=car/**/*.parquet"))
    sound = victim.read_bytes()
    victim.write_bytes(sound[:50])
    lake = Lake(folder.lake.url)
    assert [make_rollups(lake, folder.db, lambda _: True) for _ in range(2)] == [2, 0]
    assert overview(folder) != plain
    victim.write_bytes(sound)
    assert make_rollups(Lake(folder.lake.url), folder.db, lambda _: True) == 1
    assert overview(folder) == plain
