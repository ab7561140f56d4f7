"""Fields of unknown ids, guessed from how their bits change: counters, checksums, byte order, ranges, with confidence.

A bit's flip rate falls from a number's least to its most significant bit (Marchetti and Stabili, "READ: Reverse
Engineering of Automotive Data Frames", 2019); that a higher bit flips when the lower bits wrap around shows that they
are one number, and in which byte order. Names, scales and units are for a person to find.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ved.dbc.checksums import find_checksums
from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.multiplex import find_selector
from ved.dbc.wire import Seen, WireId

MIN_FRAMES: Final = 30
_MAX_BITS: Final = 32
_FEW_WRAPS: Final = 5
_ONE_NUMBER: Final = 0.3
_NOISE: Final = 0.4

FieldKind = Literal["multiplexer", "counter", "checksum", "number", "flag"]


@dataclass(frozen=True, slots=True)
class Field:
    """Bits of a payload (least significant first, as 8 * byte + bit) that look like one thing; confidence 0 to 1.

    `page`: the multiplexer's value with which they do; None when always.
    """

    kind: FieldKind
    bits: tuple[int, ...]
    confidence: float
    why: str
    page: int | None = None

    @property
    def is_little_endian(self) -> bool:
        """True when bits go up from byte to byte, and for fields in one byte."""
        return self.bits[0] // 8 <= self.bits[-1] // 8


def guess_fields(payload: NDArray[np.uint8]) -> list[Field]:
    """Fields of one id's frames, payload u8[n, length] in the order of time; none when there are too few frames."""
    if len(payload) < MIN_FRAMES:
        return []
    columns = np.unpackbits(payload, axis=1, bitorder="little")
    free = (columns != columns[0]).any(axis=0)
    fields: list[Field] = []
    for byte, name, distinct in find_checksums(payload):
        bits = tuple(range(8 * byte, 8 * byte + 8))
        free[list(bits)] = False
        confidence = 0.99 if distinct >= 64 else 0.9
        fields.append(Field("checksum", bits, confidence, f"{name} of the other bytes in all frames"))
    selector = find_selector(columns, free, MIN_FRAMES)
    if selector is None:
        return sorted(fields + _plain_fields(columns, free), key=lambda field: min(field.bits))
    free[list(selector.bits)] = False
    why = f"{len(selector.values)} pages; frames of one page change {selector.gain:.0%} less"
    fields.append(Field("multiplexer", selector.bits, selector.gain, why))
    number = selector.number(columns)
    for value in selector.values:
        page = columns[number == value]
        paged = _plain_fields(page, free & (page != page[0]).any(axis=0))
        fields += sorted((replace(field, page=value) for field in paged), key=lambda field: min(field.bits))
    return fields


def _plain_fields(columns: NDArray[np.uint8], free: NDArray[np.bool_]) -> list[Field]:
    """Counters, numbers and flags among the free bits, which are used up."""
    flips = (columns[1:] != columns[:-1]).mean(axis=0)
    fields: list[Field] = []
    for counter in _counters(columns, flips, free):
        free[list(counter.bits)] = False
        fields.append(counter)
    candidates = [field for step in (True, False) for field in _numbers(columns, flips, free, is_little=step)]
    several_bytes = [field for field in candidates if field.bits[0] // 8 != field.bits[-1] // 8]
    for field in sorted(several_bytes, key=lambda one: -one.confidence * len(one.bits)):
        if free[list(field.bits)].all():
            free[list(field.bits)] = False
            fields.append(field)
    return fields + _numbers(columns, flips, free, is_little=True, in_one_byte=True)


def _next_bit(bit: int, *, is_little: bool) -> int:
    """The next more significant bit; below 0 when there is none."""
    return bit + 1 if is_little or bit % 8 < 7 else 8 * (bit // 8) - 8


def _value(columns: NDArray[np.uint8], bits: Sequence[int]) -> NDArray[np.int64]:
    weights = np.int64(1) << np.arange(len(bits), dtype=np.int64)
    value: NDArray[np.int64] = columns[:, list(bits)].astype(np.int64) @ weights
    return value


def _counters(columns: NDArray[np.uint8], flips: NDArray[np.float64], free: NDArray[np.bool_]) -> Iterator[Field]:
    """Numbers that go up by one from frame to frame: the lowest bit flips always, each next one half as often."""
    taken = np.zeros(len(free), np.bool_)
    for start in np.flatnonzero(free & (flips > 0.9)).tolist():
        best: Field | None = None
        for is_little in (True, False):
            bits = [start]
            while len(bits) < _MAX_BITS:
                bit = _next_bit(bits[-1], is_little=is_little)
                expected = flips[bits[-1]] / 2
                if not 0 <= bit < len(free) or not free[bit] or abs(flips[bit] - expected) > 0.25 * expected + 0.01:
                    break
                bits.append(bit)
            if len(bits) < 2 or taken[bits].any() or (best and len(bits) <= len(best.bits)):
                continue
            value = _value(columns, bits)
            share = float(((value[1:] - value[:-1]) % (1 << len(bits)) == 1).mean())
            if share > 0.9:
                why = f"goes up by 1 in {share:.1%} of the frames"
                best = Field("counter", tuple(bits), round(share, 2), why)
        if best:
            taken[list(best.bits)] = True
            yield best


def _numbers(
    columns: NDArray[np.uint8],
    flips: NDArray[np.float64],
    free: NDArray[np.bool_],
    *,
    is_little: bool,
    in_one_byte: bool = False,
) -> list[Field]:
    """Cut all free bits into numbers, from the least significant bit upwards in one byte order."""
    bytes_ = range(len(free) // 8) if is_little else range(len(free) // 8 - 1, -1, -1)
    order = [8 * byte + bit for byte in bytes_ for bit in range(8)]
    fields: list[Field] = []
    done = np.zeros(len(free), np.bool_)
    for start in order:
        if not free[start] or done[start]:
            continue
        bits, gains = [start], []
        while len(bits) < _MAX_BITS:
            bit = _next_bit(bits[-1], is_little=is_little)
            is_crossing = bit >= 0 and bit // 8 != bits[-1] // 8
            if not 0 <= bit < len(free) or not free[bit] or done[bit] or (in_one_byte and is_crossing):
                break
            slack = 0.02 + 4 * float(np.sqrt(flips[bits[-1]] * (1 - flips[bits[-1]]) / len(columns)))
            if flips[bit] > flips[bits[-1]] + slack:
                break
            is_noise = not is_crossing and min(flips[bits[-1]], flips[bit]) > _NOISE  # carries cannot be told then
            gain = None if is_noise else _carry_gain(columns, bits, bit)
            if (gain is None and is_crossing) or (gain is not None and gain < _ONE_NUMBER):
                break
            if gain is not None:
                gains.append(gain)
            bits.append(bit)
        done[bits] = True
        fields.append(_number(bits, gains))
    return fields


def _number(bits: Sequence[int], gains: Sequence[float]) -> Field:
    if len(bits) == 1:
        return Field("flag", tuple(bits), 0.5, "one bit that changes alone")
    if not gains:
        return Field("number", tuple(bits), 0.3, "neighbouring bits that change; too few changes to be sure")
    mean = sum(gains) / len(gains)
    return Field("number", tuple(bits), round(min(mean, 0.95), 2), f"higher bits follow lower ones in {mean:.0%}")


def _carry_gain(columns: NDArray[np.uint8], bits: Sequence[int], bit: int) -> float | None:
    """How much likelier `bit` flips when the number made of `bits` wraps; None when it hardly ever wraps."""
    if len(bits) < 3:
        return None
    steps = np.abs(np.diff(_value(columns, bits)))
    wraps = steps > 1 << (len(bits) - 1)
    if wraps.sum() < _FEW_WRAPS or wraps.all():
        return None
    flipped = columns[1:, bit] != columns[:-1, bit]
    return float(flipped[wraps].mean() - flipped[~wraps].mean())


def guess_messages(payloads: Mapping[WireId, NDArray[np.uint8]], seen: Mapping[WireId, Seen]) -> list[MessageDef]:
    """A message for every id, its fields as signals with scale 1; comments carry what was seen and the confidence."""
    messages = []
    for wire_id, payload in sorted(payloads.items(), key=lambda item: item[0]):
        fields = guess_fields(payload)
        messages.append(
            MessageDef(
                name=f"Unknown_{wire_id}",
                arbitration_id=wire_id.arbitration_id,
                is_extended=wire_id.is_extended,
                length=payload.shape[1],
                is_fd=payload.shape[1] > 8,
                bus=wire_id.bus,
                bus_name=f"bus{wire_id.bus}",
                file="",
                signals=tuple(_signals(fields, payload)),
                comment=_comment(payload, seen[wire_id], fields),
            )
        )
    return messages


def _signals(fields: Sequence[Field], payload: NDArray[np.uint8]) -> Iterator[SignalDef]:
    """The multiplexer first: what it selects counts on its place."""
    columns = np.unpackbits(payload, axis=1, bitorder="little")
    selector = next((field for field in fields if field.kind == "multiplexer"), None)
    if selector is None:
        yield from (_signal(field, columns) for field in fields)
        return
    yield replace(_signal(selector, columns), is_multiplexer=True)
    number = _value(columns, selector.bits)
    for field in fields:
        if field.page is not None:
            signal = _signal(field, columns[number == field.page])
            name = f"{signal.name}_page{field.page}"
            yield replace(signal, name=name, multiplexer=0, selectors=((field.page, field.page),))
        elif field is not selector:
            yield _signal(field, columns)


def _signal(field: Field, columns: NDArray[np.uint8]) -> SignalDef:
    is_little = field.is_little_endian
    start = field.bits[0] if is_little else field.bits[-1]
    value = _value(columns, field.bits)
    half = 1 << (len(field.bits) - 1)
    wrapped = np.where(value >= half, value - 2 * half, value)
    is_signed = field.kind == "number" and bool(
        2 * np.abs(np.diff(wrapped)).mean() < np.abs(np.diff(value)).mean() and len(field.bits) > 3
    )
    shown = wrapped if is_signed else value
    low, high = int(shown.min()), int(shown.max())
    return SignalDef(
        name=f"{field.kind.capitalize()}_{start}",
        start_bit=start,
        length_bits=len(field.bits),
        is_little_endian=is_little,
        raw_type="signed" if is_signed else "unsigned",
        scale=1.0,
        offset=0.0,
        minimum=float(low) if (low, high) != (0, 0) else None,
        maximum=float(high) if (low, high) != (0, 0) else None,
        unit="",
        comment=f"Guess, confidence {field.confidence:.0%}: {field.kind}, {field.why}; seen {low} to {high}.",
    )


def _comment(payload: NDArray[np.uint8], seen: Seen, fields: Sequence[Field]) -> str:
    parts = [f"Guessed from {seen.rate_text}."]
    if len(payload) < MIN_FRAMES:
        return f"{parts[0]} Too few frames of {payload.shape[1]} bytes to guess fields ({MIN_FRAMES} are needed)."
    constant = [byte for byte in range(payload.shape[1]) if (payload[:, byte] == payload[0, byte]).all()]
    if constant:
        parts.append("Constant: " + ", ".join(f"byte {byte} = 0x{payload[0, byte]:02X}" for byte in constant) + ".")
    if len(seen.lengths) > 1:
        parts.append(f"Lengths: {', '.join(map(str, sorted(seen.lengths)))}.")
    if not fields:
        parts.append("Nothing ever changes.")
    return " ".join(parts)
