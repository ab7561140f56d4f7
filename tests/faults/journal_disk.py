"""A disk in memory for the journal: it can fail at the n-th call, fill up, tear writes, and lose power.

What is modelled:
- Written bytes are seen by all at once (the page cache), and are on the disk only after `sync` of that file. Names
  (created, renamed, removed) are on the disk only after `sync_folder`.
- `lose_power`: of every write and name change since the last sync, any subset survives; a write may survive in part.
- A failed `sync` writes some of its pending bytes and drops the others for good: a later `sync` returns without writing
  them (as Linux does); with `evicts_after_failed_sync` they vanish from the page cache too.
- `kill`: the process dies, the page cache stays.
"""

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ved.errors import UserError
from ved.journal.files import OpenMode


@dataclass
class Fault:
    """What goes wrong at one call: an errno (0: none, just a short write), after a part of the effect."""

    number: int = errno.EIO
    part: float = 0.0


@dataclass
class _Write:
    offset: int
    data: bytes


@dataclass
class _Truncate:
    size: int


@dataclass(eq=False)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)


@dataclass
class _Link:
    path: str
    inode: _Inode


@dataclass
class _Rename:
    source: str
    target: str


@dataclass
class _Unlink:
    path: str


MUTATING = ("append", "write_at", "truncate", "sync", "rename", "unlink", "sync_folder", "create")


class SimDisk:
    """FileLayer in memory. `calls` counts all calls; `plan(kind, number)` may answer with a Fault for one of them."""

    def __init__(self, capacity_bytes: int = 1 << 40, *, evicts_after_failed_sync: bool = False) -> None:
        self.calls = 0
        self.log: list[str] = []
        self.plan: Callable[[str, int], Fault | None] = lambda kind, number: None
        self.capacity_bytes = capacity_bytes
        self.evicts_after_failed_sync = evicts_after_failed_sync
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._pending_names: list[_Link | _Rename | _Unlink] = []
        self._fds: dict[int, _Inode] = {}
        self._locks: dict[int, str] = {}
        self._next_fd = 1000

    # -- FileLayer

    def open(self, path: Path, mode: OpenMode) -> int:
        self._call("create" if mode == "create" else "open")
        key = str(path)
        inode = self._names.get(key)
        if mode == "create" and inode is not None:
            raise FileExistsError(errno.EEXIST, "exists", key)
        if inode is None:
            if mode in ("read", "append"):
                raise FileNotFoundError(errno.ENOENT, "missing", key)
            inode = _Inode()
            self._names[key] = inode
            self._pending_names.append(_Link(key, inode))
        return self._new_fd(inode)

    def close(self, fd: int) -> None:
        if fd in self._locks:
            del self._locks[fd]
        else:
            del self._fds[fd]

    def size(self, fd: int) -> int:
        self._call("size")
        return len(self._fds[fd].data)

    def read(self, fd: int, count: int, offset: int) -> bytes:
        self._call("read")
        return bytes(self._fds[fd].data[offset : offset + count])

    def append(self, fd: int, data: bytes) -> int:
        return self._write("append", self._fds[fd], data, len(self._fds[fd].data))

    def write_at(self, fd: int, data: bytes, offset: int) -> int:
        return self._write("write_at", self._fds[fd], data, offset)

    def truncate(self, fd: int, size: int) -> None:
        self._call("truncate")
        inode = self._fds[fd]
        _apply(inode.data, _Truncate(size))
        inode.pending.append(_Truncate(size))

    def sync(self, fd: int) -> None:
        inode = self._fds[fd]
        try:
            self._call("sync")
        except OSError:
            cached = inode.data
            _survive(inode, random.Random(self.calls), "any")
            if not self.evicts_after_failed_sync:
                inode.data = cached
            raise
        for change in inode.pending:
            _apply(inode.durable, change)
        inode.pending.clear()

    def rename(self, source: Path, target: Path) -> None:
        self._call("rename")
        self._names[str(target)] = self._names.pop(str(source))
        self._pending_names.append(_Rename(str(source), str(target)))

    def unlink(self, path: Path) -> None:
        self._call("unlink")
        if str(path) not in self._names:
            raise FileNotFoundError(errno.ENOENT, "missing", str(path))
        del self._names[str(path)]
        self._pending_names.append(_Unlink(str(path)))

    def names(self, folder: Path) -> list[str]:
        self._call("names")
        prefix = f"{folder}/"
        return [key[len(prefix) :] for key in self._names if key.startswith(prefix)]

    def make_folder(self, folder: Path) -> None:
        self._call("make_folder")

    def sync_folder(self, folder: Path) -> None:
        self._call("sync_folder")
        for change in self._pending_names:
            _apply_name(self._durable_names, change)
        self._pending_names.clear()

    def lock(self, path: Path) -> int:
        self._call("lock")
        if str(path) in self._locks.values():
            raise UserError("locked")
        fd = self._new_fd(None)
        self._locks[fd] = str(path)
        return fd

    # -- what tests do to it

    @property
    def open_files(self) -> int:
        return len(self._fds) + len(self._locks)

    @property
    def used_bytes(self) -> int:
        return sum(len(inode.data) for inode in self._names.values())

    def kill(self) -> None:
        """The process dies: handles and locks are gone, all that was written stays."""
        self._fds.clear()
        self._locks.clear()

    def lose_power(self, rng: random.Random) -> None:
        """Only what was synced is sure to stay; of the rest anything may."""
        self.kill()
        inodes = {id(inode): inode for inode in (*self._names.values(), *self._durable_names.values())}
        style = rng.choice(["nothing", "everything", "prefix", "any"])
        for inode in inodes.values():
            _survive(inode, rng, style)
        for change in _chosen(self._pending_names, rng, style):
            _apply_name(self._durable_names, change)
        self._pending_names.clear()
        self._names = dict(self._durable_names)

    def damage(self, path: Path, change: Callable[[bytearray], None]) -> None:
        """Change the file's bytes in the cache and on the disk."""
        inode = self._names[str(path)]
        change(inode.data)
        inode.durable = bytearray(inode.data)
        inode.pending.clear()

    def content(self, path: Path) -> bytes:
        """The file's bytes."""
        return bytes(self._names[str(path)].data)

    def remove(self, path: Path) -> None:
        """The file vanishes, durably."""
        self._durable_names.pop(str(path), None)
        del self._names[str(path)]

    def fail_at(self, number: int, fault: Fault) -> None:
        """One fault at call `number` (counted from now, 0 is the next one)."""
        at = self.calls + number
        self.plan = lambda kind, n: fault if n == at else None

    def fail_always(self, kinds: tuple[str, ...], fault: Fault) -> None:
        """The fault at every call of these kinds."""
        self.plan = lambda kind, n: fault if kind in kinds else None

    def heal(self) -> None:
        """No more faults."""
        self.plan = lambda kind, number: None

    # -- inside

    def _new_fd(self, inode: _Inode | None) -> int:
        self._next_fd += 1
        if inode is not None:
            self._fds[self._next_fd] = inode
        return self._next_fd

    def _fault(self, kind: str) -> Fault | None:
        number = self.calls
        self.calls += 1
        return self.plan(kind, number)

    def _call(self, kind: str) -> None:
        fault = self._fault(kind)
        if fault is not None and fault.number:
            raise OSError(fault.number, f"simulated at {kind}")

    def _write(self, kind: str, inode: _Inode, data: bytes, offset: int) -> int:
        fault = self._fault(kind)
        taken = len(data) if fault is None else int(len(data) * fault.part)
        growth = max(0, offset + taken - len(inode.data))
        room = max(0, self.capacity_bytes - self.used_bytes)
        if growth > room:
            taken -= growth - room
            if taken <= 0:
                raise OSError(errno.ENOSPC, "simulated: disk full")
        change = _Write(offset, data[:taken])
        _apply(inode.data, change)
        inode.pending.append(change)
        if fault is not None and (fault.number or taken == 0):
            raise OSError(fault.number or errno.EIO, f"simulated at {kind}")
        return taken


class SimProcess:
    """The disk as one process uses it: `kill` takes its handles and locks away, and no other's."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self._held: set[int] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    def open(self, path: Path, mode: OpenMode) -> int:
        fd = self._disk.open(path, mode)
        self._held.add(fd)
        return fd

    def lock(self, path: Path) -> int:
        fd = self._disk.lock(path)
        self._held.add(fd)
        return fd

    def close(self, fd: int) -> None:
        self._held.remove(fd)
        self._disk.close(fd)

    def kill(self) -> None:
        while self._held:
            self._disk.close(self._held.pop())


def _apply(data: bytearray, change: _Write | _Truncate) -> None:
    if isinstance(change, _Truncate):
        del data[change.size :]
        return
    if len(data) < change.offset:
        data.extend(bytes(change.offset - len(data)))
    data[change.offset : change.offset + len(change.data)] = change.data


def _apply_name(names: dict[str, _Inode], change: _Link | _Rename | _Unlink) -> None:
    if isinstance(change, _Link):
        names[change.path] = change.inode
    elif isinstance(change, _Rename):
        if change.source in names:
            names[change.target] = names.pop(change.source)
    else:
        names.pop(change.path, None)


def _chosen(changes: list, rng: random.Random, style: str) -> list:
    if style == "nothing":
        return []
    if style == "everything":
        return list(changes)
    if style == "prefix":
        return changes[: rng.randint(0, len(changes))]
    return [change for change in changes if rng.random() < 0.5]


def _survive(inode: _Inode, rng: random.Random, style: str) -> None:
    kept = _chosen(inode.pending, rng, style)
    for at, change in enumerate(kept):
        is_torn = isinstance(change, _Write) and change.data and style != "everything" and rng.random() < 0.5
        if is_torn and (style == "any" or at == len(kept) - 1):
            for piece in _pieces(change, rng, style):
                _apply(inode.durable, piece)
        else:
            _apply(inode.durable, change)
    if style == "any" and inode.pending and rng.random() < 0.3:
        # The new size reached the disk without the data.
        inode.durable.extend(bytes(max(0, len(inode.data) - len(inode.durable))))
    inode.data = bytearray(inode.durable)
    inode.pending.clear()


def _pieces(change: _Write, rng: random.Random, style: str) -> list[_Write]:
    """A torn write: its first part, or any parts."""
    cut = rng.randint(0, len(change.data))
    if style == "prefix":
        return [_Write(change.offset, change.data[:cut])]
    second = rng.randint(cut, len(change.data))
    pieces = [
        _Write(change.offset, change.data[:cut]),
        _Write(change.offset + cut, change.data[cut:second]),
        _Write(change.offset + second, change.data[second:]),
    ]
    return [piece for piece in pieces if piece.data and rng.random() < 0.6]
