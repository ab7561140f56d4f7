import math
import threading
from pathlib import Path

import numpy as np
import pytest

from ved.dbc.decode import Decoded, Decoder
from ved.dbc.load import DbcSource, load_set
from ved.model.frames import FrameColumns, FrameFlag

DATA = Path(__file__).parents[1] / "data"

TEXT = """BO_ 16 Plain: 8 X
 SG_ Little : 4|12@1+ (0.5,-10) [0|0] "" X
 SG_ Big : 23|12@0- (1,0) [0|0] "" X
 SG_ Last : 56|8@1+ (1,0) [0|0] "" X
BO_ 32 Muxed: 8 X
 SG_ Always : 8|8@1+ (1,0) [0|0] "" X
 SG_ Page0 m0 : 16|8@1+ (1,0) [0|0] "" X
 SG_ Page1 m1 : 16|16@1+ (1,0) [0|0] "" X
 SG_ Mux M : 0|8@1+ (1,0) [0|0] "" X
BO_ 48 Deep: 8 X
 SG_ Inner m1M : 4|4@1+ (1,0) [0|0] "" X
 SG_ Leaf m2 : 8|8@1+ (1,0) [0|0] "" X
 SG_ Root M : 0|4@1+ (1,0) [0|0] "" X
SG_MUL_VAL_ 48 Inner Root 1-1, 5-7;
SG_MUL_VAL_ 48 Leaf Inner 2-3;
BO_ 2147483664 Wide: 64 X
 SG_ Far : 505|7@1+ (1,0) [0|0] "" X
 SG_ Across : 60|64@1+ (1,0) [0|0] "" X
BO_ 64 Floats: 14 X
 SG_ Half : 0|16@1+ (1,0) [0|0] "" X
 SG_ Single : 16|32@1+ (2,1) [0|0] "" X
 SG_ Double : 55|64@0+ (1,0) [0|0] "" X
SIG_VALTYPE_ 64 Half : 1;
SIG_VALTYPE_ 64 Single : 1;
SIG_VALTYPE_ 64 Double : 2;
"""

Frame = tuple[int, bytes]  # id (29-bit ones as in a DBC, with bit 31), data


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(load_set([DbcSource(None, "", "test.dbc", TEXT)]))


def frames(*given: Frame, bus: int = 0, flags: int = 0, width: int = 0) -> FrameColumns:
    count = len(given)
    width = width or (64 if any(len(data) > 8 for _, data in given) else 8)
    payload = np.zeros((count, width), np.uint8)
    for row, (_, data) in enumerate(given):
        payload[row, : len(data)] = np.frombuffer(data, np.uint8)
    return FrameColumns(
        np.arange(count, dtype=np.int64) + 1000,
        np.full(count, bus, np.uint8),
        np.array([number & 0x7FFFFFFF for number, _ in given], np.uint32),
        np.array([flags | number >> 31 for number, _ in given], np.uint8),
        np.array([len(data) for _, data in given], np.uint8),
        payload,
    )


def values(decoder: Decoder, decoded: Decoded) -> dict[str, list[float]]:
    columns = {}
    for number, channel in enumerate(decoder.channels):
        found = decoded.column(number)[1].tolist()
        if found:
            columns[channel.name] = found
    return columns


def test_columns_are_grouped_by_channel_in_frame_order(decoder: Decoder) -> None:
    first, second = bytes.fromhex("34 12 80 10 00 00 00 07"), bytes.fromhex("00 00 7f f0 00 00 00 08")
    decoded = decoder.decode(frames((16, first), (0x7FF, b""), (16, second)))
    assert values(decoder, decoded) == {
        "Plain.Little": [0x123 / 2 - 10, -10.0],
        "Plain.Big": [-2047.0, 2047.0],
        "Plain.Last": [7.0, 8.0],
    }
    assert decoded.starts.tolist()[:5] == [0, 2, 4, 6, 6]
    assert decoded.rows.tolist() == [0, 2] * 3
    assert decoded.t_us.tolist() == [1000, 1002] * 3
    assert (decoded.unknown_frames, decoded.short_samples) == (1, 0)
    times, _ = decoded.column(1)
    assert np.shares_memory(times, decoded.t_us)


def test_no_frames(decoder: Decoder) -> None:
    decoded = decoder.decode(FrameColumns.empty())
    assert len(decoded.values) == 0
    assert decoded.starts.tolist() == [0] * (len(decoder.channels) + 1)


def test_a_set_without_messages_knows_no_frame() -> None:
    decoded = Decoder(load_set([])).decode(frames((16, bytes(8)), (0x80000010, bytes(8))))
    assert (decoded.unknown_frames, len(decoded.values)) == (2, 0)


def test_of_a_short_frame_the_signals_that_fit_are_decoded(decoder: Decoder) -> None:
    decoded = decoder.decode(frames((16, b"\xff\xff\x01"), (16, b"\xff"), (16, b"")))
    assert values(decoder, decoded) == {"Plain.Little": [0xFFF / 2 - 10]}
    assert decoded.short_samples == 2 + 3 + 3
    assert decoded.unknown_frames == 0


def test_a_length_that_lies_beyond_the_payload_matrix_reads_nothing_outside(decoder: Decoder) -> None:
    columns = frames((0x80000010, bytes(8)), width=8)
    lying = FrameColumns(columns.t_us, columns.bus, columns.arbitration_id, columns.flags, np.array([255], np.uint8),
                         columns.payload)  # fmt: skip
    decoded = decoder.decode(lying)
    assert (len(decoded.values), decoded.short_samples) == (0, 2)


def test_a_frame_longer_than_its_message_is_decoded(decoder: Decoder) -> None:
    decoded = decoder.decode(frames((16, bytes(7) + b"\x09" + b"\xff" * 4)))
    assert values(decoder, decoded)["Plain.Last"] == [9.0]


def test_error_and_remote_frames_decode_to_nothing_and_are_not_unknown(decoder: Decoder) -> None:
    for flag in (FrameFlag.REMOTE, FrameFlag.ERROR, FrameFlag.ERROR | FrameFlag.EXTENDED):
        decoded = decoder.decode(frames((16, bytes(8)), flags=int(flag)))
        assert (len(decoded.values), decoded.unknown_frames, decoded.short_samples) == (0, 0, 0)


def test_other_flags_do_not_matter(decoder: Decoder) -> None:
    flags = FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH | FrameFlag.ERROR_STATE | FrameFlag.TRANSMITTED
    assert len(decoder.decode(frames((16, bytes(8)), flags=int(flags))).values) == 3


def test_only_wanted_channels_are_decoded(decoder: Decoder) -> None:
    wanted = np.zeros(len(decoder.channels), np.bool_)
    wanted[[1, 5]] = True
    assert (decoder.channels[1].signal, decoder.channels[5].signal) == ("Big", "Page0")
    given = frames((16, bytes(8)), (32, b"\x00\x01\x02"), (16, b""))
    assert values(decoder, decoder.decode(given, wanted)) == {"Plain.Big": [0.0], "Muxed.Page0": [2.0]}
    assert decoder.decode(given, wanted).short_samples == 1
    with pytest.raises(ValueError, match="wanted must have shape"):
        decoder.decode(given, wanted[1:])


def test_a_multiplexer_selects(decoder: Decoder) -> None:
    decoded = decoder.decode(frames((32, b"\x00\x0a\x0b\x0c"), (32, b"\x01\x0a\x0b\x0c"), (32, b"\x07\x0d\x0b\x0c")))
    assert values(decoder, decoded) == {
        "Muxed.Mux": [0.0, 1.0, 7.0],
        "Muxed.Always": [10.0, 10.0, 13.0],
        "Muxed.Page0": [11.0],
        "Muxed.Page1": [0x0C0B],
    }


def test_what_a_multiplexer_does_not_select_is_not_short(decoder: Decoder) -> None:
    assert decoder.decode(frames((32, b"\x00\x0a\x0b"))).short_samples == 0
    assert decoder.decode(frames((32, b"\x01\x0a\x0b"))).short_samples == 1
    assert decoder.decode(frames((32, b""))).short_samples == 2


def test_multiplexers_nest_with_ranges(decoder: Decoder) -> None:
    decoded = decoder.decode(frames((48, b"\x21\x64"), (48, b"\x36\x65"), (48, b"\x41\x66"), (48, b"\x22\x67")))
    assert values(decoder, decoded) == {
        "Deep.Root": [1.0, 6.0, 1.0, 2.0],
        "Deep.Inner": [2.0, 3.0, 4.0],
        "Deep.Leaf": [100.0, 101.0],
    }


def test_can_fd_payloads_and_29_bit_ids(decoder: Decoder) -> None:
    data = bytearray(64)
    data[63] = 0xFE
    data[7:16] = bytes.fromhex("f0 ff ff ff ff ff ff ff 0f")
    decoded = decoder.decode(frames((0x80000010, bytes(data)), (16, bytes(8))))
    assert values(decoder, decoded)["Wide.Far"] == [127.0]
    assert values(decoder, decoded)["Wide.Across"] == [float(2**64 - 1)]
    assert values(decoder, decoded)["Plain.Last"] == [0.0]


def test_floats_keep_nan_infinity_and_range(decoder: Decoder) -> None:
    def frame(half: bytes, single: float, double: float) -> Frame:
        return 64, half + np.float32(single).tobytes() + np.array(double, ">f8").tobytes()

    halves = [b"\x00\x3c", b"\x01\x00", b"\xff\x7b", b"\x00\xfc", b"\x01\x7e", b"\x00\x80"]
    decoded = decoder.decode(
        frames(*(frame(half, 1e30, -1e-300) for half in halves), frame(b"\0\0", math.nan, math.inf))
    )
    found = values(decoder, decoded)
    assert found["Floats.Half"][:4] == [1.0, 2.0**-24, 65504.0, -math.inf]
    assert math.isnan(found["Floats.Half"][4])
    assert found["Floats.Single"][0] == float(np.float32(1e30)) * 2 + 1
    assert math.isnan(found["Floats.Single"][6])
    assert found["Floats.Double"][0] == -1e-300
    assert found["Floats.Double"][6] == math.inf


def test_every_half_precision_number(decoder: Decoder) -> None:
    every = np.arange(65536, dtype=np.uint16)
    payload = np.zeros((65536, 64), np.uint8)
    payload[:, :2] = every.view(np.uint8).reshape(-1, 2)
    columns = FrameColumns(
        np.arange(65536, dtype=np.int64),
        np.zeros(65536, np.uint8),
        np.full(65536, 64, np.uint32),
        np.zeros(65536, np.uint8),
        np.full(65536, 14, np.uint8),
        payload,
    )
    number = next(index for index, channel in enumerate(decoder.channels) if channel.signal == "Half")
    with np.errstate(invalid="ignore"):
        expected = every.view(np.float16).astype(np.float64)
    assert np.array_equal(decoder.decode(columns).column(number)[1], expected, equal_nan=True)


def test_ids_that_cannot_be_are_unknown(decoder: Decoder) -> None:
    for arbitration_id, flags in ((2048 + 16, 0), (0x20000010, 1), (0xFFFFFFFF, 1), (0xFFFFFFFF, 0)):
        columns = frames((16, bytes(8)))
        strange = FrameColumns(columns.t_us, columns.bus, np.array([arbitration_id], np.uint32),
                               np.array([flags], np.uint8), columns.length, columns.payload)  # fmt: skip
        assert decoder.decode(strange).unknown_frames == 1


def test_a_bus_has_its_own_definitions_before_those_of_any_bus() -> None:
    def text(dbc_id: int, name: str) -> str:
        return f'BO_ {dbc_id} {name}: 1 X\n SG_ V : 0|8@1+ (1,0) [0|0] "" X\n'

    for extended in (0, 0x80000000):
        both = Decoder(
            load_set(
                [
                    DbcSource(None, "", "any.dbc", text(extended | 1, "Any1") + text(extended | 2, "Any2")),
                    DbcSource(1, "b1", "own.dbc", text(extended | 1, "Own1")),
                    DbcSource(200, "b200", "other.dbc", text(extended | 1, "Own1") + text(extended | 3, "Own3")),
                ]
            )
        )
        given = [(extended | 1, b"\x01"), (extended | 2, b"\x02"), (extended | 3, b"\x03")]
        found = {bus: values(both, both.decode(frames(*given, bus=bus))) for bus in (0, 1, 200)}
        assert found == {
            0: {"Any1.V": [1.0], "Any2.V": [2.0]},
            1: {"b1.Own1.V": [1.0], "Any2.V": [2.0]},
            200: {"b200.Own1.V": [1.0], "Any2.V": [2.0], "Own3.V": [3.0]},
        }


def test_many_29_bit_ids_are_all_found() -> None:
    chance = np.random.default_rng(3)
    ids = np.unique(chance.integers(0, 1 << 29, 3_000))
    text = "".join(f'BO_ {0x80000000 | number} M{number}: 1 X\n SG_ V : 0|8@1+ (1,0) [0|0] "" X\n' for number in ids)
    many = Decoder(load_set([DbcSource(None, "", "many.dbc", text)]))
    decoded = many.decode(frames(*((0x80000000 | int(number), b"\x05") for number in ids)))
    assert decoded.unknown_frames == 0
    assert np.array_equal(decoded.rows, np.arange(len(ids)))
    wrong = np.setdiff1d(ids + 1, ids)
    assert many.decode(frames(*((0x80000000 | int(number), b"\x05") for number in wrong))).unknown_frames == len(wrong)


def test_readonly_strided_and_writable_columns_give_the_same(decoder: Decoder) -> None:
    given = frames(*[(16, bytes(range(row, row + 8))) for row in range(10)])
    expected = decoder.decode(given.take(slice(0, None, 2)))
    frozen = given.take(slice(None))
    for column in (frozen.t_us, frozen.bus, frozen.arbitration_id, frozen.flags, frozen.length, frozen.payload):
        column.flags.writeable = False
    wide = np.zeros((10, 64), np.uint8)
    wide[:, :8] = given.payload
    padded = FrameColumns(given.t_us, given.bus, given.arbitration_id, given.flags, given.length, wide)
    for other in (frozen, padded):
        decoded = decoder.decode(other.take(slice(0, None, 2)))
        assert np.array_equal(decoded.values, expected.values)
        assert np.array_equal(decoded.t_us, expected.t_us)
    assert given.payload.flags.writeable


def test_a_decoder_serves_several_threads(decoder: Decoder) -> None:
    given = frames(*[(16, bytes(range(row % 200, row % 200 + 8))) for row in range(5_000)])
    expected = decoder.decode(given).values
    results: list[bool] = []

    def work() -> None:
        results.extend(np.array_equal(decoder.decode(given).values, expected) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


def test_cutting_a_batch_changes_nothing(decoder: Decoder) -> None:
    chance = np.random.default_rng(1)
    ids = chance.choice([16, 32, 48, 0x80000010, 64, 99], 400)
    given = frames(*[(int(number), chance.bytes(int(chance.integers(0, 9)))) for number in ids], width=64)
    whole = decoder.decode(given)
    parts = [decoder.decode(given.take(slice(at, at + 37))) for at in range(0, 400, 37)]
    for number in range(len(decoder.channels)):
        assert np.array_equal(
            np.concatenate([part.column(number)[1] for part in parts]), whole.column(number)[1], equal_nan=True
        )
    assert sum(part.unknown_frames for part in parts) == whole.unknown_frames
    assert sum(part.short_samples for part in parts) == whole.short_samples


J1939 = f"""BO_ {0x98FF0400} Engine: 8 X
 SG_ Speed : 24|16@1+ (0.125,0) [0|8031.875] "rpm" X
BO_ {0x98EA0000} Request: 3 X
 SG_ Group : 0|24@1+ (1,0) [0|0] "" X
BO_ {0x98FF0401} EngineOfOne: 8 X
 SG_ Speed : 24|16@1+ (1,0) [0|0] "rpm" X
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
BA_ "VFrameFormat" BO_ {0x98FF0401} 1;
"""


def test_a_j1939_message_takes_its_whole_group_and_an_own_id_stands_before_it() -> None:
    decoder = Decoder(load_set([DbcSource(None, "", "truck.dbc", J1939)]))
    data = bytes([0, 0, 0, 0x10, 0, 0, 0, 0])
    engine = [0x98FF0000 | 0x0400 | source for source in (0x00, 0x05)]  # another source than the file's
    other_priority, own_id, other_group = 0x8CFF0400, 0x98FF0401, 0x98FF0500
    requests = [0x98EA0000 | target << 8 | source for target, source in ((0x00, 0x21), (0xFF, 0xF9))]
    assert [message.is_j1939 for message in decoder.dbc_set.messages] == [True, True, False]
    given = [(number, data) for number in (*engine, other_priority, own_id, other_group, *requests)]
    decoded = decoder.decode(frames(*given, (0x7FF, data)))
    assert values(decoder, decoded) == {
        "Engine.Speed": [2.0, 2.0, 2.0],
        "EngineOfOne.Speed": [16.0],
        "Request.Group": [0.0, 0.0],
    }
    assert decoded.unknown_frames == 2
