"""What a commit says, and the plan of merges."""

import json

import pytest

from ved.errors import CorruptDataError
from ved.lake.compaction import MERGED_ROWS, MIDDLE_FILES, SMALL_FILES, SMALL_ROWS, plan_merges
from ved.lake.log import FileEntry, merge_intervals, pack_intervals, parse_commit, unpack_intervals
from ved.model.intervals import Intervals

EPOCH = bytes(range(16))


def entry(number: int, rows: int, epoch: bytes = EPOCH) -> FileEntry:
    first = number * 10_000_000
    return FileEntry(f"{number}.parquet", "fs", epoch, rows * 6, rows, first, first + rows - 1, first, first + rows)


def test_intervals_survive_their_json() -> None:
    intervals = {("fs", EPOCH): Intervals([(1, 5), (9, 9)]), ("a/b", bytes(16)): Intervals([(3, 1 << 40)])}
    assert unpack_intervals(json.loads(json.dumps(pack_intervals(intervals)))) == intervals


@pytest.mark.parametrize("packed", [None, [], {"fs/zz": [[1, 2]]}, {"fs/00": [[2, 1]]}, {"fs/00": [[1]]}, {"fs/00": 3}])
def test_broken_intervals_are_corrupt_data(packed: object) -> None:
    with pytest.raises(CorruptDataError):
        unpack_intervals(packed)


def test_merging_intervals_leaves_the_source_alone() -> None:
    into = {("fs", EPOCH): Intervals([(1, 2)])}
    more = {("fs", EPOCH): Intervals([(3, 4)]), ("pe", EPOCH): Intervals([(7, 7)])}
    merge_intervals(into, more)
    assert into == {("fs", EPOCH): Intervals([(1, 4)]), ("pe", EPOCH): Intervals([(7, 7)])}
    into["pe", EPOCH].add(8, 8)
    assert more["pe", EPOCH] == Intervals([(7, 7)])


def test_a_commit_tells_files_and_intervals() -> None:
    add = {
        "path": "vehicle=a%2520b/epoch=00/x.parquet",
        "partitionValues": {"vehicle": "a b", "epoch": EPOCH.hex()},
        "size": 10,
        "stats": json.dumps({"numRecords": 3, "minValues": {"seq": 1, "t_us": -5}, "maxValues": {"seq": 3, "t_us": 9}}),
    }
    own = {"added": {f"a b/{EPOCH.hex()}": [[1, 3]]}, "snapshot": {}}
    lines = [{"commitInfo": {"ved": own}}, {"add": add}, {"remove": {"path": "old.parquet"}}, {"txn": {"appId": "x"}}]
    notes = parse_commit("\n".join(json.dumps(line) for line in lines))
    assert notes.added == {("a b", EPOCH): Intervals([(1, 3)])}
    assert notes.snapshot == {}
    assert notes.removed_paths == ["old.parquet"]
    assert not notes.is_schema_change
    (file,) = notes.added_files
    assert file.path == "vehicle=a%20b/epoch=00/x.parquet"
    assert (file.vehicle, file.epoch, file.rows, file.seq_max, file.t_min_us) == ("a b", EPOCH, 3, 3, -5)


def test_a_commit_of_another_tool_has_no_intervals() -> None:
    notes = parse_commit('{"commitInfo":{"operation":"OPTIMIZE"}}\n{"protocol":{"minReaderVersion":1}}')
    assert notes.added == {}
    assert notes.snapshot is None
    assert notes.is_schema_change


def test_half_a_commit_is_corrupt_data() -> None:
    with pytest.raises(CorruptDataError):
        parse_commit('{"commitInfo":{"ved":{"add')


def test_a_final_epoch_is_packed_and_then_left_alone() -> None:
    files = [entry(number, SMALL_ROWS) for number in range(20)]
    plan = plan_merges(files, lambda _: True)
    assert [len(group) for group in plan] == [8, 8, 4]
    merged = [entry(number, sum(one.rows for one in group)) for number, group in enumerate(plan)]
    assert plan_merges(merged, lambda _: True) == []


def test_packing_never_makes_files_over_the_limit_nor_rewrites_one_alone() -> None:
    files = [entry(0, MERGED_ROWS - 5), entry(1, 10), entry(2, 3 * MERGED_ROWS), entry(3, 10), entry(4, 10)]
    assert [[one.path for one in group] for group in plan_merges(files, lambda _: True)] == [["3.parquet", "4.parquet"]]


def test_a_growing_epoch_waits_for_enough_files_of_a_size() -> None:
    def growing(_: object) -> bool:
        return False

    few = [entry(number, 100) for number in range(SMALL_FILES - 1)]
    assert plan_merges(few, growing) == []
    assert len(plan_merges([*few, entry(99, 100)], growing)[0]) == SMALL_FILES
    middle = [entry(number, SMALL_ROWS) for number in range(MIDDLE_FILES)]
    assert plan_merges(middle[1:] + few, growing) == []
    assert len(plan_merges(middle + few, growing)[0]) == MIDDLE_FILES


def test_epochs_are_never_mixed() -> None:
    files = [entry(0, 10), entry(1, 10, bytes(16)), entry(2, 10), entry(3, 10, bytes(16))]
    plan = plan_merges(files, lambda _: True)
    assert sorted(len({one.epoch for one in group}) for group in plan) == [1, 1]
