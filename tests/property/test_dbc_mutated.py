"""Damaged DBC files: loading names what it sets aside, and whatever loads can be decoded and encoded."""

import random
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.dbc.decode import Decoder
from ved.dbc.encode import MessageEncoder
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.model.frames import FrameColumns

RECORDED = (Path(__file__).parents[1] / "data" / "canedge-gps" / "canmod-gps.dbc").read_text(encoding="utf-8")
MUXED = """BO_ 2147483664 Muxed: 8 X
 SG_ Root M : 0|4@1+ (1,0) [0|0] "" X
 SG_ Inner m1M : 4|4@1+ (1,0) [0|0] "" X
 SG_ Leaf m2 : 8|32@1- (1,0) [0|0] "" X
 SG_ Other m3 : 15|64@0- (0.1,5) [0|0] "V" X
SG_MUL_VAL_ 2147483664 Inner Root 1-1, 5-7;
SG_MUL_VAL_ 2147483664 Leaf Inner 2-3;
SIG_VALTYPE_ 2147483664 Leaf : 1;
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN_FD";
BA_ "VFrameFormat" BO_ 2147483664 1;
BA_ "SystemSignalLongSymbol" SG_ 2147483664 Leaf "A leaf";
"""
PIECES = (
    *'";:|@()[],-+0129mM \n\x00é',
    "SG_ ",
    "BO_ ",
    "\nCM_ ",
    "-1",
    "99999999999",
    "1e400",
    "VAL_ ",
    "64|64",
    "Root",
)


def damage(text: str, seed: int, count: int) -> str:
    chance = random.Random(seed)
    for _ in range(count):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + chance.randint(1, 40) :]
        elif kind == 1:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 2:
            text = text[:at] + chance.choice(PIECES) + text[at + 1 :]
        else:
            lines = text.split("\n")
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
            text = "\n".join(lines)
    return text


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 40]))
def test_a_damaged_file_loads_or_is_refused(seed: int, count: int) -> None:
    text = damage(MUXED + RECORDED, seed, count)
    try:
        dbc_set = load_set([DbcSource(None, "", "damaged.dbc", text)])
    except UserError:
        return
    lines = text.count("\n") + 1
    assert all(1 <= problem.line <= lines and problem.why for problem in dbc_set.problems)
    assert len(set(dbc_set.numbers)) == len(dbc_set.channels)
    chance = np.random.default_rng(seed)
    rows = len(dbc_set.messages)
    payload = chance.integers(0, 256, (rows, 64)).astype(np.uint8)
    frames = FrameColumns(
        np.arange(rows, dtype=np.int64),
        np.zeros(rows, np.uint8),
        np.array([message.arbitration_id for message in dbc_set.messages], np.uint32),
        np.array([message.is_extended for message in dbc_set.messages], np.uint8),
        np.full(rows, 64, np.uint8),
        payload,
    )
    decoded = Decoder(dbc_set).decode(frames)
    assert decoded.unknown_frames == 0
    assert decoded.short_samples == 0
    for message in dbc_set.messages:
        name = f"{message.name}@{message.arbitration_id:X}"
        try:
            encoder = MessageEncoder(dbc_set, message.name)
        except UserError:
            encoder = MessageEncoder(dbc_set, name)
        assert encoder.encode({signal: np.array([1e9]) for signal in encoder.signals}).shape == (1, message.length)
