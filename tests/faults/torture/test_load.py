"""The car's board has too little of something: a card that stands still, a processor that others take."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.faults.torture import disks
from tests.faults.torture.checker import Verdict, arrivals, live_ages_ms
from tests.faults.torture.disks import loop_disk
from tests.faults.torture.site import Figures, Places, Site, mono_us

HOG = "import os\nmother = os.getppid()\nwhile os.getppid() == mother:\n    sum(range(100_000))\n"


class Probe:
    """Writes to a disk, and knows how long that took at most."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest_s = 0.0

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            began_s = time.monotonic()
            self._path.write_bytes(bytes(100))
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)
            time.sleep(0.05)


def is_counted(verdict: Verdict) -> bool:
    """What is missing was counted, and lies where the car says."""
    return verdict.missing == verdict.counted and verdict.undeclared == 0


@contextlib.contextmanager
def hogs(count: int) -> Iterator[list[psutil.Process]]:
    """Processes that never rest."""
    started = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(count)]
    try:
        yield [psutil.Process(one.pid) for one in started]
    finally:
        for one in started:
            one.kill()
            one.wait()


@pytest.mark.skipif(disks.why_not() is not None, reason=str(disks.why_not()))
@pytest.mark.parametrize("seconds", [2.0, pytest.param(5.0, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_the_card_stalls(tmp_path: Path, seconds: float):
    with (
        loop_disk(tmp_path, "card", 64 << 20) as card,
        Site(Places.under(tmp_path, state=card.path / "state")) as site,
    ):
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        with Probe(card.path / "probe") as probe:
            with card.stalled():
                time.sleep(seconds)
            back_us = mono_us()
            site.wait_stored()
        assert probe.longest_s > seconds * 0.8, "the card did not stall"
        time.sleep(2)
        verdict = site.settle(allowed=is_counted)
        came = arrivals(site.places.data)
        ages = live_ages_ms(came, site.places.truth, back_us + 1_000_000, mono_us())
        Figures(f"card stalls {seconds:.0f} s").add(
            verdict,
            write_took_s=probe.longest_s,
            counted=verdict.counted,
            live_p99_ms_after=float(np.percentile(ages, 99)),
        )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_full_buses_beside_a_hog(tmp_path: Path):
    """24,000 frames/s while other programs take every processor."""
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        site.rate = 24_000
        site.start_car()
        site.wait_stored(24_000)
        began_us = mono_us()
        with hogs(psutil.cpu_count() or 1) as eaters:
            time.sleep(15)
            eaten_s = sum(one.cpu_times().user for one in eaters)
            end_us = mono_us()
        assert eaten_s > 2, "the hogs got no processor"
        site.wait_stored()
        verdict = site.settle(allowed=is_counted, limit_s=120)
        ages = live_ages_ms(arrivals(site.places.data), site.places.truth, began_us, end_us)
        during = {f"live_p{q}_ms_during": float(np.percentile(ages, q)) if len(ages) else None for q in (50, 99)}
        Figures("24,000 frames/s beside a hog on each processor").add(
            verdict, counted=verdict.counted, eaten_s=eaten_s, **during
        )
