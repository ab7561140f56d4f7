"""Rows to Arrow and back, the order on disk, the row groups."""

import itertools

import numpy as np
import pytest

from ved.lake.layout import GROUP_LEAST_ROWS, GROUP_MOST_ROWS
from ved.lake.rows import FrameRows, disk_order, disk_table, group_bounds, payload_matrix
from ved.model.frames import FrameColumns, FrameFlag


def frames_of(n: int, *, seed: int = 1, width: int = 8, buses: int = 3) -> FrameColumns:
    rng = np.random.default_rng(seed)
    length = rng.integers(0, width + 1, n).astype(np.uint8)
    payload = rng.integers(0, 256, (n, width)).astype(np.uint8)
    payload[np.arange(width) >= length[:, None]] = 0
    return FrameColumns(
        np.sort(rng.integers(0, 10_000_000, n)),
        rng.integers(0, buses, n).astype(np.uint8),
        rng.choice(np.array([0, 0x100, 0x7FF, 0x10000, 0x1FFFFFFF], np.uint32), n),
        rng.choice(np.array([0, FrameFlag.EXTENDED, FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH], np.uint8), n),
        length,
        payload,
    )


def rows_of(frames: FrameColumns) -> FrameRows:
    return FrameRows(np.arange(1, len(frames) + 1), frames)


@pytest.mark.parametrize("buses", [1, 3, 200])
@pytest.mark.parametrize("shuffled", [False, True])
def test_disk_order_is_by_bus_extended_id_seq(buses: int, shuffled: bool) -> None:
    rows = rows_of(frames_of(3000, buses=buses))
    if shuffled:
        rows = rows.take(np.random.default_rng(2).permutation(len(rows)))
    frames = rows.frames
    expected = np.lexsort((rows.seq, frames.arbitration_id, frames.is_extended, frames.bus))
    assert np.array_equal(disk_order(rows), expected)


def test_disk_order_of_one_kind_of_frame_and_of_nothing() -> None:
    frames = frames_of(50).take(np.zeros(50, np.intp))
    assert np.array_equal(disk_order(rows_of(frames)), np.arange(50))
    assert len(disk_order(rows_of(FrameColumns.empty()))) == 0


@pytest.mark.parametrize("width", [8, 64])
def test_table_gives_every_payload_byte_back(width: int) -> None:
    rows = rows_of(frames_of(500, width=width))
    table, _ = disk_table(rows)
    frames = rows.frames.take(disk_order(rows))
    assert np.array_equal(table["seq"].to_numpy(), rows.seq[disk_order(rows)])
    tail = table["tail"].combine_chunks()
    matrix = payload_matrix(table["payload"].to_numpy(), tail.chunk(0) if hasattr(tail, "chunks") else tail)
    assert matrix.shape == (500, width)
    assert np.array_equal(matrix, frames.payload)
    expected_tails = [
        bytes(row[8:size]) if size > 8 else None for row, size in zip(frames.payload, frames.length, strict=True)
    ]
    assert table["tail"].to_pylist() == expected_tails


def test_a_remote_frame_that_asks_for_64_bytes_has_no_tail() -> None:
    one = FrameColumns(
        np.array([5]),
        np.zeros(1, np.uint8),
        np.array([7], np.uint32),
        np.array([FrameFlag.REMOTE], np.uint8),
        np.array([64], np.uint8),
        np.zeros((1, 64), np.uint8),
    )
    table, _ = disk_table(rows_of(one))
    assert table["tail"].null_count == 1
    assert table["length"].to_pylist() == [64]


def test_payload_is_little_endian_int64() -> None:
    frames = frames_of(1).take(np.zeros(1, np.intp))
    frames.payload[:] = [1, 0, 0, 0, 0, 0, 0, 0x80]
    assert disk_table(rows_of(frames))[0]["payload"].to_pylist() == [1 - (1 << 63)]


def test_row_groups_end_where_the_id_changes() -> None:
    sizes = {1: 40_000, 2: 100, 3: 100, 4: 30_000, 5: 300_000, 6: 5}
    ids = np.concatenate([np.full(size, key, np.uint32) for key, size in sizes.items()])
    n = len(ids)
    bounds = group_bounds(np.zeros(n, np.uint8), np.zeros(n, np.uint8), ids)
    assert bounds[0] == 0
    assert bounds[-1] == n
    assert all(0 < size <= GROUP_MOST_ROWS for size in np.diff(bounds))
    assert 40_000 in bounds, "a big id has groups of its own"
    start = n - 5 - 300_000
    assert start in bounds
    assert {start + 100_000, start + 200_000, start + 300_000} <= set(bounds)


def test_row_groups_never_span_buses_or_id_lengths() -> None:
    rows = rows_of(frames_of(GROUP_LEAST_ROWS + 10, buses=4))
    frames = rows.take(disk_order(rows)).frames
    bounds = disk_table(rows)[1]
    assert bounds[0] == 0
    assert bounds[-1] == len(frames)
    for start, end in itertools.pairwise(bounds):
        assert start < end
        assert len(np.unique(frames.bus[start:end])) == 1
        assert len(np.unique(frames.is_extended[start:end])) == 1


def test_few_rows_are_one_row_group() -> None:
    assert disk_table(rows_of(frames_of(GROUP_LEAST_ROWS)))[1] == [0, GROUP_LEAST_ROWS]


def test_time_order_breaks_ties_by_seq() -> None:
    frames = frames_of(4)
    frames.t_us[:] = [5, 5, 1, 5]
    ordered = FrameRows(np.array([4, 2, 9, 3]), frames).in_time_order()
    assert ordered.seq.tolist() == [9, 2, 3, 4]
    assert ordered.frames.t_us.tolist() == [1, 5, 5, 5]
