"""The database or the disk refuses while watch runs: it waits, and what it finds is what it would have found."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from tests.integration.test_watch_role import SECOND, A, batch, clock, events, sessions, url, write
from tests.services.postgres_server import own_postgres

from ved.broker.journal import JournalStreamWriter
from ved.db.database import Database
from ved.errors import StorageError
from ved.metrics import TASK_FAILURES_TOTAL, Counters
from ved.model.records import Arrival, SessionEvent
from ved.watch import role

__all__ = ["url"]


async def until(is_so) -> None:
    async with asyncio.timeout(40):
        while not is_so():
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def watching(data: Path, url: str, counters: Counters):
    stop = asyncio.Event()
    task = asyncio.create_task(role.run_watch(role.WatchSettings(data, url), lambda _: None, stop, counters))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        stop.set()
        await task


def told(data: Path) -> list[tuple[int, int]]:
    """The last word on each session in the stream `events`."""
    found = {one.session_id: one for one in events(data) if isinstance(one, SessionEvent)}
    return [(one.utc_from_us // SECOND, one.utc_to_us // SECOND) for one in found.values()]


@pytest.mark.parametrize("where", ["save", "append"])
def test_what_was_not_saved_is_found_again(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, where: str):
    """The last of a transaction fails, after all parts have given away what is new; or the disk takes no event."""
    monkeypatch.setattr(role, "RETRY_S", 0.01)
    count = 3 if where == "save" else 1
    refusals = iter(range(count))

    def refuse() -> None:
        if next(refusals, None) is not None:
            raise StorageError("no space left on device")

    if where == "save":
        write_position = role.write_position
        monkeypatch.setattr(role, "write_position", lambda *what: (refuse(), write_position(*what)))
    else:
        append = JournalStreamWriter.append

        def refusing(writer: JournalStreamWriter, arrival: Arrival, record: bytes) -> int:
            if writer.journal.path.name == "events":
                refuse()
            return append(writer, arrival, record)

        monkeypatch.setattr(JournalStreamWriter, "append", refusing)

    async def go() -> None:
        counters = Counters()
        async with watching(tmp_path, url, counters):
            await until(lambda: counters[TASK_FAILURES_TOTAL] == count and sessions(url))
            write(tmp_path, batch(A, 3, 10, 20))
            await until(lambda: sessions(url) == [(1000, 1020, 1)])

    write(tmp_path, clock(A, 1000), batch(A, 1, 0, 10))
    asyncio.run(go())
    assert told(tmp_path) == [(1000, 1020)]


@pytest.mark.slow
def test_postgres_is_away_for_a_while(tmp_path: Path):
    async def go() -> None:
        counters = Counters()
        async with watching(tmp_path, postgres.url, counters):
            await until(lambda: sessions(postgres.url) == [(1000, 1010, 1)])
            await asyncio.to_thread(postgres.stop)
            write(tmp_path, batch(A, 3, 10, 20))
            await until(lambda: counters[TASK_FAILURES_TOTAL] >= 3)
            await asyncio.to_thread(postgres.start)
            await until(lambda: sessions(postgres.url) == [(1000, 1020, 1)])

    with contextlib.closing(own_postgres(tmp_path)) as postgres:
        db = Database(postgres.url)
        db.migrate()
        db.close()
        write(tmp_path, clock(A, 1000), batch(A, 1, 0, 10))
        asyncio.run(go())
    assert told(tmp_path) == [(1000, 1020)]
