"""Bits of a frame on the wire, against an encoder that writes the frame out bit by bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.busload import frame_bits
from ved.model.frames import FrameColumns, FrameFlag


def columns(frames: list[tuple[int, bool, bool, bytes]]) -> FrameColumns:
    n = len(frames)
    payload = np.zeros((n, 8), np.uint8)
    for row, (_, _, is_remote, data) in enumerate(frames):
        if not is_remote:
            payload[row, : len(data)] = list(data)
    flags = [is_ext * FrameFlag.EXTENDED | is_remote * FrameFlag.REMOTE for _, is_ext, is_remote, _ in frames]
    return FrameColumns(
        np.zeros(n, np.int64),
        np.zeros(n, np.uint8),
        np.array([one[0] for one in frames], np.uint32),
        np.array([int(flag) for flag in flags], np.uint8),
        np.array([len(one[3]) for one in frames], np.uint8),
        payload,
    )


def wire(arbitration_id: int, is_extended: bool, is_remote: bool, data: bytes) -> str:
    """The frame as a string of bits, recessive 1, from start of frame to the end of the space after it."""
    if is_extended:
        text = f"0{arbitration_id >> 18:011b}11{arbitration_id & 0x3FFFF:018b}{int(is_remote)}00"
    else:
        text = f"0{arbitration_id:011b}{int(is_remote)}00"
    text += f"{len(data):04b}" + ("" if is_remote else "".join(f"{byte:08b}" for byte in data))
    crc = 0
    for bit in text:
        is_one = int(bit) ^ (crc >> 14 & 1)
        crc = crc << 1 & 0x7FFF ^ (0x4599 if is_one else 0)
    stuffed = ""
    for bit in text + f"{crc:015b}":
        stuffed += bit
        if stuffed[-5:] in ("00000", "11111"):
            stuffed += "1" if bit == "0" else "0"
    return stuffed + "1" * 13


@st.composite
def a_frame(draw) -> tuple[int, bool, bool, bytes]:
    is_extended = draw(st.booleans())
    arbitration_id = draw(st.integers(0, (1 << (29 if is_extended else 11)) - 1))
    byte = st.one_of(st.sampled_from([0, 255, 0x1F, 0xF0]), st.integers(0, 255))
    return arbitration_id, is_extended, draw(st.booleans()), bytes(draw(st.lists(byte, max_size=8)))


@settings(max_examples=60, deadline=None)
@given(st.lists(a_frame(), min_size=1, max_size=12))
def test_classic_frames_are_as_long_as_they_are(frames: list[tuple[int, bool, bool, bytes]]) -> None:
    assert frame_bits(columns(frames)).tolist() == [len(wire(*one)) for one in frames]


def test_a_frame_of_zeros_has_the_stuff_bits_of_the_textbook() -> None:
    (bits,) = frame_bits(columns([(0, False, False, bytes(8))]))
    assert 47 + 64 < bits <= 47 + 64 + (34 + 64 - 1) // 4  # never more than a bit in four


def test_a_fast_data_phase_is_shorter() -> None:
    frames = columns([(1, False, False, bytes(8)), (1, False, False, bytes(8))])
    frames.flags[:] = [FrameFlag.FD, FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH]
    slow, fast = frame_bits(frames)
    assert 100 < slow < 150
    assert fast < slow / 1.5
