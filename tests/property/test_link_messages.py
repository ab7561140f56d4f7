"""Link messages under random input: what is encoded comes back, and no bytes at all upset the decoder."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.link import (
    FIRST_OPTIONAL_TYPE,
    KEPT_SPACES,
    MAX_RUNS,
    NO_TIME,
    Ask,
    Authority,
    Data,
    Enrol,
    Enrolled,
    Held,
    Hello,
    Message,
    MessageType,
    Ping,
    Pong,
    Received,
    RefusalCode,
    Refused,
    Space,
    Storage,
    Stored,
    Unknown,
    Welcome,
    WireData,
    decode_message,
    encode_message,
    split_runs,
)
from ved.errors import CorruptDataError
from ved.model.records import Lane

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-(2**54), 2**54) | st.just(NO_TIME)
EPOCH = st.binary(min_size=16, max_size=16)
TEXT = st.text(max_size=60)


@st.composite
def runs(draw):
    bounds = sorted(draw(st.sets(st.integers(1, 2**64 - 1), min_size=2, max_size=12)))
    return tuple(zip(bounds[::2], bounds[1::2], strict=False))


def sets(epoch):
    return st.builds(Received, epoch, st.sampled_from(Space), runs()) | st.builds(
        Stored, epoch, st.sampled_from(KEPT_SPACES), runs()
    )


@st.composite
def held(draw):
    epoch = draw(EPOCH)
    return Held(epoch, tuple(draw(st.lists(sets(st.just(epoch)), max_size=4))))


MESSAGES = st.one_of(
    st.builds(Hello, st.sampled_from(Lane), TEXT, TEXT, EPOCH, U64, U64, TIMES, U32),
    st.builds(Welcome, TEXT, I64, st.booleans(), U32),
    st.builds(Refused, st.sampled_from(RefusalCode), TEXT),
    st.builds(WireData, st.binary(max_size=200)),
    st.builds(Data, st.binary(max_size=200)),
    sets(EPOCH),
    st.builds(Ping, U32, TIMES),
    st.builds(Pong, U32),
    st.builds(Ask, EPOCH),
    held(),
    st.builds(Storage, st.booleans()),
    st.builds(Authority, st.binary(min_size=1, max_size=100)),
    st.builds(Enrol, st.binary(min_size=16, max_size=16)),
    st.builds(Enrolled, TEXT, st.binary(min_size=32, max_size=32)),
)


@given(MESSAGES)
def test_round_trip(message: Message):
    assert decode_message(encode_message(message)) == message


@settings(max_examples=300)
@given(st.sampled_from([*MessageType, 0, 99, 127]), st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(first, rest):
    try:
        message = decode_message(bytes([first]) + rest)
    except CorruptDataError:
        return
    # Hello and Welcome may carry bytes of a later version behind their own; all others are exact.
    if not isinstance(message, Hello | Welcome):
        assert encode_message(message) == bytes([first]) + rest


@settings(max_examples=200)
@given(MESSAGES, st.data())
def test_a_cut_message_is_refused(message, data):
    whole = encode_message(message)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if isinstance(message, Data) and len(cut) >= 4:
        assert decode_message(cut) == Data(message.record[: len(cut) - 4])  # the record's own CRC tells
    elif isinstance(message, WireData) and len(cut) >= 4:
        assert decode_message(cut) == WireData(message.body[: len(cut) - 4])  # the batch's own CRC tells
    else:
        with pytest.raises(CorruptDataError):
            decode_message(cut)


@given(st.integers(FIRST_OPTIONAL_TYPE, 255), st.binary(max_size=50))
def test_optional_types_are_passed_over(first, rest):
    assert decode_message(bytes([first]) + rest) == Unknown(first)


@given(st.integers(MAX_RUNS + 1, 0xFFFF))
def test_a_run_count_over_the_cap_is_refused_before_anything_is_read(count):
    head = struct.pack("<BBHI16s", MessageType.RECEIVED, Space.SEQ, count, 0, bytes(16))
    with pytest.raises(CorruptDataError, match="runs"):
        decode_message(head)


@given(st.lists(st.integers(1, 3), max_size=3))
def test_split_runs_loses_none(portions):
    everything = [(2 * k + 1, 2 * k + 1) for k in range(sum(portions) * MAX_RUNS // 2)]
    parts = split_runs(everything)
    assert [run for part in parts for run in part] == everything
    assert all(0 < len(part) <= MAX_RUNS for part in parts)


@given(st.integers(-(2**63) + 1, -(2**54) - 1) | st.integers(2**54 + 1, 2**63 - 1))
def test_a_time_that_no_record_may_tell_is_refused(t_us):
    """The server makes a clock record of it."""
    for good, at in (
        (encode_message(Ping(7, 0)), 8),
        (encode_message(Hello(Lane.LIVE, "fs", "a", bytes(16), 1, 1, 0)), 40),
    ):
        with pytest.raises(CorruptDataError, match="within"):
            decode_message(good[:at] + struct.pack("<q", t_us) + good[at + 8 :])
    with pytest.raises(ValueError, match="within"):
        encode_message(Ping(7, t_us))
