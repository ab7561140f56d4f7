"""A key that is there and good is used again; a code is not spent for one that cannot be kept."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.link_helpers import Site

from ved.cli.enrolment import enrol_here
from ved.cli.keys import enrolment_code
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.db.keys import list_car_keys
from ved.errors import StorageError
from ved.link.credentials import load_credentials, save_credentials
from ved.link.enrol import enrol


def keys(settings: ServerSettings) -> int:
    db = open_database(settings)
    try:
        return len(list_car_keys(db))
    finally:
        db.close()


def test_the_same_server_on_another_port_needs_no_new_key_and_another_server_does(tmp_path: Path):
    site = Site(tmp_path / "one")
    site.prepare()
    settings = ServerSettings(data=site.data, db_url=site.db_url)
    state = tmp_path / "car"

    async def go() -> None:
        async with site.serving() as port:
            url = f"wss://127.0.0.1:{port}"
            await enrol_here(settings, "fs", url, state)
            first = load_credentials(state)
            await enrol_here(
                settings, "fs", "wss://127.0.0.1:9", state
            )  # nobody listens there: no handshake was needed
            assert load_credentials(state).key == first.key
            assert load_credentials(state).server_urls == ("wss://127.0.0.1:9",)
            save_credentials(state, first)
            count = keys(settings)
            await enrol_here(settings, "pe", url, state)
            assert load_credentials(state).vehicle == "pe"
            assert keys(settings) == count + 1

    asyncio.run(go())


def test_a_code_is_not_spent_where_the_key_cannot_be_kept(tmp_path: Path):
    site = Site(tmp_path / "one")
    site.prepare()
    settings = ServerSettings(data=site.data, db_url=site.db_url)
    (tmp_path / "file").write_text("in the way")

    async def go() -> None:
        async with site.serving() as port:
            url = f"wss://127.0.0.1:{port}"
            code = enrolment_code(settings, "fs", 60.0)
            with pytest.raises(StorageError, match="file"):
                await enrol(url, code, tmp_path / "file" / "car")
            assert (await enrol(url, code, tmp_path / "car")).vehicle == "fs"

    asyncio.run(go())
