from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ved.dbc.guess import MIN_FRAMES, Field, guess_fields, guess_messages
from ved.dbc.parse import parse_dbc
from ved.dbc.wire import Known, Seen, WireId, collect
from ved.dbc.write import write_dbc
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns

DATA = Path(__file__).parents[1] / "data"
COUNT = 2_000


def smooth(top: int, seed: int) -> NDArray[np.int64]:
    """A measured value: waves of a third of its range around the middle, and a little noise."""
    chance = np.random.default_rng(seed)
    wave = np.sin(np.arange(COUNT) / 300 + seed) + 0.3 * np.sin(np.arange(COUNT) / 90)
    return np.rint(top * (0.5 + 0.33 * wave / 1.3) + chance.normal(0, top / 2_000, COUNT)).astype(np.int64)


def bits_of(fields: list[Field]) -> dict[str, list[tuple[int, int, bool]]]:
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for field in fields:
        found.setdefault(field.kind, []).append((field.bits[0], len(field.bits), field.is_little_endian))
    return found


def crc8(data: bytes) -> int:
    """CRC-8 of SAE J1850, bit by bit."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def made_frames() -> NDArray[np.uint8]:
    """Byte 0: CRC, 1: counter of 4 bits under a constant, 2-3: big-endian number, 4-5: little-endian, 6: constant."""
    payload = np.zeros((COUNT, 8), np.uint8)
    payload[:, 1] = 0x50 | (np.arange(COUNT) % 16)
    payload[:, 2:4] = smooth(65_535, 1).astype(">u2").view(np.uint8).reshape(-1, 2)
    payload[:, 4:6] = smooth(65_535, 2).astype("<u2").view(np.uint8).reshape(-1, 2)
    payload[:, 6] = 0x7F
    payload[:, 0] = [crc8(row[1:].tobytes()) for row in payload]
    return payload


def test_a_whole_frame() -> None:
    found = bits_of(guess_fields(made_frames()))
    assert found["checksum"] == [(0, 8, True)]
    assert found["counter"] == [(8, 4, True)]
    numbers = {(start // 8, is_little) for start, length, is_little in found["number"] if length >= 10}
    assert numbers == {(3, False), (4, True)}
    assert all(field.confidence > 0.6 for field in guess_fields(made_frames()) if len(field.bits) >= 10)


@pytest.mark.parametrize("kind", ["xor", "sum", "negated", "crc"])
@pytest.mark.parametrize("byte", [0, 7])
def test_checksums(kind: str, byte: int) -> None:
    payload = np.random.default_rng(5).integers(0, 256, (200, 8), dtype=np.uint8)
    others = np.delete(payload, byte, axis=1)
    total = others.sum(axis=1).astype(np.uint8)
    sums = {
        "xor": np.bitwise_xor.reduce(others, axis=1) ^ np.uint8(0xA5),
        "sum": total + np.uint8(7),
        "negated": ~total,
        "crc": np.array([crc8(row.tobytes()) for row in others], np.uint8),
    }
    payload[:, byte] = sums[kind]
    (found,) = [field for field in guess_fields(payload) if field.kind == "checksum"]
    assert found.confidence == 0.99
    if kind in {"sum", "crc"}:  # the other two hold for every byte alike: then the last one is named
        assert found.bits[0] == 8 * byte


def test_chance_is_no_checksum_and_no_counter() -> None:
    payload = np.random.default_rng(6).integers(0, 256, (COUNT, 8), dtype=np.uint8)
    fields = guess_fields(payload)
    assert {field.kind for field in fields} <= {"number", "flag"}
    assert all(field.confidence <= 0.5 for field in fields)


def test_signals_that_are_copies_are_no_checksum() -> None:
    payload = np.zeros((COUNT, 8), np.uint8)
    for byte, seed in ((0, 1), (4, 2)):
        payload[:, byte : byte + 2] = smooth(65_535, seed).astype("<u2").view(np.uint8).reshape(-1, 2)
        payload[:, byte + 2 : byte + 4] = payload[:, byte : byte + 2]
    assert {field.kind for field in guess_fields(payload)} <= {"number", "flag"}


def test_counters_over_bytes_in_both_orders() -> None:
    payload = np.zeros((COUNT, 4), np.uint8)
    payload[:, 0:2] = (np.arange(COUNT) + 250).astype("<u2").view(np.uint8).reshape(-1, 2)
    payload[:, 2:4] = (np.arange(COUNT) + 77).astype(">u2").view(np.uint8).reshape(-1, 2)
    (little, big) = [field for field in guess_fields(payload) if field.kind == "counter"]
    assert (little.bits[0], little.is_little_endian) == (0, True)
    assert (big.bits[0], big.is_little_endian) == (24, False)
    assert len(little.bits) > 8
    assert len(big.bits) > 8


def paged_frames(pages: int) -> NDArray[np.uint8]:
    """Byte 0: the page, in turn; bytes 2-3 and 4-5: two numbers of each page; byte 7: CRC."""
    payload = np.zeros((COUNT * pages, 8), np.uint8)
    payload[:, 0] = np.arange(len(payload)) % pages
    for page in range(pages):
        rows = slice(page, None, pages)
        for byte, order in ((2, "<u2"), (4, ">u2")):
            number = smooth(65_535, 10 * page + byte)
            payload[rows, byte : byte + 2] = number.astype(order).view(np.uint8).reshape(-1, 2)
    payload[:, 7] = [crc8(row[:7].tobytes()) for row in payload]
    return payload


@pytest.mark.parametrize("pages", [2, 3, 8])
def test_pages_are_told_apart(pages: int) -> None:
    fields = guess_fields(paged_frames(pages))
    (selector,) = [field for field in fields if field.kind == "multiplexer"]
    assert selector.bits[0] == 0
    assert [field.bits[0] for field in fields if field.kind == "checksum"] == [56]
    for page in range(pages):
        long = {field.bits[0] // 8 for field in fields if field.page == page and len(field.bits) >= 9}
        assert long == {2, 5}, page


def test_pages_become_a_multiplexer_in_the_dbc() -> None:
    wire_id, payload = WireId(0, 0x77, False), paged_frames(3)
    seen = Seen(len(payload), 0, 10**6, Counter({8: len(payload)}))
    (message,) = guess_messages({wire_id: payload}, {wire_id: seen})
    parsed = parse_dbc("guess.dbc", write_dbc([message]).text)
    assert parsed.problems == []
    assert parsed.messages[0].signals == message.signals
    assert {signal.selectors for signal in message.signals if signal.multiplexer == 0} == {
        ((page, page),) for page in range(3)
    }


def test_frames_without_pages_get_none() -> None:
    for payload in (made_frames(), np.random.default_rng(7).integers(0, 256, (COUNT, 8), dtype=np.uint8)):
        assert not [field for field in guess_fields(payload) if field.kind == "multiplexer"]
    twins = np.repeat((np.arange(COUNT) % 16).astype(np.uint8)[:, None], 4, axis=1)
    assert {field.kind for field in guess_fields(twins)} == {"counter"}


def test_what_never_changes_and_too_few_frames_give_no_field() -> None:
    assert guess_fields(np.full((COUNT, 8), 7, np.uint8)) == []
    assert guess_fields(made_frames()[: MIN_FRAMES - 1]) == []


def test_the_guess_is_a_dbc_that_reads_back_with_its_confidence() -> None:
    wire_id = WireId(1, 0x18FF, True)
    (message,) = guess_messages({wire_id: made_frames()}, {wire_id: Seen(COUNT, 0, 1_999_000, Counter({8: COUNT}))})
    assert "1e+03 Hz" in message.comment
    assert "byte 6 = 0x7F" in message.comment
    text = write_dbc([message])
    parsed = parse_dbc("guess.dbc", text.text)
    assert parsed.problems == []
    assert [one.name for one in parsed.messages[0].signals] == [one.name for one in message.signals]
    assert all("confidence" in signal.comment for signal in parsed.messages[0].signals)


def test_a_signed_number_is_told_by_its_jumps_at_zero() -> None:
    payload = np.zeros((COUNT, 2), np.uint8)
    payload[:] = (smooth(2_000, 3) - 1_000).astype("<i2").view(np.uint8).reshape(-1, 2)
    wire_id = WireId(0, 1, False)
    (message,) = guess_messages({wire_id: payload}, {wire_id: Seen(COUNT, 0, 10**6, Counter({2: COUNT}))})
    widest = max(message.signals, key=lambda signal: signal.length_bits)
    assert widest.raw_type == "signed"
    assert widest.minimum is not None
    assert -1_000 <= widest.minimum < 0


def test_a_recording_whose_dbc_is_known() -> None:
    """Of the IMU's six numbers of 10 and 11 bits most are cut where its DBC cuts them."""
    log = open_log(DATA / "canedge-gps" / "drive-9min.MF4")
    payloads, seen = collect(
        log.chunks(), Known(parse_dbc("", "".join(f"BO_ {number} M{number}: 8 X\n" for number in range(1, 9))).messages)
    )
    imu = WireId(2, 9, False)
    assert set(payloads) == {imu, WireId(1, 0x7E8, False), WireId(1, 0x17F00010, True)}
    assert (len(payloads[imu]), seen[imu].frames) == (20_000, 53_524)
    found = {(field.bits[0], len(field.bits)) for field in guess_fields(payloads[imu])}
    truth = {(1, 10), (11, 10), (21, 10), (31, 11), (42, 11), (53, 11)}
    assert len(found & truth) >= 4


def test_only_frames_of_the_usual_length_are_collected() -> None:
    lengths = np.array([8, 8, 3], np.uint8)
    frames = FrameColumns(
        np.arange(3, dtype=np.int64), np.zeros(3, np.uint8), np.ones(3, np.uint32), np.zeros(3, np.uint8), lengths,
        np.zeros((3, 8), np.uint8),
    )  # fmt: skip
    payloads, seen = collect([frames, frames], Known([]), most=3)
    assert payloads[WireId(0, 1, False)].shape == (3, 8)
    assert seen[WireId(0, 1, False)].lengths == {8: 4, 3: 2}
