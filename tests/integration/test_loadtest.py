"""A load test of a real server: what it says is true, also when frames are lost on the way."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ved.api.stats import lake_stats
from ved.cli.keys import enrolment_code
from ved.cli.loadtest import Wish, run_loadtest
from ved.cli.loadtest_target import Far, far_rig, near_rig, scratch_server
from ved.cli.server import find_running
from ved.config.places import vehicles_folder
from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.db.keys import list_car_keys
from ved.db.people import create_signin_token
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.link.credentials import parse_server_url
from ved.loadtest.plan import Load, Target
from ved.loadtest.trial import run_trial

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import Relay

SMALL = Load(cars=2, frames_per_s=1000, viewers=2, signals=5, seconds=2)


@contextmanager
def deadly_relay(target_port: int, after_bytes: int) -> Iterator[int]:
    """A link that dies for good after so many bytes; yields its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    relay = Relay(target_port)
    relay.cut_after_bytes = after_bytes

    async def watch() -> None:
        await relay.__aenter__()

    async def close_after_the_first() -> None:
        while relay.accepted < 1:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        relay.is_closed = True

    asyncio.run_coroutine_threadsafe(watch(), loop).result()
    closing = asyncio.run_coroutine_threadsafe(close_after_the_first(), loop)
    try:
        yield relay.port
    finally:
        closing.result(5)
        asyncio.run_coroutine_threadsafe(relay.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.slow
def test_a_real_server_is_measured_and_a_loss_is_seen() -> None:
    fs = load_vehicle(vehicles_folder() / "fs")
    with scratch_server() as settings, near_rig(settings, is_owner=False, is_kept=False) as rig:
        target = rig.target_for(2)
        good = run_trial(SMALL, target, fs, lambda _: None)
        assert good.captured == 2 * 1000 * 5
        assert (good.lost, good.missed, good.behind) == (0, 0, 0)
        assert good.lake is not None
        assert (good.lake.rows, good.lake.missing, good.lake.duplicates) == (good.captured, 0, 0)
        assert good.p50_ms is not None
        assert {one.name for one in good.roles} >= {"ingest", "record", "watch", "web"}
        assert all(one.rss_mb > 10 for one in (*good.roles, *good.generator))

        link_url = target.cars[0].server_urls[0]
        with deadly_relay(parse_server_url(link_url).port, 20_000) as port:
            dying = replace(target.cars[0], server_urls=(f"wss://127.0.0.1:{port}",))
            broken = replace(target, cars=(dying, target.cars[1]))
            assert isinstance(broken, Target)
            bad = run_trial(SMALL, broken, fs, lambda _: None)
        assert 0 < bad.lost < 5000
        assert bad.lake is not None
        assert bad.lake.rows == bad.captured - bad.lost
        assert any("every frame stored" in one for one in bad.broken_promises)


@pytest.mark.slow
def test_the_command_leaves_nothing_behind(tmp_path: Path) -> None:
    with scratch_server() as settings:
        command = [sys.executable, "-m", "ved.cli", "loadtest", "--data", str(settings.data), "--cars", "1"]
        command += ["--frames", "500", "--viewers", "1", "--seconds", "2", "--link", "4g"]
        report, page = tmp_path / "report.json", tmp_path / "report.html"
        command += ["--json", str(report), "--html", str(page)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VED_")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)
        run = json.loads(report.read_text())["runs"][0]
        assert run["captured"] == 2500, done.stderr
        assert run["lost"] == 0
        assert run["p50_ms"] >= 25
        assert done.returncode == (1 if run["promises_broken"] else 0)
        assert "<svg" in page.read_text()
        db = Database(settings.database)
        try:
            assert [(key.vehicle, key.is_revoked) for key in list_car_keys(db)] == [("loadtest-01", True)]
            assert lake_stats(Lake(settings.lake), db)["frames"] == 0
        finally:
            db.close()


@pytest.mark.slow
def test_a_server_without_its_data_folder_is_loaded_with_what_its_owner_hands_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with scratch_server() as settings:
        running = find_running(settings.data)
        assert running is not None
        db = Database(settings.database)
        link = f"{running.web_url}/signin?token={create_signin_token(db, 'viewer')}"
        db.close()
        load = Load(cars=1, frames_per_s=500, viewers=1, signals=3, seconds=1)
        real_car = Far(running.link_url, (enrolment_code(settings, "fs", 60),), link)
        with pytest.raises(UserError, match="vehicle 'fs'"), far_rig(load, real_car, is_owner=False):
            pass
        far = Far(running.link_url, (enrolment_code(settings, "loadtest-01", 60),), link)
        report = tmp_path / "report.json"
        wish = Wish(far, False, False, False, None, report, None)
        run_loadtest(load, wish, settings)
        run = json.loads(report.read_text())["runs"][0]
        assert (run["captured"], run["lost"], run["missed"]) == (2000, 0, 0)
        assert run["p50_ms"] is not None
        assert run["lake"] is None
        assert run["roles"] == []
        assert any("not seen from here" in note for note in run["notes"])
