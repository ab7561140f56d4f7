"""Any frames whatever survive the wire, whatever is known of them; what is damaged is refused, never shown."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ved.codec.layout import FILTERS, Field, Layout, Word, default_layout, pack_layout, unpack_layout, word_sizes
from ved.codec.learn import LayoutBook, learn_layout
from ved.codec.rice import MAX_K, NumberReader, pack_numbers
from ved.codec.wire import WireDecoder, WireEncoder
from ved.errors import CorruptDataError
from ved.ingest.wirekernel import CompiledEngine, CompiledNumbers
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag

EPOCH = bytes(range(16))
times = st.one_of(st.integers(0, 3), st.integers(0, 10**7), st.integers(-(2**63), 2**63 - 1))
few_numbers = st.integers(0, 3)
flag_bits = st.sampled_from([0, 1, 2, 16, 17, 32, 255])


@st.composite
def frame_rows(draw):
    flags = draw(flag_bits)
    data = draw(st.one_of(st.binary(min_size=8, max_size=8), st.binary(max_size=8), st.binary(max_size=64)))
    length = len(data)
    if flags & FrameFlag.REMOTE:
        data, length = b"", draw(st.integers(0, 64))
    number = draw(st.one_of(few_numbers, st.integers(0, 2**32 - 1)))
    return draw(times), draw(st.integers(0, 1)), number, flags, length, data


@st.composite
def layouts(draw, data_bytes: int):
    numbers = st.sampled_from(sorted(FILTERS))
    starts = st.integers(0, 41)
    words = []
    for size in word_sizes(data_bytes):
        edges = sorted({0, 8 * size, *draw(st.lists(st.integers(1, 8 * size - 1), max_size=6))})
        fields = tuple(Field(end - first, draw(numbers), draw(starts)) for first, end in itertools.pairwise(edges))
        words.append(Word(draw(st.booleans()), fields))
    return Layout(Field(64, draw(numbers), draw(starts)), tuple(words))


class AnyLayouts:
    """Another layout for a group whenever it is asked for."""

    def __init__(self, data: st.DataObject | None) -> None:
        self._data = data

    def find(self, key):
        if self._data is None or not self._data.draw(st.booleans()):
            return None
        return self._data.draw(layouts(key.data_bytes))

    def observe(self, *_):
        pass


def columns(rows) -> FrameColumns:
    width = 64 if any(len(row[5]) > 8 for row in rows) else 8
    kinds = (np.int64, np.uint8, np.uint32, np.uint8, np.uint8)
    payload = np.frombuffer(b"".join(row[5].ljust(width, b"\0") for row in rows), np.uint8).reshape(len(rows), width)
    return FrameColumns(*(np.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)), payload)


class BothDecoders:
    """The decoder in NumPy and the compiled one: they must say the same of any bytes."""

    def __init__(self) -> None:
        self._decoders = WireDecoder("fs"), WireDecoder("fs", CompiledEngine())

    def decode(self, data: bytes) -> FrameBatch:
        found = []
        for decoder in self._decoders:
            try:
                found.append(decoder.decode(data))
            except CorruptDataError:
                found.append(None)
        array, compiled = found
        if array is None or compiled is None:
            assert array is compiled
            raise CorruptDataError("both refuse")
        assert (compiled.epoch, compiled.first_seq) == (array.epoch, array.first_seq)
        assert compiled.frames.equals(array.frames)
        return array


def through(batches, known) -> list[bytes]:
    """The messages, once both ends have agreed on every batch."""
    encoder, decoder, messages = WireEncoder(known), BothDecoders(), []
    for batch in batches:
        message = encoder.encode(batch)
        assert message is not None
        found = decoder.decode(message)
        assert (found.vehicle, found.epoch, found.first_seq) == ("fs", batch.epoch, batch.first_seq)
        assert found.frames.equals(batch.frames)
        messages.append(message)
    return messages


@settings(max_examples=60, deadline=None)
@given(
    st.lists(frame_rows(), min_size=1, max_size=8),
    st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=50), min_size=1, max_size=5),
    st.lists(st.tuples(st.booleans(), st.integers(1, 2**64 - 60)), min_size=5, max_size=5),
    st.data(),
)
def test_any_batches_of_any_epoch_come_back_whatever_the_layouts(rows, picks, places, data):
    batches = [
        FrameBatch("fs", EPOCH if is_this else bytes(16), seq, columns([rows[at % len(rows)] for at in pick]))
        for pick, (is_this, seq) in zip(picks, places, strict=False)
    ]
    through(batches, AnyLayouts(data))


def drive(seed: int, count: int, width: int = 8) -> list[FrameBatch]:
    """Batches of four messages that move."""
    rng = np.random.default_rng(seed)
    batches, seq = [], 1
    values = rng.integers(0, 2**16, (4, width // 2)).astype(np.int64)
    speeds = np.zeros_like(values)
    for batch in range(count):
        rows = []
        for step in range(20):
            speeds += rng.integers(-5, 6, values.shape)
            values += speeds
            for number in range(4):
                data = (values[number] % 2**16).astype("<u2" if number % 2 else ">u2").tobytes()
                t_us = (batch * 20 + step) * 10_000 + int(rng.integers(0, 300)) + number
                rows.append((t_us, 0, number, 2 if width > 8 else 0, width, data))
        batches.append(FrameBatch("fs", EPOCH, seq, columns(rows)))
        seq += len(rows)
    return batches


@pytest.mark.parametrize("width", [8, 64])
def test_learned_layouts_save_bytes_and_bring_every_frame_back(width):
    batches = drive(1, 24, width)
    plain = through(batches, AnyLayouts(None))
    learned = through(batches, LayoutBook())
    assert learned[:7] == plain[:7]  # 128 frames of a group were not seen yet
    assert sum(map(len, learned[-4:])) < 0.85 * sum(map(len, plain[-4:]))


def test_what_was_learned_serves_the_next_connection():
    book = LayoutBook()
    batches = drive(2, 24)
    first = through(batches[:20], book)
    second = through(batches[20:], book)
    assert len(second[-1]) < len(first[3])


DAMAGED = drive(3, 3)
MESSAGES = through(DAMAGED, AnyLayouts(None))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10**6))
def test_a_flipped_bit_is_never_shown(at, bit):
    """The batch is refused, or unharmed (bits that mean nothing), or harm shows in one of the next."""
    bit %= 8 * len(MESSAGES[at])
    changed = bytearray(MESSAGES[at])
    changed[bit // 8] ^= 1 << bit % 8
    messages = [*MESSAGES[:at], bytes(changed), *MESSAGES[at + 1 :]]
    decoder = BothDecoders()
    for message, batch in zip(messages, DAMAGED, strict=True):
        try:
            found = decoder.decode(message)
        except CorruptDataError:
            return
        assert (found.epoch, found.first_seq) == (batch.epoch, batch.first_seq)
        assert found.frames.equals(batch.frames)


@pytest.mark.parametrize("order", [(0, 2), (1,), (0, 1, 1), (0, 0, 2)])
def test_a_message_that_was_not_meant_for_this_state_is_refused(order):
    decoder = BothDecoders()
    for at in order[:-1]:
        assert decoder.decode(MESSAGES[at]).frames.equals(DAMAGED[at].frames)
    with pytest.raises(CorruptDataError):
        decoder.decode(MESSAGES[order[-1]])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_never_do_more_than_be_refused(data, goes_on):
    decoder = BothDecoders()
    if goes_on:
        decoder.decode(MESSAGES[0])
        data = MESSAGES[1][:4] + data
    with pytest.raises(CorruptDataError):
        decoder.decode(data)


def test_what_breaks_the_limits_goes_as_it_stands_and_the_next_batch_travels_again():
    encoder, decoder = WireEncoder(AnyLayouts(None)), BothDecoders()
    small = drive(4, 1)[0]
    count = 3_000
    varied = columns([(at, 0, at, 0, 8, bytes(8)) for at in range(count)])
    first = encoder.encode(small)
    assert first is not None
    assert decoder.decode(first).frames.equals(small.frames)
    assert encoder.encode(FrameBatch("fs", EPOCH, 1, varied)) is None
    assert encoder.encode(FrameBatch("fs", EPOCH, 1, FrameColumns.empty())) is None
    again = encoder.encode(small)
    assert again is not None
    assert decoder.decode(again).frames.equals(small.frames)


def test_more_and_more_groups_make_the_writer_forget_the_old_ones():
    encoder, decoder = WireEncoder(AnyLayouts(None)), BothDecoders()
    for batch in range(5):
        rows = [(at, 0, 1_000 * batch + at, 0, 8, bytes([at % 256] * 8)) for at in range(700)]
        frames = columns(rows)
        message = encoder.encode(FrameBatch("fs", EPOCH, 1 + 700 * batch, frames))
        assert message is not None
        assert decoder.decode(message).frames.equals(frames)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, MAX_K)), max_size=40), st.integers(0, 40))
def test_numbers_come_back(pairs, cut):
    numbers = np.array([number for number, _ in pairs], np.uint64)
    ks = np.array([k for _, k in pairs], np.uint64)
    quotients, escaped, low = pack_numbers(numbers, ks)
    for reader in (NumberReader(quotients, escaped + low), CompiledNumbers(quotients, escaped + low)):
        found = np.concatenate([reader.take(ks[:cut]), reader.take(ks[cut:])])
        reader.end()
        assert np.array_equal(found, numbers)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12), st.binary(max_size=20), st.lists(st.integers(0, MAX_K), max_size=20))
@example(b"\x80\x00", b"", [0])
@example(b"\x00", b"", [])
@example(b"\x00\x00\x00\x00\x80", b"12345678", [0])
@example(b"\x00\x00\x00\x00\x40", b"", [0])
@example(b"\xc0", b"\x81", [3, 4])
@example(b"\xc0", b"\x80\x00", [3, 4])
def test_any_blocks_hold_the_same_numbers_for_both_readers(quotients, rest, ks):
    found = []
    for open_blocks in (NumberReader, CompiledNumbers):
        try:
            reader = open_blocks(quotients, rest)
            numbers = reader.take(np.array(ks, np.uint64)).tolist()
            reader.end()
            found.append(numbers)
        except CorruptDataError:
            found.append(None)
    assert found[0] == found[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 64).flatmap(lambda size: st.tuples(st.just(size), layouts(size))))
def test_layouts_come_back(sized):
    size, layout = sized
    data = pack_layout(layout)
    assert unpack_layout(b"\xff" + data + b"\xff", 1, size) == (layout, 1 + len(data))
    for end in range(len(data)):
        with pytest.raises(CorruptDataError):
            unpack_layout(data[:end], 0, size)


def test_a_learner_finds_numbers_across_bytes_and_their_byte_order():
    steps = np.arange(400)
    wave = np.rint(20_000 + 9_000 * np.sin(steps / 40)).astype(np.int64)
    counter = steps % 16
    word = counter | wave << 4
    big = word.astype(">u8").view(np.uint8).reshape(-1, 8)
    layout = learn_layout(steps * 10_000, big[:, 2:])
    assert layout.words[0].is_big_endian
    assert layout.words[0].fields[0].width == 4
    little = learn_layout(steps * 10_000, word.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6])
    assert not little.words[0].is_big_endian
    assert little.words[0].fields[0].width == 4
    assert default_layout(6).column_count == 7
