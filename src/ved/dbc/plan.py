"""A DBC set as arrays: what the decoding kernel and the encoder walk over."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.dbc.definitions import SignalDef
from ved.dbc.load import DbcSet

# kernel.py has these numbers compiled in, and numba's cache looks at that file alone: who changes one here must change
# something there.
STANDARD_IDS: Final = 1 << 11
EXTENDED_BITS: Final = 29
HASH_FACTOR: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio (Knuth, The Art of Computer Programming, 6.4)

UNSIGNED: Final = 0
SIGNED: Final = 1
FLOAT16: Final = 2
FLOAT32: Final = 3
FLOAT64: Final = 4
_RAW_TYPES: Final = {"unsigned": UNSIGNED, "signed": SIGNED}
_FLOAT_TYPES: Final = {16: FLOAT16, 32: FLOAT32, 64: FLOAT64}

FIRST_BIT: Final = 0
LENGTH_BITS: Final = 1
IS_BIG_ENDIAN: Final = 2
RAW_TYPE: Final = 3
END_BYTE: Final = 4
MULTIPLEXER: Final = 5
SELECTORS_FROM: Final = 6
SELECTORS_TO: Final = 7
FIELDS: Final = 8


class Plan(NamedTuple):
    """M messages, S signals (signal number = channel number), B bus slots (slot 0: buses without own definitions).

    `bus_slots` u8[256]: bus -> slot. `standard` i32[B, 2048]: 11-bit id -> message or -1. `extended_keys` i64[H] and
    `extended_messages` i32[H]: open-addressing hash of slot << 29 | id, empty at -1, H a power of two; `group_keys` and
    `group_messages` likewise of slot << 29 | J1939 parameter group. `message_signals` i64[M+1]: where each message's
    signals start. `message_bytes` i64[M]: frame bytes that hold all of them. `is_plain` bool[M]: no multiplexing.
    `fields` i64[S, 8]: one row per signal, columns named above; `scaling` f64[S, 2]: scale, offset; `selectors`
    u64[K, 2]: first and last raw number, inclusive.
    """

    bus_slots: NDArray[np.uint8]
    standard: NDArray[np.int32]
    extended_keys: NDArray[np.int64]
    extended_messages: NDArray[np.int32]
    group_keys: NDArray[np.int64]
    group_messages: NDArray[np.int32]
    message_signals: NDArray[np.int64]
    message_bytes: NDArray[np.int64]
    is_plain: NDArray[np.bool_]
    fields: NDArray[np.int64]
    scaling: NDArray[np.float64]
    selectors: NDArray[np.uint64]


def compile_plan(dbc_set: DbcSet) -> Plan:
    """The arrays of a set. A bus's own definition of an id stands before one that holds on any bus."""
    own_buses = sorted({message.bus for message in dbc_set.messages if message.bus is not None})
    bus_slots = np.zeros(256, np.uint8)
    for slot, bus in enumerate(own_buses, start=1):
        bus_slots[bus] = slot
    standard = np.full((len(own_buses) + 1, STANDARD_IDS), -1, np.int32)
    extended: dict[int, int] = {}
    groups: dict[int, int] = {}
    # What is written last holds: a bus's own definitions, and of one J1939 group the first.
    in_rank = sorted(
        range(len(dbc_set.messages)), key=lambda number: (dbc_set.messages[number].bus is not None, -number)
    )
    for number in in_rank:
        message = dbc_set.messages[number]
        slots = range(len(own_buses) + 1) if message.bus is None else (int(bus_slots[message.bus]),)
        for slot in slots:
            if message.is_extended:
                extended[slot << EXTENDED_BITS | message.arbitration_id] = number
                if message.group is not None:
                    groups[slot << EXTENDED_BITS | message.group] = number
            else:
                standard[slot, message.arbitration_id] = number
    keys, values = _hash_table(extended)
    group_keys, group_values = _hash_table(groups)
    signals = [signal for message in dbc_set.messages for signal in message.signals]
    fields, selectors = _signal_fields(dbc_set)
    return Plan(
        bus_slots=bus_slots,
        standard=standard,
        extended_keys=keys,
        extended_messages=values,
        group_keys=group_keys,
        group_messages=group_values,
        message_signals=np.array([*dbc_set.first_channels, len(signals)], np.int64),
        message_bytes=np.array(
            [max((signal.end_byte for signal in message.signals), default=0) for message in dbc_set.messages], np.int64
        ),
        is_plain=np.array(
            [all(signal.multiplexer is None for signal in message.signals) for message in dbc_set.messages], np.bool_
        ),
        fields=fields,
        scaling=np.array([(signal.scale, signal.offset) for signal in signals], np.float64).reshape(-1, 2),
        selectors=selectors,
    )


def raw_type_of(signal: SignalDef) -> int:
    """The number that stands for the signal's raw type in a plan."""
    if signal.raw_type == "float":
        return _FLOAT_TYPES[signal.length_bits]
    return _RAW_TYPES[signal.raw_type]


def _signal_fields(dbc_set: DbcSet) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    rows: list[tuple[int, ...]] = []
    selectors: list[tuple[int, int]] = []
    for message, first in zip(dbc_set.messages, dbc_set.first_channels, strict=True):
        for signal in message.signals:
            start = len(selectors)
            selectors += [pair for pair in signal.selectors if pair[0] < 1 << 64]
            rows.append(
                (
                    signal.first_bit,
                    signal.length_bits,
                    int(not signal.is_little_endian),
                    raw_type_of(signal),
                    signal.end_byte,
                    -1 if signal.multiplexer is None else first + signal.multiplexer,
                    start,
                    len(selectors),
                )
            )
    clipped = [(first, min(last, (1 << 64) - 1)) for first, last in selectors]
    return np.array(rows, np.int64).reshape(-1, FIELDS), np.array(clipped, np.uint64).reshape(-1, 2)


def _hash_table(entries: dict[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """At most half full, so that a probe is short and always ends."""
    size = 2
    while size < 2 * len(entries) + 1:
        size *= 2
    keys, values = np.full(size, -1, np.int64), np.full(size, -1, np.int32)
    for key, value in entries.items():
        at = (key * HASH_FACTOR & ((1 << 64) - 1)) >> 32 & (size - 1)
        while keys[at] >= 0:
            at = (at + 1) & (size - 1)
        keys[at], values[at] = key, value
    return keys, values
