"""What a role's process tells of itself, and that a database that refuses does not stop it."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from ved.cli import rolehealth
from ved.cli.rolehealth import instance_of, report_health
from ved.db.database import Database
from ved.db.health import RoleRow, read_health
from ved.metrics import LAG, Counters


def rows(url: str) -> list[RoleRow]:
    db = Database(url)
    try:
        with db.engine.connect() as connection:
            return read_health(connection)
    finally:
        db.close()


def test_roles_on_several_machines_have_rows_of_their_own() -> None:
    assert instance_of("web", object()) == "web"
    assert instance_of("web", SimpleNamespace(kafka=None)) == "web"
    assert instance_of("web", SimpleNamespace(kafka="broker:9092")).startswith("web@")


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def test_a_role_writes_what_it_measures_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(rolehealth, "EVERY_S", 0.02)
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    counters = Counters()
    counters.add("things_total", 3)
    counters.gauge(LAG, lambda: 12.5)

    async def go() -> None:
        with caplog.at_level(logging.WARNING):
            task = asyncio.create_task(report_health("record", url, tmp_path, counters))
            await until(lambda: "health is not written" in caplog.text)  # there are no tables yet
            db = Database(url)
            await asyncio.to_thread(db.migrate)
            db.close()
            await until(lambda: bool(rows(url)))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
    (row,) = rows(url)
    assert row.role == "record"
    assert row.figures["things_total"] == 3
    assert row.figures["lag"] == 12.5
    assert row.figures["memory"] > 10
    assert 0 < row.figures["disk"] <= 100
    assert {"cpu", "delay"} <= set(row.figures)
    assert caplog.text.count("health is not written") == 1  # named once, though it failed many times
