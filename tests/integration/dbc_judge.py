"""cantools as judge: random frames of every message of a set, decoded by both."""

import logging
import math
import random
from collections import Counter
from typing import Any

import cantools
import numpy as np
from cantools.database.can.message import Message

from ved.dbc.decode import Decoder
from ved.dbc.definitions import MessageDef, pgn
from ved.dbc.load import DbcSet
from ved.model.frames import FrameColumns

logging.getLogger("cantools").setLevel(logging.CRITICAL)


def compare(database: Any, dbc_set: DbcSet, seed: str, frames_each: int) -> Counter[str]:
    """Random frames of every message of the set through both."""
    counts = Counter({"files": 1})
    theirs = {(message.frame_id, message.is_extended_frame): message for message in database.messages}
    assert len(theirs) >= len(dbc_set.messages)
    decoder, chance = Decoder(dbc_set), random.Random(seed)
    taken: set[int] = {message.arbitration_id for message in dbc_set.messages}
    groups: set[int | None] = {None}
    for message, first in zip(dbc_set.messages, dbc_set.first_channels, strict=True):
        other = theirs[message.arbitration_id, message.is_extended]
        if {signal.name for signal in message.signals} != {signal.name for signal in other.signals}:
            assert dbc_set.problems, message.name  # cantools read a line in its way that we set aside and named
            counts["messages with a line set aside"] += 1
            continue
        payloads = random_payloads(chance, message, frames_each)
        ids = [message.arbitration_id] * frames_each
        if message.group not in groups:  # of one group the first message stands
            groups.add(message.group)
            ids[1:] = [one for one in random_ids(chance, message, frames_each - 1) if one not in taken]
            payloads = payloads[: len(ids)]
        decoded = decoder.decode(frames_of(message, payloads, ids))
        assert decoded.unknown_frames == 0
        ours: list[dict[str, float]] = [{} for _ in payloads]
        for number, signal in enumerate(message.signals, first):
            part = slice(decoded.starts[number], decoded.starts[number + 1])
            for row, value in zip(decoded.rows[part], decoded.values[part], strict=True):
                ours[row][signal.name] = float(value)
        for data, values in zip(payloads, ours, strict=True):
            counts["values"] += compare_frame(message, other, data, values)
        counts["j1939"] += message.is_j1939
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


def random_ids(chance: random.Random, message: MessageDef, count: int) -> list[int]:
    """Other ids of a J1939 message's group: any priority, source and, where the group has one, target."""
    free = 0x1C0000FF if (message.group or 0) >> 8 & 0xFF >= 0xF0 else 0x1C00FFFF
    ids = [message.arbitration_id & ~free | chance.getrandbits(29) & free for _ in range(count)]
    assert {pgn(one) for one in ids} <= {message.group}
    return ids


def frames_of(message: MessageDef, payloads: list[bytes], ids: list[int]) -> FrameColumns:
    count = len(payloads)
    payload = np.zeros((count, 64 if message.length > 8 else 8), np.uint8)
    for row, data in enumerate(payloads):
        payload[row, : len(data)] = np.frombuffer(data, np.uint8)
    return FrameColumns(
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint8),
        np.array(ids, np.uint32),
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
