"""MF4 files that were cut off: which links and lengths to change so that what is left can be read.

Block layout as in ASAM MDF 4.1: id (4 bytes), reserved (4), length u64, link count u64, links u64 each, then data.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_HEAD: Final = struct.Struct("<4s4xQQ")
_U64: Final = struct.Struct("<Q")
_HEADER_BLOCK_AT: Final = 64
_CYCLES_IN_GROUP: Final = 8
"""Offset of the record count behind a CG block's links; record id u64 before it."""
_SIZES_IN_GROUP: Final = 24
"""Offset of the record's data and invalidation bytes (u32 each) behind a CG block's links."""
_DATA_KINDS: Final = (b"##DT", b"##SD", b"##DV")


class BadBlockError(ValueError):
    """There is no MF4 block where the file says there is one."""


@dataclass(frozen=True, slots=True)
class _Block:
    at: int
    kind: bytes
    length: int
    links: tuple[int, ...]

    @property
    def data_at(self) -> int:
        return self.at + _HEAD.size + 8 * len(self.links)

    def link(self, number: int) -> int:
        return self.links[number] if number < len(self.links) else 0


@dataclass(slots=True)
class Repair:
    """What to change: `patches` are offset -> u64 value. `lost_records` of `all_records` cannot be read.

    `only_data_at` is where the records begin in a file that has one list of records alone, else None.
    """

    patches: dict[int, int] = field(default_factory=dict)
    all_records: int = 0
    lost_records: int = 0
    is_cut: bool = False
    only_data_at: int | None = None


def find_repair(data: bytes | bytearray) -> Repair:
    """Follow all links from the file's header; BadBlockError when not even that is there."""
    return _Walk(data).run()


class _Walk:
    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data
        self._repair = Repair()
        self._seen: set[int] = set()
        self._available: dict[int, int] = {}
        self._lost: set[int] = set()

    def run(self) -> Repair:
        if self._block(_HEADER_BLOCK_AT) is None:
            raise BadBlockError("no header block")
        self._clean_links()
        data_groups = list(self._chain(self._read(_HEADER_BLOCK_AT).link(0)))
        if self._repair.is_cut:
            for data_group in data_groups:
                self._count_records(data_group)
        elif len(data_groups) == 1 and data_groups[0].link(2):
            self._repair.only_data_at = self._read(data_groups[0].link(2)).data_at
        return self._repair

    def _block(self, at: int) -> _Block | None:
        """The block at `at`; None when its header and links are not whole."""
        if at + _HEAD.size > len(self._data):
            return None
        kind, length, link_count = _HEAD.unpack_from(self._data, at)
        end = at + _HEAD.size + 8 * link_count
        if not kind.startswith(b"##") or end > len(self._data) or _HEAD.size + 8 * link_count > length:
            return None
        return _Block(at, kind, length, struct.unpack_from(f"<{link_count}Q", self._data, at + _HEAD.size))

    def _read(self, at: int) -> _Block:
        block = self._block(at)
        if block is None:
            raise BadBlockError(f"no block at {at}")
        return block

    def _clean_links(self) -> None:
        """Unlink blocks that are not there, shorten data blocks that are there in part."""
        todo = [_HEADER_BLOCK_AT]
        while todo:
            at = todo.pop()
            if at in self._seen:
                continue
            self._seen.add(at)
            block = self._read(at)
            for number, target in enumerate(block.links):
                if target == 0:
                    continue
                found = self._block(target)
                missing = 0 if found is None else found.at + found.length - len(self._data)
                if found is not None and missing <= 0:
                    todo.append(target)
                    continue
                self._repair.is_cut = True
                if found is not None and found.kind in _DATA_KINDS:
                    self._repair.patches[found.at + 8] = found.length - missing
                    self._available[found.at] = found.length - missing - _HEAD.size
                else:
                    self._repair.patches[at + _HEAD.size + 8 * number] = 0
                    self._lost.add(target)

    def _chain(self, at: int) -> Iterator[_Block]:
        """Blocks joined by their first link, as far as they are whole."""
        passed: set[int] = set()
        while at and at not in self._lost and at not in passed:
            passed.add(at)
            block = self._read(at)
            yield block
            at = block.link(0)

    def _count_records(self, data_group: _Block) -> None:
        groups = list(self._chain(data_group.link(1)))
        data_at = data_group.link(2)
        id_bytes = self._data[data_group.data_at]
        for group in groups:
            cycles_at = group.data_at + _CYCLES_IN_GROUP
            (cycles,) = _U64.unpack_from(self._data, cycles_at)
            kept = cycles
            if data_at in self._lost:
                kept = 0
            elif data_at in self._available and len(groups) == 1:
                data_bytes, flag_bytes = struct.unpack_from("<II", self._data, group.data_at + _SIZES_IN_GROUP)
                kept = min(kept, self._available[data_at] // max(1, id_bytes + data_bytes + flag_bytes))
            for channel in self._channels(group.link(1)):
                signal_at = channel.link(5)
                if signal_at in self._lost:
                    kept = 0
                elif signal_at in self._available:
                    kept = min(kept, self._values(signal_at))
            self._repair.all_records += cycles
            self._repair.lost_records += cycles - kept
            if kept != cycles:
                self._repair.patches[cycles_at] = kept

    def _channels(self, at: int) -> Iterator[_Block]:
        """The channels of a group with those that they are made of."""
        for channel in self._chain(at):
            yield channel
            inner = channel.link(1)
            if inner and inner not in self._lost and self._read(inner).kind == b"##CN":
                yield from self._channels(inner)

    def _values(self, at: int) -> int:
        """Whole values of a shortened SD block: u32 length, then the bytes."""
        pos, end, count = at + _HEAD.size, at + _HEAD.size + self._available[at], 0
        while pos + 4 <= end:
            (length,) = struct.unpack_from("<I", self._data, pos)
            pos += 4 + length
            if pos > end:
                break
            count += 1
        return count
