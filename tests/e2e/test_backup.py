"""A backup while a car sends: the restored server has every frame that was stored before it began, byte for byte."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.e2e.conftest import Ved
from tests.integration.backup_helpers import frames, members, rows

from ved.broker.open import open_journal
from ved.codec.records import decode_record
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch

pytestmark = pytest.mark.slow


def acknowledged(data: Path) -> dict[tuple[str, bytes], int]:
    """The last seq of each epoch that is below the durable mark: the car may have heard "stored" of it."""

    async def read() -> dict[tuple[str, bytes], int]:
        last: dict[tuple[str, bytes], int] = {}
        reader = open_journal(data, "frames").reader("earliest")
        durable = reader.durable_position()
        while entries := await reader.read(timeout_s=0):
            for entry in entries:
                batch = decode_record(entry.record)
                if entry.position < durable and isinstance(batch, FrameBatch):
                    last[batch.vehicle, batch.epoch] = batch.first_seq + len(batch.frames) - 1
        reader.close()
        return last

    return asyncio.run(read())


def vehicles_of(serving) -> list[str]:
    with httpx.Client(base_url=serving.origin, follow_redirects=True, timeout=60) as client:
        client.get(serving.signin_link)
        return [one["name"] for one in client.get("/api/vehicles").json()]


def test_of_a_running_server_the_restored_one_has_every_stored_frame(tmp_path: Path, eventually: Callable):
    first, second = Ved(tmp_path / "first"), Ved(tmp_path / "second")
    file = tmp_path / "b.tar.zst"
    with first.serving() as serving:
        car = subprocess.Popen(
            [sys.executable, "-m", "ved.cli", "simulate", "fs", "--minutes", "30", "--data", str(first.data)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
        try:
            eventually(lambda: Lake(str(first.data / "lake")).stats().frames > 20_000, "frames in the lake", 120)
            stored = acknowledged(first.data)
            done = first.run("backup", str(file), "--data", str(first.data))
            assert done.returncode == 0, done.stderr
            assert car.poll() is None, "it drove all the time"
        finally:
            os.killpg(car.pid, signal.SIGINT)
            car.wait(120)
        vehicles = vehicles_of(serving)
    done = second.run("restore", str(file), "--data", str(second.data))
    assert done.returncode == 0, done.stderr
    assert "every SHA-256 right" in done.stderr
    copied = members(file)
    assert copied["db.sqlite"] == (second.data / "db.sqlite").read_bytes()
    had = rows(second.data / "db.sqlite")
    with second.serving() as serving:
        (key,) = stored
        eventually(
            lambda: len(Lake(str(second.data / "lake")).rows(*key).seq) >= stored[key], "all are in the lake", 120
        )
        assert vehicles_of(serving) == vehicles
    # Beyond what was stored there is nothing but a longer beginning of the same epoch.
    whole, part = frames(first.data)[key], frames(second.data)[key]
    count = len(part.seq)
    order, mine = np.argsort(whole.seq), np.argsort(part.seq)
    assert np.array_equal(part.seq[mine], np.arange(1, count + 1)), "no hole, nothing twice"
    assert part.frames.take(mine).equals(whole.frames.take(order[:count]))
    assert stored[key] <= count <= len(whole.seq)
    # People's data are those of the copy: the restored server added, it did not take away.
    assert had["car_keys"] == rows(second.data / "db.sqlite")["car_keys"] != []
    assert json.loads(copied["manifest.json"])["with_keys"] is True
    for name in ("link-authority.pem", "link-server.pem", "web.secret"):
        assert (second.data / "keys" / name).read_bytes() == (first.data / "keys" / name).read_bytes()
        assert (second.data / "keys" / name).stat().st_mode & 0o777 == 0o600
    assert file.stat().st_mode & 0o777 == 0o600
