"""The file of a backup: a tar in a zstd frame. Its last member, `manifest.json`, has size and SHA-256 of all others.

A file that was cut has no manifest, one that was damaged fails a hash (or zstd's own check sum): both are refused.
"""

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import zstandard

from ved.errors import CorruptDataError, StorageError, UnsupportedVersionError

MANIFEST: Final = "manifest.json"
VERSION: Final = 1
KEYS: Final = ("keys", "imports")
"""Folders that a backup without keys has not; `imports` holds the key of `ved import`."""
PRIVATE: Final = (*KEYS, "db.sqlite", "db.pgdump")
"""What its owner alone may read; the rest is as open as the umask lets it be, as in the folder that was saved."""
TOPS: Final = (*KEYS, "streams", "ingest", "vehicles", "influx", "lake", "db.sqlite", "db.pgdump")
_CHUNK: Final = 1 << 20
_LEVEL: Final = 3


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    created_utc_s: float
    with_keys: bool
    files: Mapping[str, tuple[int, str]]


class _Hashing(io.RawIOBase):
    """Passes exactly `size` bytes of a file on and hashes them."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._left = size
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data


class ArchiveWriter:
    """Writes members one after the other; `close` adds the manifest. OSError when the disk refuses."""

    def __init__(self, out: BinaryIO, *, with_keys: bool) -> None:
        self._frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=1).stream_writer(
            out, closefd=False
        )
        self._tar = tarfile.open(fileobj=self._frame, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see close
        self._files: dict[str, tuple[int, str]] = {}
        self._with_keys = with_keys
        self._created_s = time.time()

    def add_bytes(self, name: str, data: bytes) -> None:
        """A small file."""
        self.add_file(name, io.BytesIO(data), len(data))

    def add_file(self, name: str, source: BinaryIO, size: int | None) -> None:
        """The first `size` bytes of an open file; None: all that it has now. StorageError when it has less."""
        if size is None:
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
        hashing = _Hashing(source, size)
        try:
            self._tar.addfile(self._entry(name, size), hashing)
        except OSError as error:
            if "unexpected end of data" not in str(error):
                raise
            raise StorageError(f"{name} got shorter while it was copied") from None
        self._files[name] = (size, hashing.digest.hexdigest())

    def close(self) -> tuple[int, int]:
        """Write the manifest and end; the number of files and of their bytes."""
        document = {
            "version": VERSION,
            "created_utc_s": self._created_s,
            "with_keys": self._with_keys,
            "files": self._files,
        }
        data = json.dumps(document, indent=0).encode()
        self._tar.addfile(self._entry(MANIFEST, len(data)), io.BytesIO(data))
        self._tar.close()
        self._frame.close()  # type: ignore[no-untyped-call]
        return len(self._files), sum(size for size, _ in self._files.values())

    def _entry(self, name: str, size: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(self._created_s)
        return entry


def unpack(source: BinaryIO, folder: Path) -> Manifest:
    """Write all members below `folder`, every byte checked against the manifest; a second one is never read.

    CorruptDataError says what is wrong with the file; OSError when the disk refuses.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as frame,
            tarfile.open(fileobj=frame, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member)
                if not member.isreg() or content is None:
                    raise CorruptDataError(f"{member.name!r} is not a plain file")
                if member.name == MANIFEST:
                    manifest = _parse_manifest(content.read())
                else:
                    path = _checked(member.name)
                    found[member.name] = _write(content, folder / path, is_private=path.parts[0] in PRIVATE)
            while frame.read(_CHUNK):  # to the end, where zstd's check sum stands
                pass
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise CorruptDataError(f"it cannot be unpacked ({error})") from None
    if manifest is None:
        raise CorruptDataError("it has no manifest, so its end is missing")
    _compare(found, manifest.files)
    return manifest


def _compare(found: Mapping[str, tuple[int, str]], wanted: Mapping[str, tuple[int, str]]) -> None:
    for name, said in wanted.items():
        if name not in found:
            raise CorruptDataError(f"{name} is missing")
        if found[name] != said:
            raise CorruptDataError(f"{name} is not what was saved (SHA-256 differs)")
    for name in found.keys() - wanted.keys():
        raise CorruptDataError(f"{name} is not in its manifest")


def _checked(name: str) -> PurePosixPath:
    """A relative path below what a data folder has; CorruptDataError for any other."""
    path = PurePosixPath(name)
    is_odd = path.is_absolute() or "\\" in name or any(part in ("..", ".") for part in path.parts)
    if is_odd or not path.parts or path.parts[0] not in TOPS or str(path) != name:
        raise CorruptDataError(f"{name!r} is no place in a data folder")
    return path


def _write(content: Any, target: Path, *, is_private: bool) -> tuple[int, str]:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as out:
        if is_private:
            target.chmod(0o600)
        while data := content.read(_CHUNK):
            out.write(data)
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


def _parse_manifest(data: bytes) -> Manifest:
    try:
        document = json.loads(data)
        version = int(document["version"])
        if version != VERSION:
            raise UnsupportedVersionError(f"its version is {version}, this program knows {VERSION}; update ved")
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in document["files"].items()}
        return Manifest(float(document["created_utc_s"]), bool(document["with_keys"]), files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptDataError(f"its manifest cannot be read ({error})") from None
