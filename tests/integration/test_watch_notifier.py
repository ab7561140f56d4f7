"""From an alarm in the stream to a server that takes it: retries, restarts, tests, and apprise."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.services.webhook_taker import Taker, running_taker

from ved.broker.open import open_stream
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.notifications import (
    Draft,
    add_notifications,
    ask_test,
    claim,
    list_targets,
    newest_notifications,
    waiting_notifications,
)
from ved.metrics import NOTIFICATIONS_FAILED_TOTAL, NOTIFICATIONS_SENT_TOTAL, Counters
from ved.model.alarm import Alarm
from ved.model.records import Arrival, Lane
from ved.notify import pace
from ved.notify.targets import NotifySettings
from ved.watch import notifier
from ved.watch.notifier import Notifier


@pytest.fixture
def taker() -> Iterator[Taker]:
    with running_taker() as server:
        yield server


class Bench:
    """The notifier on a stream that the test writes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.db = Database(f"sqlite:///{folder / 'db.sqlite'}")
        self.db.migrate()
        self.stream = open_stream(folder, "events")
        self.writer = self.stream.writer()
        self.settings = NotifySettings(f"http://127.0.0.1:{port}/h?key=s3cret", ("127.0.0.1",), (), 2, 0.0)
        self.counters = Counters()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(Notifier(self.db, self.stream, self.settings, self.counters).run())
        await until(lambda: bool(list_targets(self.db)))
        await asyncio.sleep(0.2)  # it stands at the end of the stream
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def alarm(self, name: str, **changes) -> None:
        now_us = time.time_ns() // 1000
        made = Alarm(name, "fs", b"e" * 16, "hot", 3, "Hot", "Chaud", "M.t", "°C", False, False, 5, now_us, 91.5, 92.0)
        self.writer.append(Arrival(0, now_us, Lane.LIVE), encode_record(replace(made, **changes)))

    def states(self) -> list[tuple[str, int]]:
        return [(one.state, one.attempts) for one in reversed(newest_notifications(self.db))]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path, taker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notifier, "READ_S", 0.05)
    monkeypatch.setattr(notifier, "FIRST_PAUSE_US", 50_000)
    monkeypatch.setattr(pace, "GATHER_US", 100_000)
    made = Bench(tmp_path, taker.server_port)
    yield made
    made.writer.close()
    made.db.close()


def test_alarms_are_told_grouped_once_and_over_restarts(bench: Bench, taker) -> None:
    async def go() -> None:
        async with bench.running():
            bench.alarm("a1")
            bench.alarm("a2", severity=2)
            bench.alarm("a0", severity=1)
            await until(lambda: bench.states() == [("sent", 1)])
        bench.alarm("a3")  # while nobody listens
        bench.alarm("a1", utc_acked_us=9)
        async with bench.running():
            await until(lambda: len(bench.states()) == 2 and bench.states()[1] == ("sent", 1))
            bench.alarm("a1", utc_cleared_us=time.time_ns() // 1000)
            await until(lambda: len(taker.taken) == 3)

    asyncio.run(go())
    assert [[(one["id"], one["step"]) for one in body["alarms"]] for _, _, body in taker.taken] == [
        [("a1", "raised"), ("a2", "raised")],
        [("a3", "raised")],
        [("a1", "cleared")],
    ]
    assert taker.taken[0][2]["alarms"][0]["severity"] == "critical"


def test_a_failure_is_tried_again_and_seen(bench: Bench, taker) -> None:
    taker.statuses = [503, 500]

    async def go() -> None:
        async with bench.running():
            bench.alarm("a1")
            await until(lambda: bool(bench.states()) and bench.states()[0][1] >= 1)
            assert "503" in newest_notifications(bench.db)[0].error or taker.statuses == []
            await until(lambda: bench.states() == [("sent", 3)])

    asyncio.run(go())
    assert len(taker.taken) == 3
    assert (bench.counters[NOTIFICATIONS_FAILED_TOTAL], bench.counters[NOTIFICATIONS_SENT_TOTAL]) == (2, 1)


def test_what_would_fail_again_is_given_up(bench: Bench, taker) -> None:
    taker.statuses = [404]

    async def go() -> None:
        async with bench.running():
            bench.alarm("a1")
            await until(lambda: bench.states() == [("failed", 1)])

    asyncio.run(go())
    (one,) = newest_notifications(bench.db)
    assert "404" in one.error
    assert "s3cret" not in one.error + one.target
    assert one.target == "webhook 127.0.0.1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_test_goes_to_every_target_apprise_among_them(bench: Bench, taker) -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")
    bench.settings = replace(bench.settings, apprise=(f"json://127.0.0.1:{taker.server_port}/x", "nosuch://x"))

    async def go() -> None:
        async with bench.running():
            ask_test(bench.db, "Ada", 1)
            await until(lambda: sorted(state for state, _ in bench.states()) == ["failed", "sent", "sent"])

    asyncio.run(go())
    assert list_targets(bench.db) == ["json 1", "nosuch 2", "webhook 127.0.0.1"]
    assert len(taker.taken) == 2
    assert all("Ada" in (body.get("text") or body["message"]) for _, _, body in taker.taken)
    (failed,) = [one for one in newest_notifications(bench.db) if one.state == "failed"]
    assert "does not know" in failed.error
    gc.collect()  # apprise leaves closing its sockets to the collector, which warns of it: here, not in another test


def test_two_that_deliver_send_it_once(bench: Bench) -> None:
    with bench.db.engine.begin() as connection:
        add_notifications(connection, [Draft(1, "webhook 127.0.0.1", "title", "text")])
    (seen,) = waiting_notifications(bench.db, 5)
    assert claim(bench.db, seen, 100)
    assert not claim(bench.db, seen, 100)  # the other one looked before the first had it
    assert waiting_notifications(bench.db, 99) == []
    assert [one.id for one in waiting_notifications(bench.db, 100)] == [seen.id]  # the first ended without a word


def test_without_targets_nothing_is_told(bench: Bench) -> None:
    bench.settings = NotifySettings()
    asyncio.run(Notifier(bench.db, bench.stream, bench.settings, bench.counters).run())
    assert list_targets(bench.db) == []
    assert bench.states() == []
