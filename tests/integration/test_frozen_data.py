"""Data folders that earlier versions left: this one reads every frame, goes on with them, and takes what a car kept."""

import asyncio
import contextlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from argon2 import PasswordHasher
from tests.data.make_frozen import Source, description, digest, make_frames, with_server

from ved.agent.agent import AgentSettings, run_agent
from ved.api.opened import open_lake
from ved.broker.open import open_journal
from ved.codec.records import decode_record
from ved.db.alarmrules import list_rules
from ved.db.alarms import get_alarm
from ved.db.database import Database
from ved.db.dbcs import get_dbc
from ved.db.people import find_password, find_signed_in
from ved.db.sessions import list_sessions
from ved.db.time_notes import list_time_notes
from ved.lake.lake import Lake
from ved.link.credentials import load_credentials, save_credentials
from ved.model.frames import FrameBatch, FrameColumns

FROZEN = sorted((Path(__file__).parents[1] / "data").glob("frozen-*"))
MORE = 60


@pytest.fixture(params=FROZEN, ids=lambda path: path.name)
def thawed(request, tmp_path: Path) -> tuple[Path, dict]:
    """A copy, brought up to this version as `ved serve` does, and what must be in it."""
    with tarfile.open(request.param / "data.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    db = Database(url(tmp_path))
    db.migrate()
    db.close()
    return tmp_path, json.loads((request.param / "manifest.json").read_text())


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'server' / 'db.sqlite'}"


async def stream(folder: Path, *, cursor: str | None = None) -> list[FrameBatch]:
    """All batches of the server's journal, or those that the consumer of this name has not dealt with."""
    journal = open_journal(folder / "server", "frames")
    reader = journal.reader("earliest" if cursor is None else journal.cursor(cursor))
    out = []
    try:
        while entries := await reader.read(timeout_s=0):
            out += [decode_record(entry.record) for entry in entries]
    finally:
        reader.close()
    return [one for one in out if isinstance(one, FrameBatch)]


def test_there_is_a_frozen_folder_of_each_version():
    assert [path.name for path in FROZEN] == ["frozen-0.1"]


def test_people_rules_sessions_and_alarms_are_there(thawed):
    folder, known = thawed
    db = Database(url(folder))
    try:
        user, password_hash = find_password(db, known["person"])
        assert PasswordHasher().verify(password_hash, known["password"])
        assert user.role == "admin"
        assert find_signed_in(db, known["cookie_key"]).id == user.id
        assert [rule.id for rule in list_rules(db, known["vehicle"])] == ["fast"]
        assert get_alarm(db, known["alarm"]).rule == "fast"
        assert known["session"] in [one.id for one in list_sessions(db, known["vehicle"])]
        assert "Motor" in get_dbc(db, known["dbc"]).text
        assert [note.text for note in list_time_notes(db, known["vehicle"], 0, 1 << 60, 10)] == ["frozen here"]
    finally:
        db.close()


def test_every_frame_is_read_from_journal_and_lake(thawed):
    folder, known = thawed
    stored = known["stored"]
    lake = Lake(str(folder / "server" / "lake"))
    epoch = bytes.fromhex(stored["epoch"])
    rows = lake.rows(known["vehicle"], epoch)
    assert rows.seq.tolist() == list(range(1, stored["frames"] + 1))
    assert digest(rows.frames) == stored["sha256"]
    batches = asyncio.run(stream(folder))
    assert digest(FrameColumns.concatenate([one.frames for one in batches])) == stored["sha256"]
    assert asyncio.run(stream(folder, cursor="record")) == []


def test_its_session_is_decoded(thawed):
    folder, known = thawed
    with contextlib.closing(open_lake(folder / "server")) as opened:
        session = opened.session(known["session"])
        speed = session.samples("Motor.Speed")
        frames = make_frames(1, known["stored"]["frames"])
        true = frames.payload[(frames.arbitration_id == 256) & (frames.bus == 0) & (frames.flags == 0), :2]
        assert speed.values.tolist() == np.ascontiguousarray(true).view("<i2")[:, 0].tolist()


def test_server_and_car_go_on_with_it(thawed):
    folder, known = thawed
    state, vehicle = folder / "car", known["vehicle"]
    more = make_frames(5000, MORE)

    async def drive(link_url: str) -> None:
        save_credentials(state, replace(load_credentials(state), server_urls=(link_url,)))
        report = await run_agent(
            AgentSettings(state, vehicle), Source(more, is_realtime=False), description(), asyncio.Event()
        )
        lake = Lake(str(folder / "server" / "lake"))
        epochs = {
            bytes.fromhex(known["stored"]["epoch"]): known["stored"]["sha256"],
            bytes.fromhex(known["on_the_car"]["epoch"]): known["on_the_car"]["sha256"],
            report.epoch: digest(more),
        }
        total = known["stored"]["frames"] + known["on_the_car"]["frames"] + MORE
        async with asyncio.timeout(30):
            while lake.stats().frames < total:
                await asyncio.sleep(0.05)
                lake.refresh()
        assert lake.stats().frames == total
        assert {epoch for _, epoch in lake.epochs()} == set(epochs)
        for epoch, expected in epochs.items():
            assert digest(lake.rows(vehicle, epoch).frames) == expected

    asyncio.run(with_server(folder / "server", url(folder), drive))
