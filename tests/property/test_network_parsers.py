"""Frames that come over a network: what was written comes back, and nothing that comes can do harm."""

import struct
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.canbus.network.candumptext import MAX_LINE, CandumpTalk
from ved.canbus.network.cannelloni import Place, SequenceWatch, parse_cannelloni
from ved.canbus.network.mqttframes import NumberWatch, parse_mqtt_frames
from ved.canbus.network.multicast import parse_multicast
from ved.canbus.network.rawframes import NO_STAMP, RawFrames
from ved.canbus.network.remoteclock import RemoteClock
from ved.canbus.network.socketcand import SocketcandTalk
from ved.errors import CorruptDataError
from ved.model.frames import FrameColumns, FrameFlag

DEFAULT = settings(max_examples=40, deadline=None)
LONG = settings(max_examples=5_000, deadline=None)


@dataclass(frozen=True)
class Frame:
    """A frame as the sender has it: the model of all formats."""

    number: int
    is_extended: bool
    data: bytes
    is_remote: bool = False
    length: int = 0
    fd_flags: int | None = None

    @property
    def raw_id(self) -> int:
        return self.number | (0x8000_0000 if self.is_extended else 0) | (0x4000_0000 if self.is_remote else 0)


@st.composite
def frames(draw: st.DrawFn, *, with_fd: bool = True, with_remote: bool = True) -> Frame:
    extended = draw(st.booleans())
    number = draw(st.integers(0, 0x1FFF_FFFF if extended else 0x7FF))
    kinds = ["classic"] + (["fd"] if with_fd else []) + (["remote"] if with_remote else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "remote":
        return Frame(number, extended, b"", True, draw(st.integers(0, 8)))
    data = draw(st.binary(max_size=64 if kind == "fd" else 8))
    return Frame(number, extended, data, False, len(data), draw(st.integers(0, 3)) if kind == "fd" else None)


def seen(found: RawFrames) -> list[Frame]:
    """The frames as they would be stored."""
    columns = found.columns(3, np.arange(len(found), dtype=np.int64)) if len(found) else FrameColumns.empty()
    out = []
    for row in range(len(columns)):
        flags, length = int(columns.flags[row]), int(columns.length[row])
        is_fd, is_remote = bool(flags & FrameFlag.FD), bool(flags & FrameFlag.REMOTE)
        bits = (1 if flags & FrameFlag.BIT_RATE_SWITCH else 0) | (2 if flags & FrameFlag.ERROR_STATE else 0)
        data = b"" if is_remote else columns.payload[row, :length].tobytes()
        extended = bool(flags & FrameFlag.EXTENDED)
        number = int(columns.arbitration_id[row])
        out.append(Frame(number, extended, data, is_remote, length, bits if is_fd else None))
    return out


def cannelloni(sent: list[Frame], sequence: int = 0) -> bytes:
    out = struct.pack(">BBBH", 2, 0, sequence, len(sent))
    for one in sent:
        is_fd = one.fd_flags is not None
        out += struct.pack(">IB", one.raw_id, one.length | (0x80 if is_fd else 0))
        out += (bytes([one.fd_flags]) if is_fd else b"") + one.data
    return out


def mqtt(sent: list[Frame], life: int = 7, first: int = 0, start_us: int = 0) -> bytes:
    out = struct.pack("<BBHIIQ", 1, 0, len(sent), life, first, start_us)
    for row, one in enumerate(sent):
        kind = 0 if one.fd_flags is None else 4 | one.fd_flags
        out += struct.pack("<IIBB", one.raw_id, row * 100, one.length, kind) + one.data
    return out


def log_line(one: Frame, time_us: int) -> bytes:
    number = f"{one.number:08X}" if one.is_extended else f"{one.number:03X}"
    data = one.data.hex().upper()
    if one.is_remote:
        data = f"R{one.length}" if one.length else "R"
    elif one.fd_flags is not None:
        data = f"#{one.fd_flags:X}{data}"
    return f"({time_us // 10**6}.{time_us % 10**6:06d}) can0 {number}#{data}\n".encode()


def console_line(one: Frame) -> bytes:
    number = f"{one.number:08X}" if one.is_extended else f"     {one.number:03X}"
    length = f"[{one.length:02d}]" if one.fd_flags is not None else f" [{one.length}]"
    data = "  ".join(["", " ".join(f"{byte:02X}" for byte in one.data)]) if not one.is_remote else "  remote request"
    return f"  can0  {number}  {length}{data}\n".encode()


def socketcand(one: Frame) -> bytes:
    number = f"{one.number:08X}" if one.is_extended else f"{one.number:03X}"
    if one.is_remote:
        return f"< rtr {number} 23.424242 {one.length} >".encode()
    if one.fd_flags is not None:
        return f"< fdframe {number} {one.fd_flags:02X} 23.424242 {one.data.hex().upper()} >".encode()
    return f"< frame {number} 23.424242 {one.data.hex().upper()} >".encode()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@DEFAULT
@given(st.lists(frames(), max_size=20), st.integers(0, 255))
def test_cannelloni_comes_back(sent: list[Frame], sequence: int) -> None:
    found = parse_cannelloni(cannelloni(sent, sequence))
    assert found.sequence == sequence
    assert seen(found.frames) == sent


def check_damage(whole: bytes, cut: int, place: int, value: int) -> None:
    """Cut, grown or changed: refused whole, or as many frames as it says; never anything else."""
    for damaged in (whole[: cut % len(whole)], whole + b"\0"):
        with pytest.raises(CorruptDataError):
            parse_cannelloni(damaged)
    changed = bytearray(whole)
    changed[place % len(whole)] = value
    try:
        found = parse_cannelloni(bytes(changed))
    except CorruptDataError:
        return
    assert len(found.frames) == int.from_bytes(changed[3:5], "big")


DAMAGE = (st.lists(frames(), min_size=1, max_size=5), st.integers(0, 400), st.integers(0, 400), st.integers(0, 255))


@DEFAULT
@given(*DAMAGE)
def test_a_damaged_cannelloni_datagram_is_refused_whole(sent: list[Frame], cut: int, place: int, value: int) -> None:
    check_damage(cannelloni(sent), cut, place, value)


@pytest.mark.slow
@LONG
@given(*DAMAGE)
def test_a_damaged_cannelloni_datagram_is_refused_whole_long(
    sent: list[Frame], cut: int, place: int, value: int
) -> None:
    check_damage(cannelloni(sent), cut, place, value)


@DEFAULT
@given(st.lists(st.sampled_from(["send", "lose", "repeat", "late"]), max_size=300))
def test_the_sequence_tells_gaps_repeats_and_late_ones(steps: list[str]) -> None:
    """Against a sender that knows what it did. The sequence wraps several times."""
    watch = SequenceWatch()
    arrived: list[int] = []
    missing: list[int] = []
    number = 0
    for step in steps:
        newest = max(arrived, default=0)
        late = [one for one in missing if arrived and min(arrived) < one < newest and newest - one < 100]
        if step == "repeat" and arrived:
            assert watch.place(arrived[-1] % 256, struct.pack("<I", arrived[-1])) is Place.REPEATED
        elif step == "late" and late:
            missing.remove(late[-1])
            assert watch.place(late[-1] % 256, struct.pack("<I", late[-1])) is Place.LATE
        elif step == "lose" and number - newest < 100:
            missing.append(number)
            number += 1
        else:
            is_gap = bool(arrived) and number > newest + 1
            assert watch.place(number % 256, struct.pack("<I", number)) is (Place.AFTER_GAP if is_gap else Place.NEXT)
            arrived.append(number)
            number += 1


@DEFAULT
@given(st.binary(max_size=200))
def test_nothing_upsets_a_parser(data: bytes) -> None:
    check_anything(data)


@pytest.mark.slow
@LONG
@given(st.binary(max_size=2_000))
def test_nothing_upsets_a_parser_long(data: bytes) -> None:
    check_anything(data)


def check_anything(data: bytes) -> None:
    for parse in (parse_cannelloni, parse_multicast, parse_mqtt_frames):
        for one in (data, b"\x02\x00" + data, b"\x01\x00\x01\x00" + data, b"\x8b" + data):
            try:
                parse(one)
            except CorruptDataError:
                continue
    for one in (data, data + b"\n", b"(1436509052.249713) can0 044#2A" + data + b"\n"):
        CandumpTalk().feed(one)
    talk = SocketcandTalk("can0")
    talk.feed(b"< hi >< ok >< ok >")
    for one in (data, b"< frame " + data, data + b" >", b"< error " + data + b" >"):
        talk.feed(one)


@DEFAULT
@given(st.lists(frames(), min_size=1, max_size=20), st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_mqtt_frames_come_back_with_their_times(sent: list[Frame], first: int, start_us: int) -> None:
    found = parse_mqtt_frames(mqtt(sent, 9, first, start_us))
    assert (found.life, found.first) == (9, first)
    assert seen(found.frames) == sent
    assert found.frames.stamps_us.tolist() == [start_us + 100 * row for row in range(len(sent))]
    for damaged in (mqtt(sent)[:-1], mqtt(sent) + b"\0", b"\x02" + mqtt(sent)[1:]):
        with pytest.raises(CorruptDataError):
            parse_mqtt_frames(damaged)


@DEFAULT
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=30),
)
def test_numbers_of_frames_tell_losses_and_repeats_exactly(start: int, steps: list[tuple[int, int, int]]) -> None:
    """Payloads with gaps, each sent twice, some that overlap, and an older one again: every frame counts once."""
    watch, at, sent = NumberWatch(), start, []
    for gap, count, back in steps:
        if sent:
            overlapping = parse_mqtt_frames(mqtt([Frame(1, False, b"")] * (back + count), 1, (at - back) % 2**32))
            assert watch.skip(overlapping) == (0, back)
            at += count
        at += gap
        payload = parse_mqtt_frames(mqtt([Frame(1, False, b"")] * count, 1, at % 2**32))
        told = watch.skip(payload)
        assert told == ((gap if sent else 0), 0)
        assert watch.skip(payload) == (0, count)
        if sent:
            assert watch.skip(sent[0]) == (0, len(sent[0].frames))
        sent.append(payload)
        at += count
    again = parse_mqtt_frames(mqtt([Frame(1, False, b"")], 2, 5))
    assert watch.skip(again) == (5, 0)  # the sender began anew, and its first five never came
    assert watch.skip(sent[-1]) is None  # of the life before: all of it came, or never will


@DEFAULT
@given(st.lists(frames(), min_size=1, max_size=10), st.lists(st.integers(0, 2_000), max_size=8))
def test_candump_in_both_forms_however_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    time_us = 1_436_509_052_249_713
    log = b"".join(log_line(one, time_us + row) for row, one in enumerate(sent))
    console = b"".join(console_line(one) for one in sent)
    for text, is_stamped in ((log, True), (console, False)):
        talk = CandumpTalk("can0")
        found = [talk.feed(piece) for piece in pieces_of(text, cuts)]
        got = [one for part in found for one in seen(part)]
        expected = sent if is_stamped else [without_flags(one) for one in sent]
        assert got == expected
        stamps = [stamp for part in found for stamp in part.stamps_us.tolist()]
        assert stamps == [time_us + row if is_stamped else NO_STAMP for row in range(len(sent))]
        assert sum(part.refused for part in found) == 0
        assert len(CandumpTalk("can1").feed(text)) == 0


def without_flags(one: Frame) -> Frame:
    """The console does not show the flags of a CAN FD frame."""
    return one if one.fd_flags is None else Frame(one.number, one.is_extended, one.data, False, one.length, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"  can0  123   [4]  11 22 33 44", Frame(0x123, False, b"\x11\x22\x33\x44", False, 4)),
        (b" (1436509052.249713)  can0  123   [1]  2A   '*'", Frame(0x123, False, b"*", False, 1)),
        (b"  can0  RX - -  00000123   [0]", Frame(0x123, True, b"")),
        (b"  can0  TX B E  123  [04]  11 22 33 44", Frame(0x123, False, b"\x11\x22\x33\x44", False, 4, 0)),
        (b"  can0  123   [3]  remote request", Frame(0x123, False, b"", True, 3)),
    ],
)
def test_lines_as_candump_prints_them(line: bytes, expected: Frame) -> None:
    found = CandumpTalk().feed(line + b"\r\n")
    assert (seen(found), found.refused) == ([expected], 0)


def test_an_error_frame_on_the_console() -> None:
    found = CandumpTalk().feed(b"  can0  20000004   [8]  00 08 00 00 00 00 00 00   ERRORFRAME\n")
    columns = found.columns(0, np.zeros(1, np.int64))
    assert (columns.flags[0], columns.arbitration_id[0]) == (FrameFlag.ERROR, 4)
    assert columns.payload[0].tolist() == [0, 8, 0, 0, 0, 0, 0, 0]


def test_lines_that_are_none_cost_themselves() -> None:
    good = b"(1436509052.249713) can0 044#2A\n"
    talk = CandumpTalk()
    whole = good + b"hello\n" + good + b"x" * 3 * MAX_LINE + b"\n" + good + b"\n  can0  123   [9]  11\n" + good
    parts = [talk.feed(piece) for piece in pieces_of(whole, list(range(0, len(whole), 100)))]
    assert sum(map(len, parts)) == 4
    assert sum(part.refused for part in parts) == 3


@DEFAULT
@given(st.lists(frames(), min_size=1, max_size=10), st.lists(st.integers(0, 1_000), max_size=8))
def test_socketcand_however_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    text = b"< hi >< ok >< ok >" + b"".join(socketcand(one) for one in sent)
    talk = SocketcandTalk("can0")
    parts = [talk.feed(piece) for piece in pieces_of(text, cuts)]
    assert [one for part in parts for one in seen(part)] == sent
    assert sum(part.refused for part in parts) == 0
    assert talk.answer == b"< open can0 >< rawmode >"


def test_socketcand_bytes_with_spaces_as_its_documentation_has_them() -> None:
    talk = SocketcandTalk("can0")
    talk.feed(b"< hi >< ok >< ok >")
    found = talk.feed(b"< frame 123 23.424242 11 22 3 44 >< error 004 23.424243 >< what >< stat 1 2 3 4 >")
    assert found.stamps_us.tolist() == [23_424_242, 23_424_243]
    columns = found.columns(0, found.stamps_us)
    assert columns.payload[0, :4].tolist() == [0x11, 0x22, 3, 0x44]
    assert columns.flags.tolist() == [0, FrameFlag.ERROR]
    assert found.refused == 1


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n>", b"< hi >< error could not open bus >", b"x" * 2_000, b"< ok >"]
)
def test_a_daemon_that_does_not_let_us_in(said: bytes) -> None:
    with pytest.raises(CorruptDataError):
        SocketcandTalk("can0").feed(said)


@DEFAULT
@given(frames(), st.floats(1, 1e10, allow_nan=False))
def test_multicast_as_python_can_packs_it(one: Frame, timestamp: float) -> None:
    import can
    from can.interfaces.udp_multicast.utils import pack_message

    message = can.Message(
        timestamp=timestamp,
        arbitration_id=one.number,
        is_extended_id=one.is_extended,
        is_remote_frame=one.is_remote,
        dlc=one.length if one.is_remote else None,
        data=one.data,
        is_fd=one.fd_flags is not None,
        bitrate_switch=bool((one.fd_flags or 0) & 1),
        error_state_indicator=bool((one.fd_flags or 0) & 2),
        check=False,
    )
    found = parse_multicast(pack_message(message))
    assert seen(found) == [one]
    assert found.stamps_us.tolist() == [round(timestamp * 1e6)]


@DEFAULT
@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 50_000)), min_size=1, max_size=60),
    st.integers(-(10**15), 10**15),
    st.floats(-50e-6, 50e-6),
)
def test_a_far_clock_keeps_its_spacing_and_is_never_ahead(
    steps: list[tuple[int, int]], offset_us: int, drift: float
) -> None:
    """Sent in order, each with a delay of its own: never after its arrival, never backwards, and as early as it was
    sent, give or take the least delay and the drift.
    """
    clock, sent_us, arrived_us, last_us = RemoteClock(), 0, 0, -(1 << 60)
    least_us = 1 << 60
    for step_us, delay_us in steps:
        sent_us += step_us
        arrived_us = max(arrived_us, sent_us + delay_us)
        least_us = min(least_us, arrived_us - sent_us)
        stamp = np.array([round(sent_us * (1 + drift)) + offset_us], np.int64)
        (local_us,) = clock.to_local(stamp, arrived_us).tolist()
        assert last_us <= local_us <= arrived_us
        assert local_us >= min(sent_us, arrived_us) - 200e-6 * arrived_us - 2
        assert local_us - sent_us <= max(least_us + 200e-6 * arrived_us + 2, last_us - sent_us)
        last_us = local_us


def test_a_far_clock_that_jumps_is_believed_anew() -> None:
    """Forwards, a little backwards, and far backwards."""
    clock, second = RemoteClock(), 1_000_000
    stamps = (10**9, 10**9 + 500, 10**15, 10**15 - 30 * second, 10**15 - 29 * second, 5_000, 6_000)
    for stamp_us, arrived_us in zip(stamps, (1_000, 1_500, 2_000, 2_500, 1_002_500, 1_003_500, 1_004_500), strict=True):
        (local_us,) = clock.to_local(np.array([stamp_us], np.int64), arrived_us).tolist()
        assert local_us == arrived_us


def test_a_far_clock_that_runs_slow_for_hours_is_followed() -> None:
    """50 ppm are 540 ms in three hours."""
    clock = RemoteClock()
    for second in range(0, 3 * 3600, 10):
        stamp = np.array([round(second * 1e6 * (1 - 50e-6))], np.int64)
        (local_us,) = clock.to_local(stamp, second * 1_000_000 + 2_000).tolist()
        assert abs(local_us - second * 1_000_000 - 2_000) < 1_500
