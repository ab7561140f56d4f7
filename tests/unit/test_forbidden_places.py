"""Where a person may not look: one clear line. (Root may look everywhere, so for a while it is nobody here.)"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ved.cli.backup import run_backup
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.logfiles.find_logs import find_logs

NOBODY = 65_534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that only root may look into, with a recording."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "a.log").write_text("(1.000000) can0 100#0102\n")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "streams").mkdir()
        yield Path(name)


@pytest.mark.parametrize("name", ["a.log/b", "a.*", "a.log"])
def test_recordings_that_nobody_may_see(locked: Path, name: str):
    with as_nobody(), pytest.raises(UserError, match=r"locked/a.*: cannot be read: Permission denied; ask its owner"):
        find_logs([str(locked / name)])


def test_a_backup_to_where_nobody_may_look(locked: Path, data: Path):
    with as_nobody(), pytest.raises(UserError, match=r"b\.tar\.zst: cannot be written \(Permission denied\); choose"):
        run_backup(ServerSettings(data=data), locked / "b.tar.zst", with_keys=True)


def test_a_backup_of_what_nobody_may_read(locked: Path, data: Path):
    with as_nobody(), pytest.raises(UserError, match=r"locked: cannot be read \(Permission denied\); run this as"):
        run_backup(ServerSettings(data=locked), data / "b.tar.zst", with_keys=True)


def test_a_backup_below_a_file(data: Path):
    (data / "file").touch()
    with pytest.raises(UserError, match=r"file/b\.tar\.zst: cannot be written \(Not a directory\); choose"):
        run_backup(ServerSettings(data=data), data / "file" / "b.tar.zst", with_keys=True)


def test_a_backup_on_a_disk_that_takes_no_more_writes(data: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match=r"b\.tar\.zst: cannot be written \(Read-only file system\); choose"):
        run_backup(ServerSettings(data=data), data / "b.tar.zst", with_keys=True)
