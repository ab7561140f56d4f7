"""The car's wall clock boots in 1970, or jumps while it drives: nothing is refused and nothing changes its order."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.faults.torture.site import Figures, Places, Site
from tests.faults.torture.viewer import fresh_after_faults_s

from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.model.clockmap import ClockMap
from ved.model.records import ClockSource

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None or os.name != "posix", reason="needs a C compiler for the clock shim")
SHIM = Path(__file__).with_name("clock_shim.c")
HOUR_US = 3_600_000_000


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_car_that_boots_in_1970_and_jumps(tmp_path: Path):
    library, offset = tmp_path / "clock_shim.so", tmp_path / "offset"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM)], check=True)
    with Site(Places.under(tmp_path)) as site:
        site.car_environment = {"LD_PRELOAD": str(library), "VED_CLOCK_OFFSET": str(offset)}
        site.prepare()
        site.start_server()
        site.enrol()
        offset.write_text(str(-time.time_ns() // 1000 + 60_000_000))
        site.start_car()
        site.wait_stored()
        for jump_us in (0, 10 * HOUR_US, -HOUR_US):
            offset.write_text(str(jump_us))
            site.wait_stored(300)
        verdict = site.settle()
        assert verdict.missing == 0
        epoch = verdict.lives[0].epoch
        db = Database(site.db_url)
        pairs = clock_pairs(db, "fs", epoch)
        db.close()
        hosts = [pair.utc_us for pair in pairs if pair.source == ClockSource.HOST]
        servers = [pair.utc_us - pair.t_us for pair in pairs if pair.source == ClockSource.SERVER]
        assert hosts
        assert min(hosts) < 365 * 24 * HOUR_US, "the car's clock was not in 1970: the fault did not hit"
        assert servers, "the server gave no pair of its own"
        found = ClockMap.best(pairs)
        assert found.source == ClockSource.SERVER
        origin_us = int((site.places.truth / "1.origin").read_text()) // 1000
        true_us = time.time_ns() // 1000 - (time.monotonic_ns() // 1000 - origin_us)
        assert abs(found.offset_us - true_us) < 5_000_000, "history is not at its true time"
        Figures("1970, then jumps").add(verdict, viewer_fresh_s=fresh_after_faults_s(site))
