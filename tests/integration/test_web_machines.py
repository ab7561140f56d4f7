"""Web on another machine than ingest, or than the database: viewers see the same, whatever is away or up for longer."""

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.web_live import E1, E2, FS, START_UTC_US, Server, run, until
from tests.services.postgres_server import own_postgres

from ved.api.history import History
from ved.db.maths import put_maths
from ved.db.vehicles import ensure_vehicle
from ved.errors import StorageError
from ved.model.maths import MathsDef
from ved.model.records import BusDescription, Clock, ClockSource, Description, Lane, LinkState
from ved.web import role


class Elsewhere:
    """A stream, or a reader of it, of a machine that has been up for so much longer (µs) than this one."""

    def __init__(self, inner, uptime_us: int) -> None:
        self._inner, self._uptime_us = inner, uptime_us

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def reader(self, start) -> "Elsewhere":
        return Elsewhere(self._inner.reader(start), self._uptime_us)

    async def read(self, **how):
        return [
            entry._replace(arrival=replace(entry.arrival, mono_us=entry.arrival.mono_us + self._uptime_us))
            for entry in await self._inner.read(**how)
        ]


@pytest.mark.parametrize("uptime_us", [86_400_000_000, -time.monotonic_ns() // 1000], ids=["longer", "just started"])
def test_age_and_link_do_not_hang_on_how_long_another_machine_is_up(tmp_path, monkeypatch, uptime_us: int):
    open_stream = role.open_stream
    monkeypatch.setattr(role, "open_stream", lambda *where: Elsewhere(open_stream(*where), uptime_us))

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            await until(lambda: page.is_history_done)
            server.append(LinkState("fs", E1, True, Lane.LIVE, "car", 45_600))
            server.send_clock()
            server.send([5], [1])
            await until(lambda: page.last() == [1])
            await until(lambda: page.state["link"] == "up" and page.state["age_ms"] is not None)
            ages = [page.state["age_ms"]]
            assert ages[0] < 20_000  # not the difference of two uptimes
            await until(lambda: page.state["age_ms"] >= ages[0] + 1000)
            assert page.state["link"] == "up"

    run(tmp_path, go)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The methods of History that the database refuses, by name."""
    refused: set[str] = set()

    def refusing(name: str):
        whole = getattr(History, name)

        def call(*arguments, **named):
            if name in refused:
                raise StorageError("the database is away")
            return whole(*arguments, **named)

        return call

    for name in ("channels", "maths_run"):
        monkeypatch.setattr(History, name, refusing(name))
    return refused


def test_a_clock_that_moves_while_the_database_is_away_stops_no_live_curve(tmp_path: Path, away: set[str]):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            await until(lambda: page.is_history_done)
            server.send_clock()
            server.send([0], [1])
            await until(lambda: page.last() == [1])
            away.add("channels")
            server.send_clock(START_UTC_US + 7_000_000, number=2, source=ClockSource.GPS)
            await until(lambda: page.count("reset") == 1)
            server.send([1_000_000], [2])
            await until(lambda: page.last()[-1:] == [2])

    run(tmp_path, go)


def test_who_comes_while_the_database_is_away_is_told_once_and_sees_all_when_it_is_back(tmp_path: Path, away: set[str]):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        away.add("channels")
        async with server.running(), server.page() as page:
            server.send_clock()
            server.send([0], [1])
            await page.watch("Motor.speed")
            await until(lambda: page.count("error") == 1)
            await asyncio.sleep(2.5)
            away.clear()
            await until(lambda: page.last() == [1] and page.is_history_done)
            server.send([1_000_000], [2])
            await until(lambda: page.last() == [1, 2])
            assert page.count("error") == 1

    run(tmp_path, go)


def test_a_maths_channel_that_could_not_be_brought_up_at_first_lives_later(tmp_path: Path, away: set[str]):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        put_maths(server.db, "fs", MathsDef("Twice", "2 * Motor.speed", "rpm"), "me")
        away.add("maths_run")
        async with server.running(), server.page() as page:
            server.send_clock()
            server.send([0], [1])
            await page.watch("Maths.Twice")
            await until(lambda: page.is_history_done)
            server.send([100_000], [2])
            await asyncio.sleep(0.5)
            away.clear()
            for k in range(10, 200):
                server.send([100_000 * k], [k])
                await asyncio.sleep(0.1)
                if 2 * k - 2 in page.last("Maths.Twice"):
                    return
            pytest.fail("no live value came")

    run(tmp_path, go)


@pytest.mark.slow
def test_a_database_that_is_away_cuts_no_viewer(tmp_path: Path):
    """PostgreSQL stops while a car drives and two people watch, and comes again: live goes on, new epochs too."""

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.db.engine.dispose()
        async with server.running(), server.page() as page, server.page() as other:
            for one in (page, other):
                await one.watch("Motor.speed")
                await until(lambda one=one: one.is_history_done)
            server.send_clock()
            server.send([0], [1])
            await until(lambda: page.last() == other.last() == [1])
            await asyncio.to_thread(postgres.stop)
            server.send([1_000_000], [2])
            await until(lambda: page.last() == other.last() == [1, 2])
            seen = page.state["age_ms"]
            await until(lambda: page.state["age_ms"] > seen + 3000)  # several looks at the database were in vain
            # The car starts anew: its epoch is one that the database was never asked of.
            server.append(Clock("fs", E2, 1, 0, START_UTC_US + 5_000_000, ClockSource.NTP, 0))
            server.send([0], [3], E2)
            await until(lambda: page.last() == other.last() == [1, 2, 3])
            server.append(Description("fs", E2, 0, "Car", (BusDescription(0, "main", ()),)))
            server.send([1_000_000], [4], E2)
            await until(lambda: page.last() == other.last() == [1, 2, 3, 4])
            assert page.count("reset") == other.count("reset") == 0
            server.append(Clock("fs", E2, 2, 0, START_UTC_US + 5_500_000, ClockSource.GPS, 0))
            await until(lambda: page.count("reset") == other.count("reset") == 1)
            server.send([1_500_000], [4.5], E2)
            await until(lambda: page.last()[-1:] == other.last()[-1:] == [4.5])
            await asyncio.to_thread(postgres.start)
            server.send([2_000_000], [5], E2)
            await until(lambda: page.last()[-1:] == other.last()[-1:] == [5])
            # What people change is taken up again.
            put_maths(server.db, "fs", MathsDef("Maths.Twice", "2 * Motor.speed", "rpm"), "me")
            await until(lambda: page.count("reset") > 1)

    with contextlib.closing(own_postgres(tmp_path)) as postgres:
        run(tmp_path, go, postgres.url)
