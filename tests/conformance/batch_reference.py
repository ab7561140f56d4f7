"""A second reader of batch bodies, written from docs/spec/batch.md alone, plain and slow: it checks the first."""

import struct

Frame = tuple[int, int, int, int, int, bytes]


def read_body(data: bytes, count: int) -> list[Frame]:
    """(t_us, bus, id, flags, length, data) of all frames, in order of arrival, from a decompressed body."""
    reader = _Reader(data)
    base_us, group_count, moved, *widths, _ = struct.unpack("<qIIBBBBBB", reader.take(22))
    buses, all_flags, lengths = (reader.take(group_count) for _ in range(3))
    numbers = reader.planes(group_count, 4)
    counts = [less_one + 1 for less_one in reader.planes(group_count, 2)]
    assert sum(counts) == count
    offsets = reader.planes(group_count, widths[0])
    periods = iter(reader.planes(sum(frames > 1 for frames in counts), widths[1]))
    gaps = reader.planes(moved, widths[3])
    shifts = reader.planes(moved, widths[4])
    sizes = [0 if flags & 16 else length for flags, length in zip(all_flags, lengths, strict=True)]
    firsts = reader.take(sum(sizes))
    packed = reader.take((sum(sizes) + 3) // 4)
    classes = [packed[column // 4] >> 2 * (column % 4) & 3 for column in range(sum(sizes))]
    residuals = iter(reader.planes(count - group_count, widths[2]))

    times = []
    for frames, offset in zip(counts, offsets, strict=True):
        t_us = (base_us + offset) % 2**64
        times.append(_signed(t_us))
        period = _unzigzag(next(periods)) if frames > 1 else 0
        for _ in range(frames - 1):
            t_us = (t_us + period + _unzigzag(next(residuals))) % 2**64
            times.append(_signed(t_us))

    columns: list[list[int]] = []
    frames_of = [frames for frames, size in zip(counts, sizes, strict=True) for _ in range(size)]
    moves: dict[int, list[int]] = {column: [0] * (frames - 1) for column, frames in enumerate(frames_of)}
    for wanted in (1, 2, 3):
        for column, frames in enumerate(frames_of):
            if classes[column] == wanted:
                moves[column] = [_unzigzag(value) for value in reader.take(frames - 1)]
    for column, first in enumerate(firsts):
        values = [first]
        for move in moves[column]:
            values.append((values[-1] + move) % 256)
        columns.append(values)
    assert reader.rest() == b""

    grouped: list[Frame] = []
    column = 0
    for group, frames in enumerate(counts):
        for row in range(frames):
            payload = bytes(columns[column + byte][row] for byte in range(sizes[group]))
            t_us = times[len(grouped)]
            grouped.append((t_us, buses[group], numbers[group], all_flags[group], lengths[group], payload))
        column += sizes[group]
    return _arrived(grouped, gaps, [_unzigzag(shift) for shift in shifts])


def _arrived(grouped: list[Frame], gaps: list[int], shifts: list[int]) -> list[Frame]:
    expected = sorted(grouped, key=lambda frame: frame[0])
    places: list[int] = []
    for gap in gaps:
        places.append(gap + (places[-1] if places else 0))
    out = list(expected)
    for at, (place, shift) in enumerate(zip(places, shifts, strict=True)):
        out[places[at + shift]] = expected[place]
    return out


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        out, self._data = self._data[:size], self._data[size:]
        assert len(out) == size
        return out

    def planes(self, count: int, width: int) -> list[int]:
        planes = [self.take(count) for _ in range(width)]
        return [sum(plane[row] << 8 * byte for byte, plane in enumerate(planes)) for row in range(count)]

    def rest(self) -> bytes:
        return self._data


def _unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
