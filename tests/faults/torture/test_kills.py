"""SIGKILL of the car's program and of each server role: nothing that was written is lost, nothing comes twice."""

import random
import time
from pathlib import Path

import pytest
from tests.faults.torture.checker import arrivals, recovery_s
from tests.faults.torture.oracle import rows_of
from tests.faults.torture.site import Figures, Places, Site, median, mono_us
from tests.faults.torture.viewer import fresh_after_faults_s

from ved.codec.records import decode_record
from ved.journal.reader import JournalReader
from ved.model.frames import FrameBatch

MORE = 200
TAIL_US = 400_000
"""What a killed program may still have held in memory: it cuts a batch each 100 ms."""


def journal_rows(state: Path) -> set[tuple[int, int]]:
    """(life, number) of every frame that the car's journal holds."""
    reader = JournalReader(state / "journal", 0)
    out: set[tuple[int, int]] = set()
    try:
        while entries := reader.read():
            for entry in entries:
                record = decode_record(entry.payload)
                if isinstance(record, FrameBatch):
                    rows = rows_of(record.frames)
                    out |= set(zip(rows["life"].tolist(), rows["number"].tolist(), strict=True))
    finally:
        reader.close()
    return out


def kill_car_often(site: Site, times: int, wait_s: tuple[float, float]) -> tuple[set[tuple[int, int]], list[int]]:
    """Kill the program at random moments; returns what its journal ever held, and how many frames each life made."""
    chance = random.Random(5)
    written: set[tuple[int, int]] = set()
    ended: list[int] = []
    for _ in range(times):
        site.start_car()
        site.wait_driving(1)
        time.sleep(chance.uniform(*wait_s))
        ended.append(site.true_frames())
        site.kill_car()
        written |= journal_rows(site.places.state)
    return written, ended


@pytest.mark.parametrize(
    ("times", "wait_s"),
    [
        pytest.param(3, (0.0, 1.0), id="quick"),
        pytest.param(140, (0.0, 1.2), id="first-frames", marks=pytest.mark.slow),
        pytest.param(60, (0.5, 4.0), id="later", marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(1800)
def test_the_cars_program_is_killed(tmp_path, times, wait_s):
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        written, ended = kill_car_often(site, times, wait_s)
        back_us = mono_us()
        site.start_car()
        site.wait_driving()
        verdict = site.settle(
            allowed=lambda verdict: (
                not verdict.lost() & written and verdict.missing == verdict.tail and verdict.lives[-1].tail == 0
            )
        )
        recovered_s = recovery_s(arrivals(site.places.data), site.places.truth, back_us)
        assert min(ended) < 1000, "no kill within the first thousand frames"
        lost = {(one.life, number) for one in verdict.lives for number in one.missing["number"].tolist()}
        assert not lost & written, "frames that were in the journal are lost"
        tails_us = [one.tail_us for one in verdict.lives]
        assert max(tails_us) <= TAIL_US
        assert verdict.undeclared == 0, verdict.text()
        Figures(f"agent SIGKILL x{times}").add(
            verdict,
            tail_ms_max=max(tails_us) / 1000,
            back_s=recovered_s,
            killed_at_frames_min=min(ended),
            viewer_fresh_s=fresh_after_faults_s(site),
        )


@pytest.mark.slow
@pytest.mark.parametrize("times", [100])
@pytest.mark.timeout(3600)
def test_the_servers_roles_are_killed(tmp_path, times):
    chance = random.Random(6)
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        back: dict[str, list[int]] = {"ingest": [], "record": [], "both": []}
        for which in ["ingest", "record", "both"] * times:
            time.sleep(chance.uniform(0.1, 0.7))
            for role in ("ingest", "record") if which == "both" else (which,):
                site.end_role(role)
            time.sleep(chance.uniform(0.0, 0.3))
            site.start_server(("ingest", "record") if which == "both" else (which,))
            back[which].append(mono_us())
            site.wait_stored(MORE)
        verdict = site.settle()
        assert verdict.undeclared == 0
        came = arrivals(site.places.data)
        fresh_s = fresh_after_faults_s(site)
        for which, times_us in back.items():
            recovered = [recovery_s(came, site.places.truth, one) or 0.0 for one in times_us]
            Figures(f"server SIGKILL, {which} x{times}").add(
                verdict,
                start_s=median(site.starts_s),
                live_back_s=median(recovered),
                live_back_s_max=max(recovered),
                viewer_fresh_s=fresh_s,
            )
