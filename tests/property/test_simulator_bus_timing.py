"""Timing on a simulated bus against slow and simple versions of the same rules."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.bus_timing import MAX_JITTER_US, Rhythm, draw_jitter, frame_bits, serialise


def stuffed_bits(identifier, is_extended, payload):
    """A classic data frame bit by bit (ISO 11898-1): fields, CRC-15, stuffing, then delimiters, end and pause."""
    base, rest = f"0{identifier >> 18:011b}11{identifier & 0x3FFFF:018b}000", f"0{identifier & 0x7FF:011b}000"
    bits = (base if is_extended else rest) + f"{len(payload):04b}" + "".join(f"{byte:08b}" for byte in payload)
    crc = 0
    for bit in bits:
        feedback = int(bit) ^ (crc >> 14)
        crc = ((crc << 1) & 0x7FFF) ^ (0x4599 if feedback else 0)
    bits += f"{crc:015b}"
    count, run, last = 0, 0, ""
    for bit in bits:
        run = run + 1 if bit == last else 1
        last, count = bit, count + 1
        if run == 5:
            last, run, count = ("1" if bit == "0" else "0"), 1, count + 1
    return count + 1 + 2 + 7 + 3


@given(st.booleans(), st.integers(0, 0x1FFFFFFF), st.binary(max_size=8))
def test_no_frame_is_longer_than_we_reckon_and_few_are_much_shorter(is_extended, number, payload):
    identifier = number if is_extended else number & 0x7FF
    actual = stuffed_bits(identifier, is_extended, payload)
    reckoned = frame_bits(len(payload), is_extended)
    assert actual <= reckoned
    assert reckoned <= actual * 1.25


def test_a_frame_of_noughts_comes_close_to_the_longest():
    assert frame_bits(8, False) == 135
    assert frame_bits(8, True) == 160
    assert stuffed_bits(0, False, bytes(8)) >= 0.93 * frame_bits(8, False)


@given(
    st.lists(st.tuples(st.floats(0, 5_000), st.sampled_from([47.0, 135.0, 320.0])), min_size=1, max_size=60),
    st.floats(0, 2_000),
)
def test_serialise_is_one_frame_after_the_other(frames, busy_until_us):
    frames.sort(key=lambda frame: frame[0])
    asked, durations = (np.array(column) for column in zip(*frames, strict=True))
    free, expected = busy_until_us, []
    for ask, duration in frames:
        free = max(free, ask) + duration
        expected.append(free)
    assert np.allclose(serialise(asked, durations, busy_until_us), expected, rtol=0, atol=1e-6)


@settings(max_examples=60)
@given(st.integers(1, 200), st.integers(0, 2**32), st.lists(st.integers(1, 400_000), min_size=1, max_size=12))
def test_a_rhythm_loses_nothing_at_the_seams(cycle_ms, seed, lengths_us):
    rhythm = Rhythm.draw(cycle_ms * 1000, np.random.default_rng(seed))
    ends = np.cumsum(lengths_us)
    pieces = [rhythm.numbers(int(end) - length, int(end)) for end, length in zip(ends, lengths_us, strict=True)]
    numbers = np.concatenate(pieces)
    assert np.array_equal(numbers, np.arange(len(numbers)))
    times = rhythm.times_us(np.arange(len(numbers) + 1))
    assert np.all(times[:-1] < ends[-1])
    assert times[-1] >= ends[-1]


@given(st.integers(0, 500), st.integers(0, 2**32))
def test_jitter_is_late_never_early_and_bounded(count, seed):
    jitter = draw_jitter(count, np.random.default_rng(seed))
    assert len(jitter) == count
    assert np.all((jitter >= 0) & (jitter <= MAX_JITTER_US))


@given(
    st.sampled_from([FaultKind.CELL_SAG, FaultKind.SENSOR_DROPOUT]),
    st.from_regex(r"[A-Za-z0-9_]{0,12}", fullmatch=True),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_a_fault_reads_as_it_was_written(kind, target, start_ms, duration_ms):
    text = f"{kind}{':' if target else ''}{target}@{start_ms / 1000}+{duration_ms / 1000}"
    assert Fault.parse(text) == Fault(kind, start_ms / 1000, duration_ms / 1000, target)
