"""The decoder and the encoder against cantools, an independent implementation, on generated and recorded DBC files."""

import logging
import math
import random
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cantools
import numpy as np
import pytest
from cantools.database.can.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.dbc.decode import Decoded, Decoder
from ved.dbc.encode import MessageEncoder
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns

DATA = Path(__file__).parents[1] / "data"
RECORDED = sorted(DATA.glob("canedge-*/*.dbc"))
LOGS = {
    "canedge-gps/drive-9min.MF4": ("canedge-gps/canmod-gps.dbc", 57_604),
    "canedge-gnss-two-parts/part-1.MF4": ("canedge-gnss-two-parts/gnss.dbc", 3_013),
    "canedge-gnss-two-parts/part-2.MF4": ("canedge-gnss-two-parts/gnss.dbc", 3_283),
}
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
NUMBERS = ("1", "0.1", "0.25", "-0.5", "3", "-2", "1e-06", "0.000244140625", "1.0", "12345.678")
OFFSETS = ("0", "0", "-40", "0.5", "1577840400", "-1e3")

logging.getLogger("cantools").setLevel(logging.ERROR)  # the recorded file with doubled names is noisy


class Writer:
    """Writes one random but valid DBC: every signal's bits are its own, so that cantools takes it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines = ['VERSION ""', "NS_ :", " CM_", " VAL_", "BS_:", "BU_: ECU", ""]
        self.tail: list[str] = []

    def text(self) -> str:
        ids: set[int] = set()
        for number in range(self.random.randint(1, 6)):
            dbc_id = self.random.choice((self.random.randrange(0x800), 0x80000000 | self.random.randrange(1 << 29)))
            if dbc_id not in ids:
                ids.add(dbc_id)
                self.message(dbc_id, f"Message{number}")
        return "\n".join([*self.lines, *self.tail, ""])

    def message(self, dbc_id: int, name: str) -> None:
        size = self.random.choice(SIZES)
        self.lines += ["", f"BO_ {dbc_id} {name}: {size} ECU"]
        kind = self.random.choice(("plain", "plain", "simple", "extended")) if size > 1 else "plain"
        if kind == "plain":
            self.region(dbc_id, 0, size, "", "S")
            return
        little = self.random.random() < 0.5
        length = self.random.randint(2, 8)
        self.signal(dbc_id, "Mux", " M", (0 if little else 7), length, little, plain=True)
        split = self.random.randint(1, size)
        self.region(dbc_id, split, size, "", "Free")
        for value in self.random.sample(range(1 << length), self.random.randint(1, 3)):
            self.page(dbc_id, value, 1, split, nested=kind == "extended")

    def page(self, dbc_id: int, value: int, first: int, end: int, *, nested: bool) -> None:
        """What one multiplexer value selects; `nested`: a second multiplexer with pages of its own, and ranges."""
        if not nested or end - first < 2:
            names = self.region(dbc_id, first, end, f" m{value}", f"V{value}_")
            if nested:
                self.tail += [f"SG_MUL_VAL_ {dbc_id} {name} Mux {value}-{value};" for name in names]
            return
        inner = f"Inner{value}"
        mark = self.random.choice((f" m{value}M", " M"))  # files that cantools writes have the short form
        self.signal(dbc_id, inner, mark, 8 * first, 4, True, plain=True)
        self.tail.append(f"SG_MUL_VAL_ {dbc_id} {inner} Mux {value}-{value};")
        for low, high in ((0, 3), (4, 4), (7, 12)):
            for name in self.region(dbc_id, first + 1, end, f" m{low}", f"V{value}_{low}_"):
                ranges = f"{low}-{high}, 15-15" if low == 7 else f"{low}-{high}"
                self.tail.append(f"SG_MUL_VAL_ {dbc_id} {name} {inner} {ranges};")

    def region(self, dbc_id: int, first: int, end: int, mark: str, prefix: str) -> list[str]:
        """Signals one after the other, with gaps, over whole bytes; each run of bytes in one byte order."""
        names: list[str] = []
        while first < end:
            stop = self.random.randint(first + 1, end)
            little = self.random.random() < 0.5
            bit = 8 * first + self.random.choice((0, 0, self.random.randrange(8)))
            while bit < 8 * stop:
                length = min(self.random.choice((1, 2, 5, 8, 12, 16, 31, 32, 33, 53, 64, 16, 32, 64)), 8 * stop - bit)
                names.append(f"{prefix}{len(names)}")
                start = bit if little else 8 * (bit // 8) + 7 - bit % 8
                self.signal(dbc_id, names[-1], mark, start, length, little)
                bit += length + self.random.choice((0, 0, 0, 3))
            first = stop
        return names

    def signal(
        self, dbc_id: int, name: str, mark: str, start: int, length: int, little: bool, plain: bool = False
    ) -> None:
        scale, offset, sign = self.random.choice(NUMBERS), self.random.choice(OFFSETS), self.random.choice("+-")
        if plain:
            scale, offset, sign = "1", "0", "+"
        limits = self.random.choice(("[0|0]", "[-1.5|100]", "[0|1e+10]"))
        unit = self.random.choice(("", "V", "%", "°C", "m/s^2"))
        self.lines.append(
            f' SG_ {name}{mark} : {start}|{length}@{int(little)}{sign} ({scale},{offset}) {limits} "{unit}" ECU,Other'
        )
        if not plain and length in {16, 32, 64} and self.random.random() < 0.5:
            self.tail.append(f"SIG_VALTYPE_ {dbc_id} {name} : {1 if length < 64 else 2};")
        if self.random.random() < 0.2:
            self.tail.append(f'VAL_ {dbc_id} {name} 0 "Off" 1 "On; \\"really\\"" -1 "" ;')
        if self.random.random() < 0.2:
            self.tail.append(f'CM_ SG_ {dbc_id} {name} "Two\nlines; of text";')


def load_both(text: str) -> tuple[DbcSet, list[Message]]:
    database = cantools.database.can.Database(strict=False)
    database.add_dbc_string(text)
    dbc_set = load_set([DbcSource(None, "", "file.dbc", text)])
    assert [message.name for message in dbc_set.messages] == [message.name for message in database.messages]
    return dbc_set, list(database.messages)


def frames_of(messages: Sequence[Message], payloads: Sequence[tuple[int, bytes]]) -> FrameColumns:
    """Frames of messages[number] with these bytes."""
    count = len(payloads)
    payload = np.zeros((count, 64 if any(len(data) > 8 for _, data in payloads) else 8), np.uint8)
    for row, (_, data) in enumerate(payloads):
        payload[row, : len(data)] = np.frombuffer(data, np.uint8)
    return FrameColumns(
        np.arange(count, dtype=np.int64) * 10,
        np.zeros(count, np.uint8),
        np.array([messages[number].frame_id for number, _ in payloads], np.uint32),
        np.array([messages[number].is_extended_frame for number, _ in payloads], np.uint8),
        np.array([len(data) for _, data in payloads], np.uint8),
        payload,
    )


def by_row(dbc_set: DbcSet, decoded: Decoded, count: int) -> list[dict[str, float]]:
    """Frame -> signal -> value; each channel's rows must rise."""
    rows: list[dict[str, float]] = [{} for _ in range(count)]
    for number, channel in enumerate(dbc_set.channels):
        part = slice(decoded.starts[number], decoded.starts[number + 1])
        assert np.all(np.diff(decoded.rows[part]) > 0)
        assert np.array_equal(decoded.t_us[part], decoded.rows[part] * 10)
        for row, value in zip(decoded.rows[part], decoded.values[part], strict=True):
            rows[row][channel.signal] = float(value)
    return rows


def is_same(expected: Any, value: float, length: int) -> bool:
    """Equal; past 2^53 cantools calculates with whole Python integers where it can, the kernel rounds at each step."""
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(value)
    if length > 50:
        return math.isclose(float(expected), value, rel_tol=1e-15)
    return float(expected) == value


def assert_same(message: Message, data: bytes, got: dict[str, float]) -> None:
    try:
        expected = dict(message.decode(data, decode_choices=False, allow_truncated=True))
    except cantools.database.DecodeError:  # a multiplexer value without a page: cantools drops the frame, we do not
        fixed = [signal for signal in message.signals if signal.multiplexer_signal is None]
        assert {signal.name for signal in fixed if signal.name in got} == {
            name for name in got if not name.startswith(("V", "Inner"))
        }
        return
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        length = message.get_signal_by_name(name).length
        assert is_same(value, got[name], length), (name, value, got[name])


def random_payloads(chance: random.Random, messages: Sequence[Message], count: int) -> list[tuple[int, bytes]]:
    payloads = []
    for _ in range(count):
        number = chance.randrange(len(messages))
        length = messages[number].length
        if chance.random() < 0.2:
            length = chance.choice([size for size in (0, *SIZES) if size <= max(8, length)])
        payloads.append((number, chance.randbytes(length) if chance.random() < 0.9 else b"\xff" * length))
    return payloads


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_generated_files_decode_as_cantools_does(seed: int) -> None:
    dbc_set, messages = load_both(Writer(seed).text())
    assert dbc_set.problems == ()
    payloads = random_payloads(random.Random(seed), messages, 60)
    decoded = Decoder(dbc_set).decode(frames_of(messages, payloads))
    assert decoded.unknown_frames == 0
    for (number, data), got in zip(payloads, by_row(dbc_set, decoded, len(payloads)), strict=True):
        assert_same(messages[number], data, got)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_generated_files_say_what_cantools_reads(seed: int) -> None:
    dbc_set, messages = load_both(Writer(seed).text())
    for ours, theirs in zip(dbc_set.messages, messages, strict=True):
        assert (ours.arbitration_id, ours.is_extended, ours.length) == (
            theirs.frame_id,
            theirs.is_extended_frame,
            theirs.length,
        )
        assert {signal.name for signal in ours.signals} == {signal.name for signal in theirs.signals}
        for signal in ours.signals:
            other = theirs.get_signal_by_name(signal.name)
            assert (signal.start_bit, signal.length_bits) == (other.start, other.length)
            assert signal.is_little_endian == (other.byte_order == "little_endian")
            kind = "float" if other.is_float else "signed" if other.is_signed else "unsigned"
            assert signal.raw_type == kind
            assert (signal.scale, signal.offset) == (other.scale, other.offset)
            assert (signal.minimum, signal.maximum) == (other.minimum, other.maximum)
            assert (signal.unit or None, signal.comment or None) == (other.unit, other.comment)
            assert dict(signal.choices) == {value: str(text) for value, text in (other.choices or {}).items()}
            parent = None if signal.multiplexer is None else ours.signals[signal.multiplexer].name
            assert parent == other.multiplexer_signal
            selected = {value for first, last in signal.selectors for value in range(first, last + 1)}
            assert selected == set(other.multiplexer_ids or ())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_generated_files_encode_as_cantools_does(seed: int) -> None:
    dbc_set, messages = load_both(Writer(seed).text())
    chance = random.Random(seed)
    for message in messages:
        encoder = MessageEncoder(dbc_set, message.name)
        assert (encoder.arbitration_id, encoder.length) == (message.frame_id, message.length)
        for _ in range(10):
            try:
                values = message.decode(chance.randbytes(message.length), decode_choices=False)
            except cantools.database.DecodeError:
                continue
            if any(math.isnan(value) or message.get_signal_by_name(name).length > 50 for name, value in values.items()):
                continue
            expected = message.encode(values, strict=False)
            columns = {name: np.array([value], np.float64) for name, value in values.items()}
            assert encoder.encode(columns)[0].tobytes() == expected


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_files_decode_as_cantools_does(path: Path) -> None:
    dbc_set, messages = load_both(path.read_text(encoding="utf-8"))
    payloads = random_payloads(random.Random(path.name), messages, 2_000)
    decoded = Decoder(dbc_set).decode(frames_of(messages, payloads))
    for (number, data), got in zip(payloads, by_row(dbc_set, decoded, len(payloads)), strict=True):
        assert_same(messages[number], data, got)


def cantools_columns(messages: Sequence[Message], frames: FrameColumns) -> dict[tuple[int, str], list[float]]:
    """All values of all frames that cantools knows, by id and signal."""
    known = {(message.frame_id, message.is_extended_frame): message for message in messages}
    columns: dict[tuple[int, str], list[float]] = {}
    for row in range(len(frames)):
        message = known.get((int(frames.arbitration_id[row]), bool(frames.flags[row] & 1)))
        if message:
            data = frames.payload[row, : frames.length[row]].tobytes()
            for name, value in message.decode(data, decode_choices=False, allow_truncated=True).items():
                columns.setdefault((message.frame_id, name), []).append(value)
    return columns


def assert_columns_same(dbc_set: DbcSet, decoded: Decoded, expected: dict[tuple[int, str], list[float]]) -> None:
    for number, channel in enumerate(dbc_set.channels):
        theirs = np.array(expected.pop((channel.arbitration_id, channel.signal), []), np.float64)
        assert np.array_equal(decoded.column(number)[1], theirs, equal_nan=True), channel.name
    assert expected == {}


@pytest.mark.parametrize("log", LOGS)
def test_recordings_decode_as_cantools_does(log: str) -> None:
    dbc_name, known_frames = LOGS[log]
    dbc_set, messages = load_both((DATA / dbc_name).read_text(encoding="utf-8"))
    frames = FrameColumns.concatenate(list(open_log(DATA / log).chunks()))
    decoded = Decoder(dbc_set).decode(frames)
    assert len(frames) - decoded.unknown_frames == known_frames
    assert_columns_same(dbc_set, decoded, cantools_columns(messages, frames))


def test_the_synthetic_load_decodes_as_cantools_does() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "synthetic_load.py"
    load = runpy.run_path(str(path))["synthetic_load"](2.0)
    dbc_set, messages = load_both(load.all_dbc_text)
    decoded = Decoder(dbc_set).decode(load.frames)
    assert (len(dbc_set.messages), len(dbc_set.channels), decoded.unknown_frames) == (60, 360, 0)
    expected = cantools_columns(messages, load.frames)
    assert_columns_same(dbc_set, decoded, dict(expected))
    per_bus = load_set([DbcSource(bus, f"b{bus}", f"bus{bus}", text) for bus, text in enumerate(load.dbc_texts)])
    assert_columns_same(per_bus, Decoder(per_bus).decode(load.frames), expected)
