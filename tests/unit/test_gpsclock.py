"""A receiver's UTC among frames: its bits as cantools reads them, and what of it is believed."""

from dataclasses import replace

import cantools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.gpsclock import ERROR_US, FrameField, GpsClock, GpsSignals
from ved.model.records import ClockSource

UTC = FrameField(1, 0x1A3, False, 0, 40, scale=0.001, offset=1_577_836_800)
VALID = FrameField(0, 0x1A2, False, 3, 1)
START_S = 1_790_000_000.25


def frames(*rows: tuple[int, int, int, int, bytes]) -> FrameColumns:
    """(t_us, bus, id, flags, data) each."""
    width = 64 if any(len(row[4]) > 8 for row in rows) else 8
    payload = np.array([list(row[4].ljust(width, b"\0")) for row in rows], np.uint8).reshape(-1, width)
    columns = zip(*((*row[:4], len(row[4])) for row in rows), strict=True)
    kinds = (np.int64, np.uint8, np.uint32, np.uint8, np.uint8)
    return FrameColumns(*(np.array(one, kind) for one, kind in zip(columns, kinds, strict=True)), payload)


def told(t_s: float, utc_s: float) -> tuple[int, int, int, int, bytes]:
    """What the receiver says at `t_s`."""
    return round(t_s * 1e6), 1, 0x1A3, 0, round((utc_s - 1_577_836_800) * 1000).to_bytes(5, "little") + b"\xff"


def fix(t_s: float, is_valid: bool) -> tuple[int, int, int, int, bytes]:
    return round(t_s * 1e6), 0, 0x1A2, 0, bytes([0xF7 | is_valid << 3])


def pair(t_s: float, utc_s: float) -> ClockPair:
    return ClockPair(round(t_s * 1e6), round(utc_s * 1e6), ClockSource.GPS, ERROR_US)


def utc_at(t_s: float) -> float:
    return START_S + t_s


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_field_is_what_cantools_reads(data: st.DataObject) -> None:
    is_little, width = data.draw(st.booleans()), data.draw(st.sampled_from([8, 64]))
    kind = data.draw(st.sampled_from(["+", "-", "float"]))
    length = data.draw(st.sampled_from([32, 64])) if kind == "float" else data.draw(st.integers(1, 64))
    first = data.draw(st.integers(0, width * 8 - length))
    start = first if is_little else 8 * (first // 8) + 7 - first % 8
    sign = "-" if kind == "float" else kind
    text = f'BO_ 5 M: {width} E\n SG_ S : {start}|{length}@{int(is_little)}{sign} (0.5,-3) [0|0] "" E\n'
    if kind == "float":
        text += f"SIG_VALTYPE_ 5 S : {length // 32};\n"
    payloads = data.draw(st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=4))
    field = FrameField(0, 5, False, first, length, is_little, kind == "-", kind == "float", 0.5, -3)
    rows, values = field.find(frames(*((0, 0, 5, 0, one) for one in payloads)))
    reader = cantools.database.load_string(text, "dbc", strict=False)
    with np.errstate(all="ignore"):
        expected = [float(reader.decode_message(5, one)["S"]) for one in payloads]
    assert rows.tolist() == list(range(len(payloads)))
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "row",
    [
        (0, 0, 0x1A3, 0, bytes(6)),  # another bus
        (0, 1, 0x1A4, 0, bytes(6)),
        (0, 1, 0x1A3, FrameFlag.EXTENDED, bytes(6)),
        (0, 1, 0x1A3, FrameFlag.ERROR, bytes(6)),
        (0, 1, 0x1A3, FrameFlag.REMOTE, bytes(6)),
        (0, 1, 0x1A3, 0, bytes(4)),  # too short for the field
    ],
)
def test_other_frames_hold_no_time(row: tuple[int, int, int, int, bytes]) -> None:
    rows, values = UTC.find(frames(row, (1, 1, 0x1A3, FrameFlag.FD, bytes(5))))
    assert (rows.tolist(), values.tolist()) == ([1], [1_577_836_800])
    assert UTC.find(frames(row))[1].tolist() == []


def test_a_pair_is_told_at_the_first_fix_and_then_every_ten_seconds() -> None:
    clock = GpsClock(GpsSignals(UTC))
    assert clock.pairs(frames(told(0.5, utc_at(0.5)))) == []  # one alone proves nothing
    assert clock.pairs(frames(fix(1, True), told(1.5, utc_at(1.5)), told(2.5, utc_at(2.5)))) == [pair(1.5, utc_at(1.5))]
    later = [told(at, utc_at(at)) for at in range(3, 40)]
    assert [one.t_us for one in clock.pairs(frames(*later))] == [12_000_000, 22_000_000, 32_000_000]
    assert clock.pairs(FrameColumns.empty()) == []


@pytest.mark.parametrize("base_s", [0.0, 315_964_800.0, 946_684_800.0, 1_704_067_190.0, 4_102_444_801.0])
def test_a_receiver_without_a_fix_is_not_believed(base_s: float) -> None:
    """Its clock runs from 0, 1980, 2000, just before 2024, or lies behind 2100."""
    clock = GpsClock(GpsSignals(replace(UTC, length_bits=64, scale=1e-6, offset=0)))
    rows = [(round(at * 1e6), 1, 0x1A3, 0, round((base_s + at) * 1e6).to_bytes(8, "little")) for at in range(1, 9)]
    assert clock.pairs(frames(*rows)) == []


def test_no_number_is_no_time() -> None:
    clock = GpsClock(GpsSignals(replace(UTC, length_bits=64, is_float=True, scale=1, offset=0)))
    data = [np.array(value, "<f8").tobytes() for value in (np.nan, np.inf, -np.inf, 1e300, START_S + 4, START_S + 5)]
    found = clock.pairs(frames(*((number * 1_000_000, 1, 0x1A3, 0, one) for number, one in enumerate(data))))
    assert found == [pair(5, START_S + 5)]


def test_a_time_that_stands_still_or_jumps_is_not_believed() -> None:
    clock = GpsClock(GpsSignals(UTC))
    assert clock.pairs(frames(*(told(at, utc_at(0)) for at in range(30)))) == []
    assert clock.pairs(frames(told(30, utc_at(7)))) == []  # it comes back, wrong
    assert clock.pairs(frames(told(31, utc_at(6)))) == []
    assert clock.pairs(frames(told(32, utc_at(32)), told(33, utc_at(33)))) == [pair(33, utc_at(33))]


def test_whole_seconds_count_where_they_change() -> None:
    clock = GpsClock(GpsSignals(UTC))
    rows = [told(tenth / 10, 1_790_000_000 + (tenth + 3) // 10) for tenth in range(40)]
    assert clock.pairs(frames(*rows)) == [pair(0.7, 1_790_000_001)]


def test_only_a_valid_time_counts_also_when_other_frames_say_so() -> None:
    clock = GpsClock(GpsSignals(UTC, VALID))
    assert clock.pairs(frames(told(1, utc_at(1)), told(2, utc_at(2)))) == []  # nothing was said of it yet
    assert clock.pairs(frames(fix(3, False), told(3, utc_at(3)), told(4, utc_at(4)))) == []
    assert clock.pairs(frames(told(5, utc_at(5)), fix(5, True), told(6, utc_at(6)))) == []
    assert clock.pairs(frames(told(7, utc_at(7)))) == [pair(7, utc_at(7))]
    assert clock.pairs(frames(told(17, utc_at(17)), fix(18, False), told(18, utc_at(18)))) == [pair(17, utc_at(17))]
    assert clock.pairs(frames(told(40, utc_at(40)), fix(41, True), told(41, utc_at(41)))) == []
    assert clock.pairs(frames(told(42, utc_at(42)))) == [pair(42, utc_at(42))]
    own = GpsClock(GpsSignals(UTC, FrameField(1, 0x1A3, False, 40, 1)))  # in the same frame
    assert own.pairs(frames(told(1, utc_at(1)), told(2, utc_at(2)))) == [pair(2, utc_at(2))]
