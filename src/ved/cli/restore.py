"""`ved restore`: a backup into a new data folder, every byte checked before any of it counts."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console

from ved.cli.backupfile import KEYS, unpack
from ved.cli.database_copy import DUMP_NAME
from ved.errors import CorruptDataError, StorageError, UserError

STDIN: Final = Path("-")
_DRAFT: Final = ".restoring"
_HARMLESS: Final = ("lost+found",)
console = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)


def run_restore(file: Path, data: Path) -> None:
    """Unpack `file` (`-`: standard input) into `data`, which must be new or empty. UserError when it is damaged."""
    is_new = not data.exists()
    if not is_new and (not data.is_dir() or any(one.name not in _HARMLESS for one in data.iterdir())):
        raise UserError(f"{data}: is not empty, and a backup goes into an empty folder; choose another --data")
    draft = data / _DRAFT
    with _opened(file) as source, contextlib.ExitStack() as on_failure:
        try:
            draft.mkdir(parents=True, mode=0o700)
            on_failure.callback(_clean, data, draft, is_new=is_new)
            manifest = unpack(source, draft)
            for name in KEYS:
                if (draft / name).is_dir():
                    (draft / name).chmod(0o700)
            if hasattr(os, "sync"):
                os.sync()  # on disk before a name counts
            for part in draft.iterdir():
                part.rename(data / part.name)
            draft.rmdir()
            on_failure.pop_all()
        except CorruptDataError as error:
            raise UserError(f"{file}: this backup is damaged: {error}; take another one") from None
        except OSError as error:
            raise StorageError(f"{error.filename or data}: {error.strerror or error}") from error
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.created_utc_s))
    console.print(f"{data}: {len(manifest.files):,} files as of {when} UTC, every SHA-256 right")
    if not manifest.with_keys:
        console.print("The backup has no keys: the server makes new ones, and every car must be enrolled again.")
    if DUMP_NAME in manifest.files:
        console.print(
            f"Now PostgreSQL: pg_restore --no-owner --dbname=ADDRESS {data / DUMP_NAME}   (an empty database)"
        )
    console.print("Start it: ved serve --data " + str(data) + "   (never beside the server that it was taken from)")


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    with source:
        yield source


def _clean(data: Path, draft: Path, *, is_new: bool) -> None:
    shutil.rmtree(draft, ignore_errors=True)
    if is_new:
        with contextlib.suppress(OSError):
            data.rmdir()
