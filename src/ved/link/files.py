"""Small private files that must survive a power cut."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, mode 0600: whole or not at all, and on disk before it returns. OSError when refused."""
    partial = _write_partial(path, data)
    partial.replace(path)
    _sync_folder(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """Like `write_private`, but a file that is there already stays as it is."""
    partial = _write_partial(path, data)
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links: no better than asking first
        if not path.exists():
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_partial(path: Path, data: bytes) -> Path:
    """`data` in a new file beside `path`, on disk."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        partial.unlink()
        raise
    finally:
        os.close(descriptor)
    return partial


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
