"""Channels to frames: physical values into payload bytes, whole columns at a time. NumPy only."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.load import DbcSet
from ved.dbc.names import message_prefixes
from ved.errors import UserError
from ved.model.frames import FrameFlag

_FLOATS: Final[dict[int, tuple[type[np.floating], type[np.unsignedinteger]]]] = {
    16: (np.float16, np.uint16),
    32: (np.float32, np.uint32),
    64: (np.float64, np.uint64),
}

_EXACT_BITS: Final = 52
"""A whole number of so many bits is exact as a float, signed or not."""


class MessageEncoder:
    """Encodes one message of a set. `arbitration_id`, `flags` (FrameFlag), `length` and `bus` go with its frames."""

    def __init__(self, dbc_set: DbcSet, message: str, bus: int | None = None) -> None:
        """Find the message by its name, or by `Name@1F0` where the name stands for several ids.

        `bus`: its own definition, else one that holds on any bus. UserError when none or several fit.
        """
        self._message = _find_message(dbc_set, message, bus)
        self._signals = {signal.name: signal for signal in self._message.signals if signal.end_byte <= self.length}
        self.arbitration_id = self._message.arbitration_id
        extended = FrameFlag.EXTENDED if self._message.is_extended else FrameFlag(0)
        self.flags = int(extended | (FrameFlag.FD if self._message.is_fd else FrameFlag(0)))
        own_bus = self._message.bus if bus is None else bus
        self.bus = 0 if own_bus is None else own_bus
        signals = self._message.signals
        self._is_narrow = [
            signal.raw_type != "float" and signal.length_bits <= _EXACT_BITS and signal.scale != 0 for signal in signals
        ]
        limits = [(signal.scale, signal.offset, *map(float, signal.raw_range)) for signal in signals]
        self._limits = np.array(limits, np.float64).reshape(-1, 4).T
        self._masks = np.array([(1 << signal.length_bits) - 1 for signal in signals], np.uint64)

    @property
    def length(self) -> int:
        """Bytes of a frame."""
        return self._message.length

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that can be encoded."""
        return tuple(self._signals)

    def encode(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.uint8]:
        """Payloads u8[n, length] from physical values f64[n] (or one number for all) by signal name.

        What is out of range saturates, NaN becomes raw 0 (a float signal keeps it), signals without values are raw 0,
        and a multiplexed signal is written where its multiplexer selects it. UserError for an unknown signal.
        """
        unknown = values.keys() - self._signals.keys()
        if unknown:
            raise UserError(
                f"message {self._message.name} has no signal {min(unknown)!r}; it has {', '.join(self._signals)}"
            )
        shape = np.broadcast_shapes(*(np.shape(column) for column in values.values()), (1,))
        count, width = shape[0], -(-self.length // 8)
        little, big = np.zeros((count, width + 1), np.uint64), np.zeros((count, width + 1), np.uint64)
        bits_of = self._raw_bits(values, count)
        for number, signal in enumerate(self._message.signals):
            if number in bits_of:
                if signal.multiplexer is not None:
                    bits_of[number] *= self._is_selected(signal, bits_of, count)
                _place(signal, bits_of[number], little if signal.is_little_endian else big)
        payload = little.astype("<u8").view(np.uint8) | big.astype(">u8").view(np.uint8)
        return np.ascontiguousarray(payload[:, : self.length])

    def _raw_bits(self, values: Mapping[str, NDArray[np.float64]], count: int) -> dict[int, NDArray[np.uint64]]:
        """Bits of the signals that have values, by their number in the message: narrow whole numbers all at once."""
        numbered = [(number, signal) for number, signal in enumerate(self._message.signals) if signal.name in values]
        narrow = [number for number, _ in numbered if self._is_narrow[number]]
        physical = np.empty((len(narrow), count))
        for row, number in zip(physical, narrow, strict=True):
            row[:] = values[self._message.signals[number].name]
        scale, offset, least, most = (limit[narrow, None] for limit in self._limits)
        raw = np.rint((physical - offset) / scale)
        raw[np.isnan(raw)] = 0.0
        bits = np.clip(raw, least, most).astype(np.int64).view(np.uint64) & self._masks[narrow, None]
        out = dict(zip(narrow, bits, strict=True))
        for number, signal in numbered:
            if number not in out:
                out[number] = raw_bits(signal, np.broadcast_to(values[signal.name], (count,)))
        return out

    def _is_selected(
        self, signal: SignalDef, bits_of: Mapping[int, NDArray[np.uint64]], count: int
    ) -> NDArray[np.bool_]:
        selected = np.ones(count, np.bool_)
        while signal.multiplexer is not None:
            parent = bits_of.get(signal.multiplexer, np.zeros(count, np.uint64))
            ranges = [(parent >= first) & (parent <= last) for first, last in signal.selectors]
            selected &= np.logical_or.reduce(ranges)
            signal = self._message.signals[signal.multiplexer]
        return selected


def raw_bits(signal: SignalDef, values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The signal's bits for physical values f64[n], right-aligned in u64[n]."""
    values = np.asarray(values, np.float64)
    raw = (values - signal.offset) / signal.scale if signal.scale != 0 else np.zeros_like(values)
    if signal.raw_type == "float":
        element, bits = _FLOATS[signal.length_bits]
        greatest = float(np.finfo(element).max)
        finite = np.where(np.isinf(raw), raw, np.clip(raw, -greatest, greatest))
        return finite.astype(element).view(bits).astype(np.uint64)
    least, most = signal.raw_range
    raw = np.rint(np.nan_to_num(raw, nan=0.0, posinf=np.inf, neginf=-np.inf))
    too_great, too_small = raw >= float(most), raw <= float(least)
    inside = np.where(too_great | too_small, 0.0, raw)
    whole = inside.astype(np.int64).view(np.uint64) if least < 0 else inside.astype(np.uint64)
    mask = np.uint64((1 << signal.length_bits) - 1)
    whole = np.where(too_great, np.uint64(most), np.where(too_small, np.uint64(least % (1 << 64)), whole))
    return whole & mask


def _place(signal: SignalDef, bits: NDArray[np.uint64], words: NDArray[np.uint64]) -> None:
    """Put the bits into the words; a big-endian signal's words are counted from the most significant bit."""
    word, shift = divmod(signal.first_bit, 64)
    crosses = shift + signal.length_bits > 64
    if signal.is_little_endian:
        words[:, word] |= bits << np.uint64(shift)
        if crosses:
            words[:, word + 1] |= bits >> np.uint64(64 - shift)
        return
    aligned = bits << np.uint64(64 - signal.length_bits)
    words[:, word] |= aligned >> np.uint64(shift)
    if crosses:
        words[:, word + 1] |= aligned << np.uint64(64 - shift)


def _find_message(dbc_set: DbcSet, name: str, bus: int | None) -> MessageDef:
    prefixes = message_prefixes(dbc_set.messages)
    named = [
        message
        for message, prefix in zip(dbc_set.messages, prefixes, strict=True)
        if name in {message.name, prefix, prefix.removeprefix(f"{message.bus_name}.")}
    ]
    fitting = named if bus is None else [message for message in named if message.bus == bus]
    if bus is not None and not fitting:
        fitting = [message for message in named if message.bus is None]
    if len(fitting) == 1:
        return fitting[0]
    where = "" if bus is None else f" for bus {bus}"
    if not fitting:
        raise UserError(f"no message {name!r} in the DBC files{where}; check its name")
    ids = ", ".join(f"{name}@{message.arbitration_id:X}" for message in fitting)
    raise UserError(f"message {name!r} stands for several frames{where} ({ids}); name one of them, or its bus")
