"""cantools' own collection of DBC files: each loads or is explained, and values equal cantools' on random frames."""

import logging
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import cantools
import numpy as np
import pytest
from cantools.database.can.message import Message

from ved.config.vehicle import read_dbc
from ved.dbc.decode import Decoder
from ved.dbc.definitions import MessageDef
from ved.dbc.formats import read_definitions, to_dbc_text
from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.dbc.wire import lint_wire, tally
from ved.errors import UserError
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns

FOLDER = Path(__file__).parents[1] / "data" / "cantools-dbc"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix.lower() == ".dbc")
WITHOUT_MESSAGES = {
    "BU_EV_REL_.dbc", "bus_comment_bare.dbc", "bus_comment_bare_out.dbc", "cp1252.dbc", "empty_ns.dbc",
    "environment_variable_data.dbc", "environment_variable_multiple_access_nodes.dbc", "issue_62.dbc",
}  # fmt: skip
WITHOUT_USABLE_MESSAGES = {"issue_199.dbc": "line 45 has an id", "issue_199_extended.dbc": "line 45 has an id"}
LOADED_WITH_PROBLEMS = {
    "bad_message_length.dbc": [(40, "out-of-frame")],
    "incorrect-sig_valtype.dbc": [(45, "unknown-name")],
    "incorrect-val.dbc": [(45, "unknown-name")],
}
NOT_FOR_CANTOOLS = {"incorrect-sig_valtype.dbc", "incorrect-val.dbc", *WITHOUT_USABLE_MESSAGES}

logging.getLogger("cantools").setLevel(logging.CRITICAL)


def load(path: Path) -> DbcSet:
    return load_set([DbcSource(None, "", path.name, read_dbc(path))])


def test_every_file_loads_or_is_explained() -> None:
    reasons: dict[str, str] = {}
    for path in FILES:
        try:
            loaded = load(path)
        except UserError as error:
            reasons[path.name] = str(error)
            continue
        found = [(problem.line, problem.code) for problem in loaded.problems]
        assert found == LOADED_WITH_PROBLEMS.get(path.name, []), path.name
    assert (len(FILES), len(reasons)) == (89, 10)
    expected = dict.fromkeys(WITHOUT_MESSAGES, "no CAN message in it") | WITHOUT_USABLE_MESSAGES
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in reasons.items())


def test_no_check_fails_on_any_file() -> None:
    checked = 0
    for path in FILES:
        if path.name in WITHOUT_MESSAGES | WITHOUT_USABLE_MESSAGES.keys():
            continue
        text = read_dbc(path)
        for finding in lint([LintedFile.read(DbcSource(None, "", path.name, text))]):
            assert finding.text == text.split("\n")[finding.line - 1].strip()[:200]
            assert finding.what
            assert finding.advice
        checked += 1
    assert checked == 79


def compare_file(path: Path, frames_each: int) -> Counter[str]:
    """Decode the same random frames with both; how much was compared. Empty where cantools refuses the file."""
    database = cantools.database.can.Database(strict=False)
    counts: Counter[str] = Counter()
    try:
        database.add_dbc_string(read_dbc(path))
    except (cantools.database.errors.Error, ValueError):
        assert path.name in NOT_FOR_CANTOOLS
        return counts
    if not database.messages:
        assert path.name in WITHOUT_MESSAGES
        return counts
    return compare(database, load(path), path.name, frames_each)


def compare(database: Any, dbc_set: DbcSet, seed: str, frames_each: int) -> Counter[str]:
    """Random frames of every message of the set through both."""
    counts = Counter({"files": 1})
    theirs = {(message.frame_id, message.is_extended_frame): message for message in database.messages}
    assert len(theirs) >= len(dbc_set.messages)
    decoder, chance = Decoder(dbc_set), random.Random(seed)
    for message, first in zip(dbc_set.messages, dbc_set.first_channels, strict=True):
        other = theirs[message.arbitration_id, message.is_extended]
        assert {signal.name for signal in message.signals} == {signal.name for signal in other.signals}
        payloads = random_payloads(chance, message, frames_each)
        decoded = decoder.decode(frames_of(message, payloads))
        assert decoded.unknown_frames == 0
        ours: list[dict[str, float]] = [{} for _ in payloads]
        for number, signal in enumerate(message.signals, first):
            part = slice(decoded.starts[number], decoded.starts[number + 1])
            for row, value in zip(decoded.rows[part], decoded.values[part], strict=True):
                ours[row][signal.name] = float(value)
        for data, values in zip(payloads, ours, strict=True):
            counts["values"] += compare_frame(message, other, data, values)
        counts.update(messages=1, signals=len(message.signals), frames=len(payloads))
    return counts


def random_payloads(chance: random.Random, message: MessageDef, count: int) -> list[bytes]:
    """Random frames; half of those of a multiplexed message have a multiplexer value that selects something."""
    payloads = []
    pages = [signal for signal in message.signals if signal.multiplexer is not None and signal.selectors]
    for number in range(count):
        data = bytearray(chance.randbytes(message.length))
        if pages and number % 2:
            page = chance.choice(pages)
            parent = message.signals[page.multiplexer or 0]
            if parent.is_little_endian and parent.end_byte <= message.length:
                mask = ((1 << parent.length_bits) - 1) << parent.start_bit
                whole = int.from_bytes(data, "little") & ~mask | page.selectors[0][0] << parent.start_bit & mask
                data[:] = whole.to_bytes(message.length, "little")
        payloads.append(bytes(data[: chance.randrange(message.length + 1)] if number % 8 == 7 else data))
    return payloads


def frames_of(message: MessageDef, payloads: list[bytes]) -> FrameColumns:
    count = len(payloads)
    payload = np.zeros((count, 64 if message.length > 8 else 8), np.uint8)
    for row, data in enumerate(payloads):
        payload[row, : len(data)] = np.frombuffer(data, np.uint8)
    return FrameColumns(
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint8),
        np.full(count, message.arbitration_id, np.uint32),
        np.full(count, message.is_extended, np.uint8),
        np.array([len(data) for data in payloads], np.uint8),
        payload,
    )


def compare_frame(ours: MessageDef, message: Message, data: bytes, got: dict[str, float]) -> int:
    """How many values are equal. A multiplexer value without a page: cantools drops the frame, we only the page."""
    try:
        expected: dict[str, Any] = dict(message.decode(data, decode_choices=False, allow_truncated=True))
    except cantools.database.DecodeError:
        fitting = [signal for signal in ours.signals if signal.end_byte <= len(data)]
        assert {signal.name for signal in fitting if signal.multiplexer is None} <= got.keys()
        return 0
    assert got.keys() == expected.keys(), message.name
    for name, value in expected.items():
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(got[name])
        elif message.get_signal_by_name(name).length > 50:  # past 2^53 cantools counts in whole Python integers
            assert math.isclose(float(value), got[name], rel_tol=1e-15)
        else:
            assert float(value) == got[name], (message.name, name)
    return len(expected)


def compare_all(frames_each: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in FILES:
        counts += compare_file(path, frames_each)
    return counts


def test_values_equal_cantools() -> None:
    counts = compare_all(16)
    assert (counts["files"], counts["messages"], counts["signals"]) == (77, 418, 1107)
    assert counts["values"] > 10_000


@pytest.mark.slow
def test_values_equal_cantools_on_many_frames() -> None:
    counts = compare_all(1_000)
    print("\n" + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    assert counts["values"] > 700_000


@pytest.mark.parametrize("name", ["tester.kcd", "vehicle.kcd", "signal-types-6.0.sym", "jopp-6.0.sym",
                                  "multiplexed_variables.sym", "comments_hex_and_motorola.sym", "system-3.2.3.arxml",
                                  "system-4.2.arxml"])  # fmt: skip
def test_other_formats_as_dbc_decode_as_cantools_does(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    found = read_definitions(data, name)
    dbc_set = load_set([DbcSource(None, "", name, to_dbc_text(data, Path(name).suffix, name))])
    assert [message.signals for message in dbc_set.messages] == [message.signals for message in found.messages]
    encoding = "cp1252" if name.endswith(".sym") else "utf-8"
    database = cantools.database.load_file(FOLDER / name, strict=False, encoding=encoding)
    assert compare(database, dbc_set, name, 8)["messages"] == len(found.messages) > 0


def test_what_other_formats_say_and_we_cannot_is_named() -> None:
    def losses(name: str) -> str:
        return " ".join(read_definitions((FOLDER / name).read_bytes(), name).losses)

    assert "Radio.StationId7 is there twice" in losses("the_homer.kcd")
    assert "Message7.Signal1 has 128 bits" in losses("message_layout.kcd")
    assert "OneToContainThemAll is a container" in losses("system-4.2.arxml")


def test_the_shipped_vehicles_are_clean_and_the_recordings_have_what_they_have() -> None:
    root = FOLDER.parents[2]
    shipped = sorted((root / "vehicles").glob("*/*.dbc"))
    assert len(shipped) >= 6
    for path in shipped:
        assert lint([LintedFile.read(DbcSource(None, "", path.name, read_dbc(path)))]) == [], path
    messy = FOLDER.parent / "canedge-gnss-two-parts"
    files = [LintedFile.read(DbcSource(None, "", "gnss.dbc", read_dbc(messy / "gnss.dbc")))]
    assert Counter(finding.code for finding in lint(files)) == {"duplicate-name": 9}
    seen = tally(open_log(messy / "part-1.MF4").chunks())
    codes = Counter(finding.code for finding in lint_wire(files, "part-1.MF4", seen))
    assert codes == {"never-seen": 9, "unknown-id": 6}
