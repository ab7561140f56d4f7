"""Disks that can be hurt: ext4 on a loop file that loses power or runs full, and a small tmpfs. They need root."""

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878


def why_not() -> str | None:
    """Why no disk can be made here, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "mounting needs root"
    if not Path("/dev/loop-control").exists():
        return "/dev/loop-control is missing"
    try:
        subprocess.run(["mkfs.ext4", "-V"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"mkfs.ext4 does not work: {error}"
    return None


class LoopDisk:
    """ext4 in a file, mounted at `path`."""

    def __init__(self, folder: Path, name: str, size_bytes: int) -> None:
        self._image = folder / f"{name}.img"
        self.path = folder / name
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size_bytes)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(self._image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def cut_power(self) -> None:
        """From this moment nothing more reaches the disk, and what was not flushed never will."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Whoever writes waits, for the length of the block."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _FIFREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(fd, _FITHAW, 0)
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Nobody may use it any more. The next mount is of a copy.

        Some process elsewhere may hold a copy of all mounts, and would keep the disk without power alive.
        """
        _run("umount", str(self.path))
        copy = self._image.with_suffix(".copy")
        _run("cp", "--sparse=always", str(self._image), str(copy))
        copy.replace(self._image)


@contextlib.contextmanager
def loop_disk(folder: Path, name: str, size_bytes: int) -> Iterator[LoopDisk]:
    """A mounted disk; unmounted at the end, whatever happens."""
    disk = LoopDisk(folder, name, size_bytes)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk.path)], check=False, capture_output=True)


@contextlib.contextmanager
def tiny_tmpfs(path: Path, size_bytes: int) -> Iterator[Path]:
    """A file system in memory with just this much room."""
    path.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "ved-faults", str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left; remove the returned file to give it back."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(size))
    return path


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
