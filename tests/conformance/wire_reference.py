"""A second reader of batches on the wire, written from docs/spec/wire.md alone, plain and slow: it checks the first."""

import struct

Frame = tuple[int, int, int, int, int, bytes]

LINES = {1: 2, 2: 3, 3: 4, 4: 6, 5: 8, 6: 12, 7: 16}
MEANS = {8: 2, 9: 3, 10: 4, 11: 8, 12: 16}


class Reader:
    """One end of a connection."""

    def __init__(self) -> None:
        self._empty()

    def _empty(self) -> None:
        self.epoch, self.next_seq, self.clock = b"", 1, 0
        self.groups: list[_Group] = []

    def read(self, data: bytes) -> tuple[int, bytes, int, list[Frame]]:
        """CRC, epoch, first seq and the frames in order of arrival."""
        head = _Bytes(data)
        crc, marks = struct.unpack("<IB", head.take(5))
        if marks & 2:
            self._empty()
        if marks & 1:
            self.epoch, self.next_seq = head.take(16), 1
        first_seq = (self.next_seq + _unzigzag(head.varint())) % 2**64
        for _ in range(head.varint()):
            self.groups.append(_Group(struct.unpack("<BBBI", head.take(7)), self.clock))
        for _ in range(head.varint()):
            group = self.groups[head.varint()]
            group.cut(_read_layout(head, group.size))
        ks = head.take(5)
        moved, changed, quotient_bytes = head.varint(), head.varint(), head.varint()
        numbers = _Rice(head.take(quotient_bytes), head.rest())
        for group in self.groups:
            group.frames += _unzigzag(numbers.next(ks[0]))
        gaps = [numbers.next(ks[1]) for _ in range(moved)]
        shifts = [_unzigzag(numbers.next(ks[2])) for _ in range(moved)]
        places, place = [], -1
        for _ in range(changed):
            place += numbers.next(ks[3]) + 1
            places.append(place)
        changes = {place: numbers.next(ks[4]) + 1 for place in places}
        self._read_columns(numbers, changes)
        frames = _arrived([frame for group in self.groups for frame in group.latest()], gaps, shifts)
        self.clock, self.next_seq = frames[-1][0], first_seq + len(frames)
        return crc, self.epoch, first_seq, frames

    def _read_columns(self, numbers: "_Rice", changes: dict[int, int]) -> None:
        at = 0
        for first in range(0, max(group.frames for group in self.groups), 32):
            for group in self.groups:
                frames = max(0, min(32, group.frames - first))
                for column in group.columns:
                    if 4 * column.sum < column.count:
                        column.take([changes.pop(at + step, 0) for step in range(frames)])
                        at += frames
                    else:
                        k = (11 * column.sum // (16 * column.count)).bit_length()
                        column.take([numbers.next(k) for _ in range(frames)])
        assert not changes
        assert numbers.is_at_end()


class _Column:
    """`past` are values that never jump, the latest last; their lowest bits are the field's."""

    def __init__(self, width: int, number: int, start: int, past: list[int]) -> None:
        self.width, self.filter = width, number
        self.sum, self.count = ((5 << start) // 8 if start else 0), 1
        self.past = [past[0]]
        for raw in past[1:]:
            self.past.append(_wrapped(self.past[-1] + _signed(raw - self.past[-1], width)))

    def take(self, numbers: list[int]) -> None:
        base = self.past[-1]
        for number in numbers:
            before = [_wrapped(value - base) for value in self.past]
            value = _predict(before, self.filter) + _unzigzag(number)
            value = before[-1] + _signed(value - before[-1], self.width)
            self.past.append(_wrapped(base + value))
        self.sum += sum(min(number, 2**40) for number in numbers)
        self.count += len(numbers)
        fading = max(0, self.count.bit_length() - 4)
        self.sum >>= fading
        self.count >>= fading

    def raw(self, at: int) -> int:
        return self.past[at] % 2**self.width


class _Group:
    def __init__(self, key: tuple[int, int, int, int], clock: int) -> None:
        self.key = key
        self.size = 0 if key[1] & 16 else key[2]
        self.frames = 0
        octets = [(False, [(8, 0, 8)] * min(8, self.size - at)) for at in range(0, self.size, 8)]
        self._begin(((64, 1, 15), octets), [(clock, bytes(self.size))] * 16)

    def cut(self, layout) -> None:
        self._begin(layout, [self._row(at) for at in range(-16, 0)])

    def _begin(self, layout, rows: list[tuple[int, bytes]]) -> None:
        time, self.words = layout
        self.columns = [_Column(*time, [t_us for t_us, _ in rows])]
        for place, (is_big, fields) in enumerate(self.words):
            words = [int.from_bytes(data[8 * place : 8 * place + 8], _order(is_big)) for _, data in rows]
            bit = 0
            for width, number, start in fields:
                self.columns.append(_Column(width, number, start, [word >> bit & 2**width - 1 for word in words]))
                bit += width

    def _row(self, at: int) -> tuple[int, bytes]:
        columns = iter(self.columns)
        t_us = _wrapped(next(columns).raw(at))
        data = b""
        for is_big, fields in self.words:
            word, bit = 0, 0
            for width, _, _ in fields:
                word |= next(columns).raw(at) << bit
                bit += width
            data += word.to_bytes(bit // 8, _order(is_big))
        return t_us, data

    def latest(self) -> list[Frame]:
        rows = [self._row(at) for at in range(-self.frames, 0)]
        bus, flags, length, number = self.key
        return [(t_us, bus, number, flags, length, data) for t_us, data in rows]


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        self._at += count
        assert self._at <= len(self._data)
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def varint(self) -> int:
        number = shift = 0
        while True:
            (octet,) = self.take(1)
            number |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                return number


class _Rice:
    def __init__(self, quotients: bytes, rest: bytes) -> None:
        bits = _bits(quotients)
        self._quotients = [len(zeros) for zeros in bits.split("1")[:-1]]
        escaped_bytes = 8 * self._quotients.count(32)
        self._escaped = [one for (one,) in struct.iter_unpack("<Q", rest[:escaped_bytes])]
        self._low = _bits(rest[escaped_bytes:])

    def next(self, k: int) -> int:
        low, self._low = int("0" + self._low[:k], 2), self._low[k:]
        quotient = self._quotients.pop(0)
        return self._escaped.pop(0) if quotient == 32 else quotient << k | low

    def is_at_end(self) -> bool:
        return not self._quotients and len(self._low) < 8 and "1" not in self._low


def _read_layout(head: _Bytes, size: int):
    time = tuple(head.take(3))
    words = []
    for at in range(0, size, 8):
        (is_big,) = head.take(1)
        fields, bits = [], 8 * min(8, size - at)
        while bits:
            fields.append(tuple(head.take(3)))
            bits -= fields[-1][0]
        words.append((bool(is_big), fields))
    return time, words


def _predict(before: list[int], number: int) -> int:
    if number in LINES:
        count = LINES[number]
        weights, divisor = [2 * (2 * count + 1 - 3 * j) for j in range(1, count + 1)], count * (count - 1)
    elif number in MEANS:
        weights, divisor = [1] * MEANS[number], MEANS[number]
    else:
        weights, divisor = [0] * max(0, number - 33) + [1], 1
    total = sum(weight * before[-j] for j, weight in enumerate(weights, 1)) + divisor // 2
    return _wrapped(total) // divisor


def _arrived(grouped: list[Frame], gaps: list[int], shifts: list[int]) -> list[Frame]:
    expected = sorted(grouped, key=lambda frame: frame[0])
    places, place = [], 0
    for gap in gaps:
        place += gap
        places.append(place)
    out = list(expected)
    for at, (place, shift) in enumerate(zip(places, shifts, strict=True)):
        out[places[at + shift]] = expected[place]
    return out


def _order(is_big: bool) -> str:
    return "big" if is_big else "little"


def _bits(data: bytes) -> str:
    return "".join(f"{octet:08b}" for octet in data)


def _unzigzag(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def _signed(number: int, width: int) -> int:
    """The signed number nearest to 0 that is the same modulo 2^width."""
    half = 1 << (width - 1)
    return (number + half) % (2 * half) - half


def _wrapped(number: int) -> int:
    return _signed(number, 64)
