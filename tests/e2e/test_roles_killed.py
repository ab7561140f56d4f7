"""A role that is killed comes back, and nothing is lost or doubled; a killed supervisor leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ved.db.database import Database
from ved.db.ledger import list_ledger_epochs, read_ledger
from ved.lake.lake import Lake


def epochs_of(data: Path, vehicle: str) -> set[bytes]:
    return {epoch for name, epoch in Lake(str(data / "lake")).epochs() if name == vehicle}


def numbers(data: Path, vehicle: str, epoch: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Rows in the lake, and the runs of seq that it says it has."""
    lake = Lake(str(data / "lake"))
    return len(lake.frames(vehicle, epoch)), lake.intervals(vehicle, epoch).runs()


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_each_role_killed_while_a_car_drives(served, eventually: Callable):
    before_it = epochs_of(served.ved.data, "fs")
    car = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "simulate", "fs", "--minutes", "0.6", "--data", str(served.ved.data)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: epochs_of(served.ved.data, "fs") - before_it, "the first commit")
        for role in ("ingest", "record", "watch", "web"):
            before = served.role_pid(role)
            os.kill(before, signal.SIGKILL)
            eventually(lambda role=role, before=before: came_back(served, role, before), f"{role} is back")
        output, _ = car.communicate(timeout=200)
    finally:
        car.kill()
        car.wait()
    assert car.returncode == 0, output
    (epoch,) = epochs_of(served.ved.data, "fs") - before_it
    rows, runs = numbers(served.ved.data, "fs", epoch)
    assert runs == [(1, rows)], "every frame once, without a hole"
    assert f"{rows:,} frames are in the lake" in output
    assert rows > 6_000 * 30
    eventually(lambda: ledger_of(served.ved.data, "fs", epoch) == (rows, 0), "the gap ledger has each frame once")


def ledger_of(data: Path, vehicle: str, epoch: bytes) -> tuple[int, int]:
    """Frames that came, and frames that did not, by the gap ledger."""
    db = Database(f"sqlite:///{data / 'db.sqlite'}")
    try:
        (known,) = [one for one in list_ledger_epochs(db, vehicle) if one.epoch == epoch]
        blocks, spans = read_ledger(db, vehicle, epoch, known.t_first_us, known.t_last_us)
    finally:
        db.close()
    return sum(int(counts.sum()) for counts in blocks.values()), sum(span.frames for span in spans)


def came_back(served, role: str, before: int) -> bool:
    try:
        return served.role_pid(role) != before
    except LookupError:
        return False


@pytest.mark.slow
def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_start_works(ved, eventually: Callable):
    with ved.serving(is_killed=True) as serving:
        roles = [serving.role_pid(role) for role in ("ingest", "record", "watch", "web")]
        serving.process.kill()
        eventually(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in roles), "all roles ended")
    with ved.serving() as serving:
        assert serving.signin_link
        second = ved.run("serve", "--data", str(ved.data))
        assert second.returncode == 2
        assert "runs on this data folder already" in second.stderr
