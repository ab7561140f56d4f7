"""Any numbers that have room in a record's fields: what is understood fits wherever the roles put it, and only that."""

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sealed import MOST, numbers_of, seal, seal_note

from ved.api.unpack import decode_entry
from ved.codec.batch import encode_batch
from ved.codec.columns import pack_columns
from ved.codec.link import Space
from ved.codec.records import decode_record, encode_record, peek
from ved.codec.samples import _content, encode_samples
from ved.errors import CorruptDataError
from ved.ingest.recent import Recent
from ved.link.span import span_of
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Clock, ClockSource, Loss, LossPlace, RecordKind
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

EDGES = [edge + by for edge in (0, 2**31, 2**53, MOST, 2**62, 2**63 - 1) for by in (-1, 0, 1)]
I64 = st.integers(-(2**63), 2**63 - 1)
U64 = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([one for one in EDGES if one >= 0] + [2**64 - 1]))
TIMES = st.one_of(I64, st.sampled_from([sign * one for one in EDGES if one < 2**63 for sign in (1, -1)]))
LOSSES = st.builds(
    Loss, st.just("fs"), st.just(bytes(16)), U64, st.sampled_from(LossPlace), st.integers(0, 255), TIMES, TIMES, TIMES,
    U64, U64,
)  # fmt: skip
CLOCKS = st.builds(
    Clock, st.just("fs"), st.just(bytes(16)), U64, TIMES, TIMES, st.sampled_from(ClockSource), TIMES
)  # fmt: skip


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE one (number BIGINT)")
    yield connection
    connection.close()


def understood(data: bytes) -> object | None:
    """The record, by both decoders; None when it was refused, by both."""
    found = []
    for decode in (decode_record, decode_entry):
        try:
            found.append(decode(data))
        except CorruptDataError:
            found.append(None)
    assert (found[0] is None) == (found[1] is None)
    return found[0]


@settings(max_examples=400, deadline=None)
@given(st.one_of(LOSSES, CLOCKS))
def test_a_note_is_understood_when_it_fits_and_then_goes_anywhere(table: sqlite3.Connection, note: Loss | Clock):
    fits = all(abs(one) <= MOST for one in numbers_of(note))
    fits &= not isinstance(note, Loss) or note.first_seq <= note.last_seq
    data = seal_note(note)
    assert understood(data) == (note if fits else None)
    if not fits:
        with pytest.raises(ValueError, match=r"within|seqs"):
            encode_record(note)
        return
    assert encode_record(note) == data
    for number in numbers_of(note):
        table.execute("INSERT INTO one VALUES (?)", (number,))
    table.execute("DELETE FROM one")
    Recent().add_written(span_of(peek(data)), 0, 0)
    if isinstance(note, Clock):
        clock = ClockMap.best([ClockPair(note.t_us, note.utc_us, note.source, note.error_us)])
        ends = np.array([-MOST, MOST], np.int64)
        assert clock.to_utc(ends).tolist() == [one + note.utc_us - note.t_us for one in ends.tolist()]
        assert (clock.to_utc(ends).astype("datetime64[us]").astype("datetime64[Y]").astype(int) + 1970 > 0).all()


@settings(max_examples=200, deadline=None)
@given(U64, st.lists(TIMES, min_size=1, max_size=4), st.sampled_from([RecordKind.BATCH, RecordKind.PREVIEW]))
def test_frames_are_understood_when_number_and_times_fit(number: int, times: list[int], kind: RecordKind):
    n = len(times)
    zeros = np.zeros(n, np.uint8)
    t_us = np.array(times, np.int64)
    frames = FrameColumns(t_us, zeros, np.zeros(n, np.uint32), zeros, zeros, np.zeros((n, 8), np.uint8))
    data = seal(kind, number, n, zstandard.compress(b"".join(pack_columns(frames))))
    fits = number + n <= MOST and all(abs(one) <= MOST for one in times)
    found = understood(data) if number else None
    assert (found is not None) == (fits and number > 0)
    if found is not None:
        span = span_of(peek(data))
        Recent().add_written(span, 0, 0)
        assert span.space in (Space.SEQ, Space.PREVIEW)
    elif number:
        with pytest.raises(ValueError, match=r"within|number"):
            encode_batch(FrameBatch("fs", bytes(16), number, frames))


@settings(max_examples=200, deadline=None)
@given(U64.filter(bool), st.lists(TIMES, min_size=1, max_size=4))
def test_samples_are_written_when_seq_and_times_fit_and_then_understood(first: int, times: list[int]):
    n = len(times)
    columns = SampleColumns(np.array(times, np.int64), np.zeros(n, np.uint16), np.zeros(n))
    batch = SampleBatch("fs", bytes(16), first, (SampleChannel("a.b"),), columns)
    fits = first + n <= MOST and all(abs(one) <= MOST for one in times)
    assert (understood(seal(RecordKind.SAMPLES, first, n, zstandard.compress(_content(batch)))) is not None) == fits
    if fits:
        assert understood(encode_samples(batch)) is not None
        return
    with pytest.raises(ValueError, match=r"within|number"):
        encode_samples(batch)
