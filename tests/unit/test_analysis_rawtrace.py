"""The raw trace against a plain loop over frames."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.rawtrace import MAX_IDS, RECENT_US, RawTrace, TraceKey
from ved.model.frames import FrameColumns, FrameFlag


def frames(rows: list[tuple[int, int, bool, bytes]], flags: int = 0) -> FrameColumns:
    """(bus, id, is extended, payload) in order."""
    wide = any(len(row[3]) > 8 for row in rows)
    payload = np.zeros((len(rows), 64 if wide else 8), np.uint8)
    for at, row in enumerate(rows):
        payload[at, : len(row[3])] = list(row[3])
    return FrameColumns(
        np.arange(len(rows), dtype=np.int64),
        np.array([row[0] for row in rows], np.uint8),
        np.array([row[1] for row in rows], np.uint32),
        np.array([flags | int(row[2]) for row in rows], np.uint8),
        np.array([len(row[3]) for row in rows], np.uint8),
        payload,
    )


row = st.tuples(
    st.integers(0, 1),
    st.sampled_from([1, 2, 0x1FF]),
    st.booleans(),
    st.binary(min_size=0, max_size=8) | st.just(b"x" * 12),
)


@given(st.lists(st.lists(row, max_size=12), max_size=5))
@settings(max_examples=80, deadline=None)
def test_any_cut_gives_what_a_plain_loop_gives(flushes: list[list[tuple[int, int, bool, bytes]]]):
    trace = RawTrace()
    count: dict[TraceKey, int] = {}
    last: dict[TraceKey, bytes] = {}
    moved: dict[TraceKey, bytearray] = {}
    for flush in flushes:
        trace.take(frames(flush) if flush else FrameColumns.empty(), now_us=5)
        for bus, number, extended, payload in flush:
            key = TraceKey(bus, number, extended)
            count[key] = count.get(key, 0) + 1
            mask = moved.setdefault(key, bytearray(64))
            if key in last:
                for at, (one, two) in enumerate(zip(last[key].ljust(64, b"\0"), payload.ljust(64, b"\0"), strict=True)):
                    mask[at] |= one ^ two
            last[key] = payload
    assert {key: one.frames for key, one in trace.rows.items()} == count
    for key, one in trace.rows.items():
        assert (one.payload, one.length) == (last[key], len(last[key]))
        rate, changed = one.recent(5)
        assert rate == count[key]
        assert changed == bytes(moved[key][: one.length])


def test_what_moved_is_forgotten_after_a_while():
    trace = RawTrace()
    trace.take(frames([(0, 1, False, b"\0"), (0, 1, False, b"\x81")]), 0)
    trace.take(frames([(0, 1, False, b"\x80")]), 600_000)
    (one,) = trace.rows.values()
    assert one.recent(600_000) == (3.0, b"\x81")
    assert one.recent(RECENT_US) == (1.0, b"\x01")
    assert one.recent(2 * RECENT_US) == (0.0, b"\0")


def test_frames_without_data_and_too_many_ids_are_left_out():
    trace = RawTrace()
    trace.take(frames([(0, 1, False, b"\0")], int(FrameFlag.ERROR)), 0)
    trace.take(frames([(0, 1, False, b"\0")], int(FrameFlag.REMOTE)), 0)
    assert trace.rows == {}
    trace.take(frames([(0, number, True, b"\0") for number in range(MAX_IDS + 3)]), 0)
    assert (len(trace.rows), trace.left_out) == (MAX_IDS, 3)
