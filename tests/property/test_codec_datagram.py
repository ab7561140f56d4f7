"""Datagrams: what is written is read back; whatever comes over the net is a datagram or refused with one error."""

import contextlib
import hmac
import struct

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ved.codec.datagram import (
    MAX_DATAGRAM_BYTES,
    Datagram,
    NamedSamples,
    decode_datagram,
    encode_datagram,
    has_right_mac,
    peek_key_id,
)
from ved.errors import CorruptDataError
from ved.model.frames import FrameColumns
from ved.model.samples import SampleChannel, SampleColumns

KEY = b"k" * 32

bounded = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def frame_rows(draw) -> tuple[int, int, int, int, bytes]:
    """dt_us, id, bus, flags, data (its length is what a remote frame asks for)."""
    is_extended, form = draw(st.booleans()), draw(st.sampled_from(("classic", "fd", "remote")))
    flags = is_extended | {"classic": 0, "fd": 2, "remote": 16}[form] | draw(st.sampled_from((0, 4, 8, 32, 64, 108)))
    data = draw(st.binary(max_size=64 if form == "fd" else 8))
    dt_us = draw(st.integers(-(2**31) + 1, 2**31 - 1))
    return dt_us, draw(st.integers(0, (1 << (29 if is_extended else 11)) - 1)), draw(st.integers(0, 255)), flags, data


@st.composite
def frame_datagrams(draw) -> Datagram:
    rows = draw(st.lists(frame_rows(), min_size=1, max_size=19))
    base_us = draw(st.integers(2**31, 2**53 - 2**31))
    dt_us = np.array([0, *(row[0] for row in rows[1:])], np.int64)
    payload = np.zeros((len(rows), 64 if any(len(row[4]) > 8 for row in rows) else 8), np.uint8)
    for at, row in enumerate(rows):
        if not row[3] & 16:
            payload[at, : len(row[4])] = np.frombuffer(row[4], np.uint8)
    frames = FrameColumns(
        base_us + dt_us,
        np.array([row[2] for row in rows], np.uint8),
        np.array([row[1] for row in rows], np.uint32),
        np.array([row[3] for row in rows], np.uint8),
        np.array([len(row[4]) for row in rows], np.uint8),
        payload,
    )
    return Datagram(draw(st.integers(0, 2**32 - 1)), draw(st.binary(min_size=16, max_size=16)),
                    draw(st.integers(1, 2**48 - 19)), base_us + draw(st.integers(0, 2**32 - 1)), frames)  # fmt: skip


@st.composite
def sample_datagrams(draw) -> Datagram:
    names = draw(st.lists(st.text("aZ.é°😀 ", min_size=1, max_size=20), min_size=1, max_size=4, unique=True))
    channels = tuple(SampleChannel(name, draw(st.text("m/s²°", max_size=5))) for name in names)
    order = [*range(len(names)), *draw(st.lists(st.integers(0, len(names) - 1), max_size=5))]
    base_us = draw(st.integers(0, 2**52))
    steps = [0, *draw(st.lists(st.integers(0, 2**31 - 1), min_size=len(order) - 1, max_size=len(order) - 1))]
    values = draw(st.lists(st.floats(width=64), min_size=len(order), max_size=len(order)))
    columns = SampleColumns(base_us + np.array(steps, np.int64), np.array(order, np.uint16), np.array(values))
    return Datagram(1, bytes(16), draw(st.integers(1, 2**48 - 19)), base_us, NamedSamples(channels, columns))


@bounded
@given(frame_datagrams() | sample_datagrams())
def test_what_is_written_is_read_back(datagram: Datagram):
    data = encode_datagram(datagram, KEY)
    assert has_right_mac(data, KEY)
    assert not has_right_mac(data, b"K" * 32)
    assert peek_key_id(data) == datagram.key_id
    back = decode_datagram(data)
    assert (back.key_id, back.epoch, back.first_seq, back.sent_at_us, back.last_seq) == (
        datagram.key_id, datagram.epoch, datagram.first_seq, datagram.sent_at_us, datagram.last_seq)  # fmt: skip
    if isinstance(datagram.entries, FrameColumns):
        assert isinstance(back.entries, FrameColumns)
        assert back.entries.equals(datagram.entries)
    else:
        assert isinstance(back.entries, NamedSamples)
        assert back.entries.channels == datagram.entries.channels
        assert back.entries.samples.equals(datagram.entries.samples)


def refuses_or_reads(data: bytes) -> None:
    """The only two ways that a receiver may take; a datagram that it reads is also one that it could have written."""
    with contextlib.suppress(CorruptDataError):
        peek_key_id(data)
        datagram = decode_datagram(data)
        assert encode_datagram(datagram, KEY)[:-16] == data[:-16]


@bounded
@given(st.binary(max_size=MAX_DATAGRAM_BYTES + 2))
def test_noise(data: bytes):
    refuses_or_reads(data)


@bounded
@given(st.sampled_from((1, 2)), st.integers(0, 20), st.binary(max_size=400))
def test_noise_behind_a_right_header(kind: int, count: int, body: bytes):
    head = struct.pack("<2sBBI16sQQIHH", b"VD", 1, kind, 7, bytes(16), 5, 1_000_000, 9, count, 0)
    refuses_or_reads(head + body + hmac.digest(KEY, head + body, "sha256")[:16])


@bounded
@given(frame_datagrams() | sample_datagrams(), st.data())
def test_changed_bytes_of_a_right_datagram(datagram: Datagram, data: st.DataObject):
    changed = bytearray(encode_datagram(datagram, KEY))
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(-3, len(changed)))
    refuses_or_reads(bytes(changed[:cut] if cut > 0 else changed + bytes(-cut)))
