"""What the role influx knows of an epoch, where the disk refuses."""

from pathlib import Path

import pytest

from ved.db.database import Database
from ved.errors import StorageError
from ved.influx.epochs import Epochs, Written, WrittenStore
from ved.model.records import Clock, ClockSource

KEY = ("fs", bytes(16))
UTC_US = 1_750_000_000_000_000


def test_a_first_clock_that_the_disk_refused_is_right_the_next_time(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/people.db")
    db.migrate()
    folder = tmp_path / "influx"
    store = WrittenStore(folder)
    epochs = Epochs(db, store)
    assert epochs.offset_us(KEY) is None  # its frames are written from the lake, once a clock has come
    clock = Clock(*KEY, 1, 0, UTC_US, ClockSource.GPS, 10)
    folder.write_text("a file stands where the folder belongs")
    for _ in range(2):
        with pytest.raises(StorageError):
            epochs.clock(clock)
    folder.unlink()
    assert epochs.clock(clock)
    assert store.read(KEY) == Written(UTC_US, is_due=True)
    db.close()
