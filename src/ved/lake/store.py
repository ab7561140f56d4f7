"""The files below the table's address: a local folder (synced, memory-mapped) or an object store."""

import errno
import itertools
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.fs import DeltaStorageHandler

from ved.errors import StorageError, UserError
from ved.lake.layout import TableLayout


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is really there: path relative to the table, size, age of its last change in seconds."""

    path: str
    size_bytes: int
    age_s: float


@dataclass(frozen=True, slots=True)
class ParquetRows:
    """Rows in the order of the disk, and where their row groups begin and end: 0, …, n."""

    layout: TableLayout
    table: pa.Table
    bounds: list[int]


class Store(Protocol):
    """What the lake needs of the place where its files are. Paths are relative to the table."""

    @property
    def url(self) -> str:
        """Address of the table for Delta."""

    def write(self, path: str, rows: ParquetRows, zstd_level: int) -> int:
        """Write a Parquet file, durable before it returns; its size in bytes. StorageError."""

    def replace(self, path: str, rows: ParquetRows, zstd_level: int) -> None:
        """As `write`, for a file that somebody may open at any moment: it shows when it is whole. StorageError."""

    def open(self, path: str) -> pa.NativeFile:
        """A file to read at any place; FileNotFoundError, OSError."""

    def read_text(self, path: str) -> str | None:
        """A small file as text, None when it is not there. StorageError."""

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens when it is not there. StorageError."""

    def walk(self) -> Iterator[StoredFile]:
        """All Parquet data files. StorageError."""

    def newest_commit(self) -> str | None:
        """The log's newest commit file where a power cut may have spoilt it, else None."""

    def put_away(self, path: str) -> None:
        """Rename a spoilt file so that nothing reads it. StorageError."""


def open_store(url: str) -> Store:
    """The store of a table address: a path, file:// or an object store's address."""
    if "://" not in url:
        return LocalStore(Path(url))
    if url.startswith("file://"):
        return LocalStore(Path(url.removeprefix("file://")))
    if url.split("://", 1)[0] not in {"s3", "s3a", "memory"}:
        raise UserError(f"lake address {url}: give a folder or s3://BUCKET/PREFIX")
    return ObjectStore(url)


def write_parquet(sink: pa.NativeFile, rows: ParquetRows, zstd_level: int) -> None:
    """Write the rows as one Parquet file with their layout's encodings and the row groups of their bounds."""
    layout = rows.layout
    with pq.ParquetWriter(
        sink,
        layout.file_schema,
        compression="zstd",
        compression_level=zstd_level,
        use_dictionary=list(layout.dictionaries) or False,
        column_encoding=dict(layout.encodings),
        write_statistics=list(layout.limited),
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for start, end in itertools.pairwise(rows.bounds):
            writer.write_table(rows.table.slice(start, end - start), row_group_size=max(1, end - start))


class LocalStore:
    """A folder. Files are synced before their name counts: a power cut leaves whole files or none that is named."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._root)

    def write(self, path: str, rows: ParquetRows, zstd_level: int) -> int:
        """Write a Parquet file, durable before it returns; its size in bytes. StorageError."""
        target = self._root / path
        try:
            self._make_folder(target.parent)
            with pa.OSFile(str(target), "wb") as sink:
                write_parquet(sink, rows, zstd_level)
            with target.open("rb") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            _sync_folder(target.parent)
        except OSError as error:
            _remove_quietly(target)
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
        return size

    def replace(self, path: str, rows: ParquetRows, zstd_level: int) -> None:
        """Write a Parquet file under another name, then give it its own. StorageError."""
        draft = f"{path}.{uuid.uuid4().hex}.new"
        self.write(draft, rows, zstd_level)
        try:
            (self._root / draft).replace(self._root / path)
        except OSError as error:
            _remove_quietly(self._root / draft)
            raise StorageError(f"cannot write {self._root / path}: {error.strerror or error}") from error

    def open(self, path: str) -> pa.NativeFile:
        """The file, memory-mapped."""
        return pa.memory_map(str(self._root / path), "r")

    def read_text(self, path: str) -> str | None:
        """A small file as text, None when it is not there. StorageError."""
        try:
            return (self._root / path).read_text("utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._root / path}: {error.strerror or error}") from error

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens when it is not there. StorageError."""
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {self._root / path}: {error.strerror or error}") from error

    def walk(self) -> Iterator[StoredFile]:
        """All Parquet data files. StorageError."""
        now_s = time.time()
        for file in self._root.glob("vehicle=*/epoch=*/*.parquet"):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue  # deleted meanwhile
            except OSError as error:
                raise StorageError(f"cannot look at {file}: {error.strerror or error}") from error
            yield StoredFile(str(file.relative_to(self._root)), status.st_size, now_s - status.st_mtime)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write a small file, whole and durable, unless there is one; False then. StorageError."""
        target = self._root / path
        draft = target.with_name(f"{target.name}.{uuid.uuid4().hex}.new")
        try:
            self._make_folder(target.parent)
            _write_synced(draft, data)
            is_new = _link(draft, target, data)
            draft.unlink()
            _sync_folder(target.parent)
        except OSError as error:
            _remove_quietly(draft)
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
        return is_new

    def newest_commit(self) -> str | None:
        """The log's newest commit file: where there are no hard links, a power cut may have left it without content."""
        names = [file.name for file in (self._root / "_delta_log").glob("*.json") if file.stem.isdigit()]
        return f"_delta_log/{max(names)}" if names else None

    def put_away(self, path: str) -> None:
        """Rename a spoilt file so that nothing reads it. StorageError."""
        spoilt = self._root / path
        try:
            spoilt.rename(spoilt.with_name(f"{spoilt.name}.spoilt"))
            _sync_folder(spoilt.parent)
        except OSError as error:
            raise StorageError(f"cannot rename {spoilt}: {error.strerror or error}") from error

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


class ObjectStore:
    """An object store (s3://): writes are atomic and durable there; credentials come from the usual environment."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._handler = pafs.PyFileSystem(DeltaStorageHandler(self._url))

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    def write(self, path: str, rows: ParquetRows, zstd_level: int) -> int:
        """Write a Parquet file; its size in bytes. StorageError."""
        try:
            with self._handler.open_output_stream(path) as out:
                write_parquet(out, rows, zstd_level)
                size = int(out.tell())
        except OSError as error:
            raise StorageError(f"cannot write {self._url}/{path}: {error}") from error
        return size

    def replace(self, path: str, rows: ParquetRows, zstd_level: int) -> None:
        """Write a Parquet file: an object shows when it is whole. StorageError."""
        self.write(path, rows, zstd_level)

    def open(self, path: str) -> pa.NativeFile:
        """The object, read by ranges."""
        return self._handler.open_input_file(path)

    def read_text(self, path: str) -> str | None:
        """A small object as text, None when it is not there. StorageError."""
        try:
            with self._handler.open_input_file(path) as file:
                return bytes(file.read()).decode("utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._url}/{path}: {error}") from error

    def delete(self, path: str) -> None:
        """Remove an object. StorageError."""
        try:
            self._handler.delete_file(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot delete {self._url}/{path}: {error}") from error

    def walk(self) -> Iterator[StoredFile]:
        """All Parquet data files. StorageError."""
        now_s = time.time()
        try:
            found = self._handler.get_file_info(pafs.FileSelector("", allow_not_found=True, recursive=True))
        except OSError as error:
            raise StorageError(f"cannot list {self._url}: {error}") from error
        for info in found:
            if info.is_file and info.path.endswith(".parquet") and info.path.startswith("vehicle="):
                yield StoredFile(info.path, info.size, now_s - (info.mtime_ns or 0) / 1e9)

    def newest_commit(self) -> str | None:
        """None: an object is there as a whole or not at all."""
        return None

    def put_away(self, path: str) -> None:
        """Never needed here."""
        raise StorageError(f"{self._url}/{path}: an object is never half written")


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _link(draft: Path, target: Path, data: bytes) -> bool:
    """Give `draft` the name `target` as well, unless that is taken: False then."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
    else:
        return True
    try:  # no hard links here: the name is still taken by one writer only, but a power cut may leave it without content
        _write_synced(target, data)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
