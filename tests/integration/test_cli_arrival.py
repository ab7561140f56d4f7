"""The wait for what was sent ends where the roles run that it waits for."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.link_helpers import make_frames

from ved.broker.open import open_journal
from ved.cli import arrival
from ved.cli.arrival import Expected, await_in_lake
from ved.cli.server import RunningServer, _shown
from ved.codec.records import encode_record
from ved.config.settings import ServerSettings
from ved.errors import VedError
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Lane

EPOCH = b"e" * 16


@pytest.mark.parametrize("roles", [("ingest", "record"), ("ingest", "record", "watch")])
def test_watch_is_waited_for_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roles: tuple[str, ...]):
    settings = ServerSettings(data=tmp_path / "data")
    batch = FrameBatch("fs", EPOCH, 1, make_frames(1, 50))
    writer = open_journal(settings.data, "frames").writer()
    writer.append(Arrival(1, 1, Lane.LIVE), encode_record(batch))
    writer.sync()
    Lake.for_writing(settings.lake).append([batch])
    monkeypatch.setattr(arrival, "find_running", lambda _: RunningServer(1, "", "", roles))
    monkeypatch.setattr(arrival, "STALL_S", 0.5)
    if "watch" in roles:
        with pytest.raises(VedError, match="stored nothing"):
            asyncio.run(await_in_lake(Expected("fs", EPOCH, 50), settings))
    else:
        asyncio.run(await_in_lake(Expected("fs", EPOCH, 50), settings))
    writer.close()


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.77.0.1", "10.77.0.1"), ("fd00::1", "[fd00::1]")],
)
def test_a_server_is_reached_where_it_listens(host: str, shown: str):
    assert _shown(host) == shown
