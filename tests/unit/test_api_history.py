"""History: decoded channels in UTC from lake, database and recent batches; exact statistics."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ved.analysis.decimate import buckets
from ved.api import history as history_module
from ved.api.decoding import decoding_for
from ved.api.history import History, pieces
from ved.api.stats import channels_with_samples, lake_stats
from ved.db.database import Database
from ved.db.dbcs import AssignmentDraft, DbcFile, assign_dbc, put_dbc
from ved.db.epochs import note_clock, note_description, note_epoch
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.records import BusDescription, Clock, ClockSource, Description

UTC0 = 1_700_000_000_000_000
EPOCHS = [bytes([number]) * 16 for number in range(5)]
HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: A\n'
ENGINE = (
    HEAD + 'BO_ 100 Engine: 8 A\n SG_ speed : 0|16@1+ (0.5,0) [0|0] "km/h" A\n SG_ late : 48|16@1+ (1,0) [0|0] "" A\n'
)
ENGINE_RIGHT = HEAD + 'BO_ 100 Engine: 8 A\n SG_ speed : 0|16@1+ (2,0) [0|0] "km/h" A\n'
CELLS = HEAD + (
    "BO_ 2147483748 Cells: 8 A\n"
    ' SG_ page M : 0|8@1+ (1,0) [0|0] "" A\n'
    ' SG_ one m1 : 8|16@1+ (1,0) [0|0] "" A\n'
    ' SG_ two m2 : 8|16@1+ (1,0) [0|0] "" A\n'
)


class World:
    def __init__(self, folder: Path) -> None:
        self.db = Database(f"sqlite:///{folder}/people.db")
        self.db.migrate()
        self.lake = Lake(str(folder / "lake"))
        self.history = History(Lake(str(folder / "lake")), self.db)
        self.arrivals = 0

    def epoch(self, epoch: bytes, *texts: str, utc_us: int | None = UTC0) -> None:
        self.arrivals += 1
        buses = tuple(BusDescription(at, f"bus{at}", (text,)) for at, text in enumerate(texts))
        if buses:
            note_description(self.db, Description("fs", epoch, 1, "car", buses), self.arrivals)
        else:
            note_epoch(self.db, "fs", epoch, self.arrivals)
        if utc_us is not None:
            note_clock(self.db, Clock("fs", epoch, 2, 0, utc_us, ClockSource.NTP, 0))

    def samples(
        self, channel: str, t_from: int = 0, t_to: int = 1 << 50, recent: tuple[FrameBatch, ...] = ()
    ) -> list[tuple[int, float]]:
        found = self.history.samples("fs", channel, UTC0 + t_from, UTC0 + t_to, recent)
        return list(zip((found.utc_us - UTC0).tolist(), found.values.tolist(), strict=True))


def batch(epoch: bytes, first: int, t_us: list[int], raw: list[int], **kind: int) -> FrameBatch:
    """Frames whose first two bytes are `raw`."""
    n = len(t_us)
    payload = np.zeros((n, 8), np.uint8)
    payload[:, :2] = np.array(raw, "<u2").view(np.uint8).reshape(n, 2)
    frames = FrameColumns(
        np.array(t_us, np.int64),
        np.full(n, kind.get("bus", 0), np.uint8),
        np.full(n, kind.get("arbitration_id", 100), np.uint32),
        np.full(n, kind.get("flags", 0), np.uint8),
        np.full(n, kind.get("length", 8), np.uint8),
        payload,
    )
    return FrameBatch("fs", epoch, first, frames)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    out = World(tmp_path)
    yield out
    out.db.close()


def test_samples_are_physical_in_utc_and_half_open_in_time(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.lake.append([batch(EPOCHS[0], 1, [0, 10, 20, 30], [2, 4, 6, 8]), batch(EPOCHS[0], 5, [40], [3], bus=1)])
    assert world.samples("Engine.speed") == [(0, 1.0), (10, 2.0), (20, 3.0), (30, 4.0)]
    assert world.samples("Engine.speed", 10, 30) == [(10, 2.0), (20, 3.0)]
    assert world.samples("Engine.speed", 31, 99) == []
    assert world.samples("Engine.nothing") == []
    assert len(world.history.samples("nobody", "Engine.speed", 0, 1 << 60).values) == 0


def test_it_sees_what_another_process_committed(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    assert world.samples("Engine.speed") == []
    world.lake.append([batch(EPOCHS[0], 1, [0], [2])])
    assert world.samples("Engine.speed") == [(0, 1.0)]
    world.lake.append([batch(EPOCHS[0], 2, [10], [4])])
    assert world.samples("Engine.speed") == [(0, 1.0), (10, 2.0)]


def test_samples_come_in_time_order_whatever_the_commits(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.lake.append([batch(EPOCHS[0], 4, [40, 50], [8, 10])])
    world.lake.append([batch(EPOCHS[0], 1, [10, 30, 20], [2, 6, 4])])
    assert world.samples("Engine.speed") == [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0), (50, 5.0)]


def test_recent_batches_count_only_where_the_lake_lacks_them(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.lake.append([batch(EPOCHS[0], 1, [10, 20], [2, 4])])
    recent = (
        batch(EPOCHS[0], 2, [20, 30], [99, 6]),
        batch(EPOCHS[0], 3, [30, 40], [77, 8]),
        batch(EPOCHS[1], 1, [15], [50]),
    )
    assert world.samples("Engine.speed", recent=recent) == [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]
    assert world.samples("Engine.speed", 40, 50, recent=recent) == [(40, 4.0)]
    other = FrameBatch("pe", EPOCHS[0], 9, recent[0].frames)
    assert world.samples("Engine.speed", recent=(other,)) == [(10, 1.0), (20, 2.0)]


def test_a_commit_between_intervals_and_rows_doubles_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.lake.append([batch(EPOCHS[0], 1, [10], [2])])
    recent = batch(EPOCHS[0], 2, [20, 30], [4, 6])
    original = Lake.intervals

    def late(self: Lake, vehicle: str, epoch: bytes) -> object:
        out = original(self, vehicle, epoch)
        world.lake.append([recent])
        self.refresh()
        return out

    monkeypatch.setattr(Lake, "intervals", late)
    assert world.samples("Engine.speed", recent=(recent,)) == [(10, 1.0), (20, 2.0), (30, 3.0)]


def test_the_best_clock_corrects_history(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.lake.append([batch(EPOCHS[0], 1, [0], [2])])
    assert world.samples("Engine.speed") == [(0, 1.0)]
    note_clock(world.db, Clock("fs", EPOCHS[0], 9, 0, UTC0 + 500, ClockSource.GPS, 0))
    assert world.samples("Engine.speed") == [(500, 1.0)]


def test_an_epoch_without_any_clock_is_not_shown(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE, utc_us=None)
    world.lake.append([batch(EPOCHS[0], 1, [0], [2])])
    found = world.history.samples("fs", "Engine.speed", -(1 << 60), 1 << 60)
    assert len(found.values) == 0


def test_of_overlapping_epochs_the_later_arrived_is_seen(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE)
    world.epoch(EPOCHS[1], ENGINE, utc_us=UTC0 + 20)
    world.lake.append(
        [batch(EPOCHS[0], 1, [0, 10, 20, 30, 40], [0, 2, 4, 6, 8]), batch(EPOCHS[1], 1, [0, 5], [50, 60])]
    )
    assert world.samples("Engine.speed") == [(0, 0.0), (10, 1.0), (20, 25.0), (25, 30.0)]


def test_the_registry_holds_for_its_bus_and_the_epochs_own_for_the_others(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE, CELLS)
    world.lake.append(
        [
            batch(EPOCHS[0], 1, [0], [10]),
            batch(EPOCHS[0], 2, [1], [1 | 7 << 8], bus=1, flags=int(FrameFlag.EXTENDED)),
        ]
    )
    assert world.samples("Engine.speed") == [(0, 5.0)]
    assert world.samples("Cells.one") == [(1, 7.0)]
    right = DbcFile(put_dbc(world.db, "right.dbc", ENGINE_RIGHT), "right.dbc")
    assign_dbc(world.db, AssignmentDraft("fs", 0, "powertrain", (right,), "engineer"))
    assert world.samples("Engine.speed") == [(0, 20.0)]
    assert world.samples("Cells.one") == [(1, 7.0)]
    assert sorted(one.name for one in world.history.channels("fs")) == [
        "Cells.one",
        "Cells.page",
        "Cells.two",
        "Engine.speed",
    ]


def test_a_description_in_hand_is_decoded_before_the_database_has_it(world: World) -> None:
    description = Description("fs", EPOCHS[0], 1, "car", (BusDescription(0, "b", (ENGINE,)),))
    assert len(decoding_for(world.db, "fs", EPOCHS[0]).at(UTC0).channels) == 0
    decoder = decoding_for(world.db, "fs", EPOCHS[0], description).at(UTC0)
    assert [one.name for one in decoder.channels] == ["Engine.speed", "Engine.late"]
    assert decoding_for(world.db, "fs", EPOCHS[0], description).at(UTC0) is decoder


def test_a_dbc_that_says_nothing_is_left_out(world: World) -> None:
    world.epoch(EPOCHS[0], "no DBC at all", ENGINE)
    world.lake.append([batch(EPOCHS[0], 1, [0], [2], bus=1)])
    assert world.samples("Engine.speed") == [(0, 1.0)]


@pytest.mark.parametrize("one_read_us", [0, 1 << 60])
def test_buckets_are_the_buckets_of_the_samples(
    world: World, monkeypatch: pytest.MonkeyPatch, one_read_us: int
) -> None:
    monkeypatch.setattr(history_module, "_ONE_READ_US", one_read_us)
    rng = np.random.default_rng(3)
    world.epoch(EPOCHS[0], ENGINE, CELLS)
    t_us = np.cumsum(rng.integers(1, 50, 3000))
    world.lake.append([batch(EPOCHS[0], 1, t_us[:2000].tolist(), rng.integers(0, 65536, 2000).tolist())])
    flags = int(FrameFlag.EXTENDED)
    pages = [1 | int(value) << 8 for value in rng.integers(0, 256, 3000)]
    world.lake.append([batch(EPOCHS[0], 2001, t_us.tolist(), pages, bus=1, flags=flags)])
    recent = (batch(EPOCHS[0], 5001, t_us[2000:].tolist(), rng.integers(0, 65536, 1000).tolist()),)
    names = ["Engine.speed", "Cells.one", "Cells.two", "Nobody.knows"]
    limits = (UTC0 + 777, UTC0 + 60_001)
    found = world.history.buckets("fs", names, *limits, 1000, recent)
    assert list(found) == names
    for name in names:
        samples = world.history.samples("fs", name, *limits, recent)
        expected = buckets(samples.utc_us, samples.values, 1000)
        for ours, theirs in zip(found[name], expected, strict=True):
            assert np.array_equal(ours, theirs)
    assert len(found["Engine.speed"].t_us) > 50
    assert len(found["Cells.two"].t_us) == len(found["Nobody.knows"].t_us) == 0


def test_statistics_count_what_frames_really_carry(world: World) -> None:
    world.epoch(EPOCHS[0], ENGINE, CELLS)
    assert lake_stats(world.lake, world.db) == {
        "frames": 0,
        "samples": 0,
        "bytes": 0,
        "vehicles": 0,
        "sessions": 0,
        "channels": 0,
    }
    flags = int(FrameFlag.EXTENDED)
    world.lake.append(
        [
            batch(EPOCHS[0], 1, [0, 1], [10, 11], length=2),
            batch(EPOCHS[0], 3, [2], [1], bus=1, flags=flags),
            batch(EPOCHS[0], 4, [3], [2], bus=1),
            batch(EPOCHS[0], 5, [4], [9], arbitration_id=999),
            batch(EPOCHS[0], 6, [5], [9], flags=int(FrameFlag.REMOTE)),
        ]
    )
    assert channels_with_samples(world.lake, world.db, "fs") == {"Engine.speed", "Cells.page", "Cells.one"}
    stats = lake_stats(world.lake, world.db)
    files = list(Path(world.lake.frame_rows.url).glob("vehicle=*/**/*.parquet"))
    assert stats["frames"] == 6
    assert stats["bytes"] == sum(file.stat().st_size for file in files)
    assert (stats["vehicles"], stats["sessions"], stats["channels"]) == (1, 0, 3)
    world.lake.append([batch(EPOCHS[0], 7, [6], [7]), batch(EPOCHS[1], 1, [0], [1], bus=7)])
    assert lake_stats(world.lake, world.db)["channels"] == 4
    world.lake.compact()
    assert lake_stats(world.lake, world.db)["channels"] == 4


TRUCK = HEAD + (
    f'BO_ {0x98FF0400} Truck: 8 A\n SG_ rpm : 0|16@1+ (1,0) [0|0] "rpm" A\n'
    'BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";\n'
    'BA_DEF_DEF_ "VFrameFormat" "J1939PG";\n'
)


def test_a_parameter_group_is_read_whatever_its_source(world: World) -> None:
    world.epoch(EPOCHS[0], TRUCK, ENGINE)
    flags = int(FrameFlag.EXTENDED)
    world.lake.append(
        [
            batch(EPOCHS[0], 1, [0], [7], arbitration_id=0x18FF0400, flags=flags),
            batch(EPOCHS[0], 2, [1], [8], arbitration_id=0x0CFF0421, flags=flags),
            batch(EPOCHS[0], 3, [2], [9], arbitration_id=0x18FF0500, flags=flags),
            batch(EPOCHS[0], 4, [3], [4], bus=1),
        ]
    )
    assert world.samples("Truck.rpm") == [(0, 7.0), (1, 8.0)]
    assert channels_with_samples(world.lake, world.db, "fs") == {"Truck.rpm", "Engine.speed", "Engine.late"}


def test_pieces_cover_a_stretch_once_on_whole_buckets() -> None:
    hour_us = 3_600_000_000
    found = list(pieces([(123, 10 * hour_us + 7), (20 * hour_us, 20 * hour_us + 5)], 40_000_000, 10))
    assert found[0][0] == 123
    assert found[-1] == (20 * hour_us, 20 * hour_us + 5)
    first = found[:-1]
    assert [end for _, end in first[:-1]] == [begin for begin, _ in first[1:]]
    assert first[-1][1] == 10 * hour_us + 7
    assert all(begin % 40_000_000 == 0 for begin, _ in first[1:])
    assert len(first) == 6  # two hours each, for ten channels
    assert list(pieces([(0, hour_us)], hour_us, 1000)) == [(0, hour_us)]
