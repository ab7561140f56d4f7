import math
import subprocess
import sys

import numpy as np
import pytest

from ved.dbc.decode import Decoder
from ved.dbc.encode import MessageEncoder
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag

TEXT = """BO_ 16 Plain: 8 X
 SG_ Little : 4|12@1+ (0.5,-10) [0|0] "" X
 SG_ Big : 23|12@0- (1,0) [0|0] "" X
 SG_ Past : 60|8@1+ (1,0) [0|0] "" X
BO_ 32 Muxed: 6 X
 SG_ Always : 8|8@1+ (1,0) [0|0] "" X
 SG_ Page0 m0 : 16|8@1+ (1,0) [0|0] "" X
 SG_ Page1 m1 : 16|16@1+ (1,0) [0|0] "" X
 SG_ Mux M : 0|8@1+ (1,0) [0|0] "" X
BO_ 2147483664 Wide: 64 X
 SG_ Far : 505|7@1+ (1,0) [0|0] "" X
 SG_ Across : 60|64@1+ (1,0) [0|0] "" X
 SG_ Turned : 187|64@0- (1,0) [0|0] "" X
BO_ 64 Floats: 14 X
 SG_ Half : 0|16@1+ (1,0) [0|0] "" X
 SG_ Single : 16|32@1+ (2,1) [0|0] "" X
 SG_ Double : 55|64@0+ (1,0) [0|0] "" X
BO_ 65 Flat: 1 X
 SG_ V : 0|8@1+ (0,0) [0|0] "" X
SIG_VALTYPE_ 64 Half : 1;
SIG_VALTYPE_ 64 Single : 1;
SIG_VALTYPE_ 64 Double : 2;
"""


@pytest.fixture(scope="module")
def dbc_set() -> DbcSet:
    return load_set([DbcSource(None, "", "test.dbc", TEXT)])


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_what_goes_with_the_frames(dbc_set: DbcSet) -> None:
    plain, wide = MessageEncoder(dbc_set, "Plain"), MessageEncoder(dbc_set, "Wide", bus=2)
    assert (plain.arbitration_id, plain.flags, plain.length, plain.bus) == (16, 0, 8, 0)
    assert (wide.arbitration_id, wide.flags, wide.length, wide.bus) == (16, FrameFlag.EXTENDED | FrameFlag.FD, 64, 2)
    assert plain.signals == ("Little", "Big")


def test_bits_land_where_the_file_says(dbc_set: DbcSet) -> None:
    payload = MessageEncoder(dbc_set, "Plain").encode(
        {"Little": column(0x123 / 2 - 10, -10), "Big": column(-2047, 2047)}
    )
    assert [row.tobytes().hex(" ") for row in payload] == ["30 12 80 10 00 00 00 00", "00 00 7f f0 00 00 00 00"]


def test_out_of_range_saturates_and_nan_is_raw_zero(dbc_set: DbcSet) -> None:
    plain = MessageEncoder(dbc_set, "Plain")
    little = (
        plain.encode({"Little": column(1e9, -1e9, math.inf, -math.inf, math.nan)})[:, :2].copy().view("<u2")[:, 0] >> 4
    )
    assert little.tolist() == [4095, 0, 4095, 0, 0]
    big = plain.encode({"Big": column(1e9, -1e9, math.nan)})[:, 2:4].copy().view(">u2")[:, 0] >> 4
    assert big.tolist() == [0x7FF, 0x800, 0]


def test_64_bit_limits(dbc_set: DbcSet) -> None:
    wide = MessageEncoder(dbc_set, "Wide")
    payload = wide.encode({"Across": column(2.0**64, 1e30, 2.0**63, -1), "Turned": column(2.0**63, -(2.0**63), -1, 0)})
    across = [int.from_bytes(row.tobytes()[7:16], "little") >> 4 & (1 << 64) - 1 for row in payload]
    assert across == [2**64 - 1, 2**64 - 1, 2**63, 0]
    turned = [int.from_bytes(row.tobytes()[23:32], "big") >> 4 & (1 << 64) - 1 for row in payload]
    assert turned == [2**63 - 1, 2**63, 2**64 - 1, 0]


def test_floats(dbc_set: DbcSet) -> None:
    payload = MessageEncoder(dbc_set, "Floats").encode(
        {
            "Half": column(1e6, math.nan, -math.inf),
            "Single": column(1e60, 2.0, -1e60),
            "Double": column(0.1, math.nan, 3),
        }
    )
    half, single = payload[:, :2].copy().view("<f2")[:, 0], payload[:, 2:6].copy().view("<f4")[:, 0]
    assert half[0] == 65504
    assert math.isnan(half[1])
    assert half[2] == -math.inf
    greatest = np.finfo(np.float32).max
    assert single.tolist() == [greatest, 0.5, -greatest]
    double = payload[:, 6:].copy().view(">f8")[:, 0]
    assert (double[0], double[2]) == (0.1, 3)


def test_a_multiplexed_signal_is_written_where_it_is_selected(dbc_set: DbcSet) -> None:
    payload = MessageEncoder(dbc_set, "Muxed").encode(
        {"Mux": column(0, 1, 2), "Always": column(9), "Page0": column(0xAA), "Page1": column(0xBBCC)}
    )
    assert [row.tobytes().hex(" ") for row in payload] == [
        "00 09 aa 00 00 00",
        "01 09 cc bb 00 00",
        "02 09 00 00 00 00",
    ]


def test_no_values_are_one_frame_of_zeros(dbc_set: DbcSet) -> None:
    assert MessageEncoder(dbc_set, "Plain").encode({}).tolist() == [[0] * 8]


def test_a_scale_of_zero_encodes_as_raw_zero(dbc_set: DbcSet) -> None:
    assert MessageEncoder(dbc_set, "Flat").encode({"V": column(5)}).tolist() == [[0]]


def test_unknown_names_are_refused(dbc_set: DbcSet) -> None:
    with pytest.raises(UserError, match="no message 'Nope'"):
        MessageEncoder(dbc_set, "Nope")
    with pytest.raises(UserError, match="message Plain has no signal 'Past'; it has Little, Big"):
        MessageEncoder(dbc_set, "Plain").encode({"Past": column(1)})


def test_a_message_name_that_stands_for_several_frames() -> None:
    text = 'BO_ {} Status: 1 X\n SG_ V : 0|8@1+ (1,0) [0|0] "" X\n'
    dbc_set = load_set(
        [
            DbcSource(0, "a", "a.dbc", text.format(1)),
            DbcSource(1, "b", "b.dbc", text.format(2) + text.format(3)),
            DbcSource(None, "", "any.dbc", text.format(4)),
        ]
    )
    assert MessageEncoder(dbc_set, "Status", bus=0).arbitration_id == 1
    assert MessageEncoder(dbc_set, "Status", bus=7).arbitration_id == 4
    assert MessageEncoder(dbc_set, "Status@3", bus=1).arbitration_id == 3
    assert MessageEncoder(dbc_set, "a.Status").bus == 0
    assert MessageEncoder(dbc_set, "b.Status@2").bus == 1
    with pytest.raises(UserError, match=r"several frames for bus 1 \(Status@2, Status@3\)"):
        MessageEncoder(dbc_set, "Status", bus=1)


def test_what_is_encoded_decodes_to_itself(dbc_set: DbcSet) -> None:
    plain, count = MessageEncoder(dbc_set, "Plain"), 1_000
    chance = np.random.default_rng(5)
    values = {"Little": chance.integers(0, 4096, count) / 2 - 10, "Big": chance.integers(-2048, 2048, count) * 1.0}
    frames = FrameColumns(
        np.arange(count, dtype=np.int64),
        np.full(count, plain.bus, np.uint8),
        np.full(count, plain.arbitration_id, np.uint32),
        np.full(count, plain.flags, np.uint8),
        np.full(count, plain.length, np.uint8),
        plain.encode(values),
    )
    decoded = Decoder(dbc_set).decode(frames)
    for name, expected in values.items():
        number = dbc_set.channel_index(f"Plain.{name}")
        assert number is not None
        assert np.array_equal(decoded.column(number)[1], expected)


def test_encoding_needs_neither_numba_nor_cantools() -> None:
    code = "import sys, ved.dbc.encode; sys.exit(bool({'numba', 'cantools', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
