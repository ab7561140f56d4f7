"""verify, vacuum and retention: what is wrong is named, what is not kept goes, and nothing else does."""

import json
import os
import time
from pathlib import Path

import pytest
from tests.integration.lake_helpers import batch, make_frames, stored
from tests.integration.recorded_helpers import Folder
from tests.integration.test_lake_samples import batch as samples

from ved.cli.lake import vacuum_lake, verify_lake
from ved.config.settings import ServerSettings
from ved.db.notes import put_notes
from ved.lake.lake import Lake
from ved.lake.retention import Retention, StoredEpoch, plan_forgetting
from ved.lake.verify import verify
from ved.model.session import Notes
from ved.record.forgetting import forget

DAY_US = 86_400_000_000


def stored_epoch(name: int, day: int, size: int, *, is_protected: bool = False) -> StoredEpoch:
    return StoredEpoch("frames", ("fs", bytes([name] * 16)), size, day * DAY_US, is_protected)


def names(found: list[StoredEpoch]) -> list[int]:
    return [one.key[1][0] for one in found]


def test_the_plan_lets_go_of_the_old_then_of_the_oldest_of_too_much():
    epochs = [stored_epoch(3, 30, 40), stored_epoch(1, 10, 50), stored_epoch(2, 20, 60)]
    assert plan_forgetting(epochs, Retention(), 1000 * DAY_US) == []
    assert names(plan_forgetting(epochs, Retention(keep_us=15 * DAY_US), 30 * DAY_US)) == [1]
    assert names(plan_forgetting(epochs, Retention(keep_bytes=100), 0)) == [1]
    assert names(plan_forgetting(epochs, Retention(keep_bytes=99), 0)) == [1, 2]
    assert names(plan_forgetting(epochs, Retention(15 * DAY_US, 45), 30 * DAY_US)) == [1, 2]
    kept = [stored_epoch(1, 10, 50, is_protected=True), *epochs[::2]]
    assert names(plan_forgetting(kept, Retention(DAY_US, 0), 1000 * DAY_US)) == [2, 3]


def test_old_epochs_go_but_not_those_that_are_kept_or_still_grow(tmp_path: Path):
    folder = Folder(tmp_path / "data")
    old_us = time.time_ns() // 1000 - 100 * DAY_US
    for k in range(4):
        folder.add("car", [(make_frames(200), old_us + k * DAY_US)], {0: ("a", "")})
    put_notes(folder.db, "car-0002", Notes(tags=("keep",)), "test")
    lake = folder.lake
    keys = sorted(lake.epochs())
    retention = Retention(keep_us=97 * DAY_US + DAY_US // 2)
    assert forget(lake, folder.db, Retention(keep_us=200 * DAY_US), lambda _: True) == 0
    assert forget(lake, folder.db, retention, lambda key: key != keys[2]) == 1
    assert sorted(lake.intervals(*key).count() for key in keys) == [200] * 4
    assert [len(lake.rows(*key)) for key in keys] == [0, 200, 200, 200]
    assert forget(lake, folder.db, retention, lambda _: True) == 1
    assert forget(lake, folder.db, retention, lambda _: True) == 0
    assert [len(Lake(lake.url).rows(*key)) for key in keys] == [0, 200, 0, 200]
    assert lake.append([batch(make_frames(200), 1, 200, "car", keys[0][1])]).new == 0
    verdict = verify(lake)
    assert verdict.is_good
    assert (verdict.forgotten_epochs, verdict.orphans, verdict.rows) == (2, 2, 400)
    assert lake.vacuum(0.0) == 2


def test_an_import_of_old_data_counts_from_when_it_came(tmp_path: Path):
    folder = Folder(tmp_path / "data")
    folder._epochs = time.time_ns() // 1000  # `add` takes it as the time of arrival
    folder.add("car", [(make_frames(10), 1_000_000)], {0: ("a", "")})
    assert forget(folder.lake, folder.db, Retention(keep_us=DAY_US), lambda _: True) == 0


def test_verify_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings = ServerSettings(data=tmp_path)
    lake = Lake(settings.lake)
    frames = make_frames(600)
    lake.append([batch(frames, 1, 200)])
    (victim,) = lake.live_paths()
    lake.append([batch(frames, 201, 400)])
    lake.append([batch(frames, 401, 600)])
    lake.samples.append([samples(1, 50)])
    assert verify_lake(settings, as_json=False)
    assert "every row that the log names is there, once" in capsys.readouterr().out
    path = Path(settings.lake) / "frames" / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)
    assert not verify_lake(settings, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert list(told["broken"]) == [f"frames/{victim}"]
    assert (told["missing"], told["doubled"], told["rows"], told["is_good"]) == (200, 0, 450, False)
    assert stored(Lake(settings.lake))[0] == list(range(201, 601))


def test_vacuum_alone_deletes_at_once_and_beside_a_server_only_what_is_old(tmp_path: Path, monkeypatch, capsys):
    settings = ServerSettings(data=tmp_path)
    lake = Lake(settings.lake)
    frames = make_frames(300)
    for first in (1, 101, 201):
        lake.append([batch(frames, first, first + 99)])
    merged = [Path(settings.lake) / "frames" / path for path in lake.live_paths()]
    lake.compact()
    monkeypatch.setattr("ved.cli.lake.find_running", lambda _: object())
    hour_ago = time.time() - 3700
    os.utime(merged[0], (hour_ago, hour_ago))
    vacuum_lake(settings)
    assert "1 files deleted; those of the last hour stay" in capsys.readouterr().out
    monkeypatch.undo()
    vacuum_lake(settings)
    assert "2 files deleted\n" in capsys.readouterr().out
    assert stored(Lake(settings.lake))[1].equals(frames)
