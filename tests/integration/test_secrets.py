"""Known secrets go through a server, a car and a page; none is in a log, and no file shows one to everybody."""

import asyncio
import base64
import contextlib
import io
import json
import logging
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.data.make_frozen import VEHICLE, Source, description, make_frames, with_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.agent.agent import AgentSettings, run_agent
from ved.cli.logs import JsonFormatter, TextFormatter
from ved.db.database import Database
from ved.db.keys import create_enrol_code
from ved.db.people import create_signin_token, find_password
from ved.db.vehicles import ensure_vehicle_name
from ved.errors import LinkRefusedError
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import make_code, save_credentials
from ved.link.enrol import enrol
from ved.web.role import run_web
from ved.web.settings import WebSettings

METRICS_TOKEN = "metrics-Qm7vJ2-secret"
PASSWORD = "correct horse battery"
WRONG = "Tr0ub4dor-and-wrong"


@contextlib.contextmanager
def debug_logs() -> Iterator[dict[str, io.StringIO]]:
    """All that would stand in the logs, in both formats, from DEBUG on for ved and INFO for everybody else."""
    root, ours = logging.getLogger(), logging.getLogger("ved")
    before = root.level, ours.level
    out = {"text": io.StringIO(), "json": io.StringIO()}
    handlers = [logging.StreamHandler(stream) for stream in out.values()]
    handlers[0].setFormatter(TextFormatter("test"))
    handlers[1].setFormatter(JsonFormatter("test"))
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    try:
        yield out
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])


class World:
    """A server, a car and a page, and every secret that they were given."""

    def __init__(self, folder: Path) -> None:
        self.data, self.state = folder / "server", folder / "car"
        self.data.mkdir()
        self.db = Database(f"sqlite:///{self.data / 'db.sqlite'}")
        self.db.migrate()
        ensure_vehicle_name(self.db, VEHICLE)
        self.secrets: dict[str, str] = {"metrics token": METRICS_TOKEN, "password": PASSWORD, "wrong password": WRONG}

    async def live(self, link_url: str) -> None:
        await self.car(link_url)
        stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        settings = WebSettings(
            self.data, self.db.url, str(self.data / "lake"), "127.0.0.1", 0, self.data / "keys" / "web.secret",
            self.data / "page", METRICS_TOKEN,
        )  # fmt: skip
        web = asyncio.create_task(run_web(settings, lambda said: port.set_result(said["port"]), stop))
        url = f"http://127.0.0.1:{await port}"
        async with httpx.AsyncClient(base_url=url, headers={"Origin": url}, timeout=60) as page:
            await self.page(page, url)
        stop.set()
        await web

    async def car(self, link_url: str) -> None:
        certificates = ensure_server_certificates(self.data / "keys", ())
        secret = create_enrol_code(self.db, VEHICLE, 60)
        code = make_code(secret, certificates.ca_der)
        known = await enrol(link_url, code, self.state)
        self.secrets |= {"enrolment code": code[5:], "code without hyphens": code[5:].replace("-", "")}
        self.secrets |= _forms("car key", known.key) | _forms("enrolment secret", secret)
        source = Source(make_frames(1, 50), is_realtime=False)
        await run_agent(AgentSettings(self.state, VEHICLE), source, description(), asyncio.Event())
        with pytest.raises(LinkRefusedError):
            await enrol(link_url, code, self.state)  # used up
        stranger = bytes(range(100, 132))
        self.secrets |= _forms("a stranger's key", stranger)
        save_credentials(self.state.with_name("stranger"), replace(known, key=stranger))
        source = Source(make_frames(1, 5), is_realtime=False)
        with pytest.raises(LinkRefusedError):
            await run_agent(
                AgentSettings(self.state.with_name("stranger"), VEHICLE), source, description(), asyncio.Event()
            )

    async def page(self, page: httpx.AsyncClient, url: str) -> None:
        token = create_signin_token(self.db)
        assert (await page.get("/signin", params={"token": token})).status_code == 303
        assert (await page.get("/signin", params={"token": token + "x"})).status_code == 303
        (cookie,) = page.cookies.values()
        self.secrets |= {"sign-in token": token, "cookie": cookie, "cookie's key": cookie.partition(".")[0]}
        assert (await page.patch("/api/me", json={"name": "Ada"})).is_success
        wish = {"current": "", "password": PASSWORD}
        assert (await page.put("/api/me/password", json=wish)).status_code == 204
        self.secrets["password's hash"] = find_password(self.db, "Ada")[1]
        assert (await page.post("/signin", data={"name": "Ada", "password": WRONG})).status_code == 403
        assert (await page.post("/signin", data={"name": "Ada", "password": PASSWORD})).status_code == 303
        tool = (await page.post("/api/me/tool-token")).json()["token"]
        invitation = (await page.post("/api/invitations", json={"role": "viewer"})).json()
        self.secrets |= {"tool token": tool, "invitation": json.dumps(invitation).partition("token=")[2][:20]}
        with pytest.raises(InvalidStatus):
            async with connect(f"{url.replace('http', 'ws')}/foxglove?token={tool}x"):
                pass
        for token in (METRICS_TOKEN, METRICS_TOKEN + "x"):
            await page.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        logging.getLogger("ved.test").debug("the canary sings")


def _forms(name: str, secret: bytes) -> dict[str, str]:
    """A key as it might be written."""
    plain = base64.b64encode(secret).decode()
    return {
        f"{name} in hex": secret.hex(),
        f"{name} in base64": plain.rstrip("="),
        f"{name} as it is": repr(secret)[2:-1],
    }


def test_no_secret_is_in_a_log_and_no_file_shows_one_to_everybody(tmp_path: Path):
    world = World(tmp_path)
    with debug_logs() as logs:
        asyncio.run(with_server(world.data, world.db.url, world.live))
    world.db.close()
    assert all(len(secret) > 8 for secret in world.secrets.values()), world.secrets
    for name, log in logs.items():
        text = log.getvalue()
        assert "the canary sings" in text
        assert "enrolled" in text
        found = [secret for secret, value in world.secrets.items() if value in text or json.dumps(value)[1:-1] in text]
        assert not found, f"in the log as {name}: {found}"
    modes = {path.relative_to(tmp_path): path.stat().st_mode for path in tmp_path.rglob("*") if path.is_file()}
    open_to_all = {path for path, mode in modes.items() if stat.S_IMODE(mode) & 0o077}
    private = {path for path in modes if path.parts[1] == "keys" or path.name in ("db.sqlite", "credentials.json")}
    assert {path.name for path in private} >= {"db.sqlite", "credentials.json", "web.secret", "link-authority.pem"}
    assert not private & open_to_all
    for path in open_to_all:
        content = (tmp_path / path).read_bytes()
        assert not [name for name, value in world.secrets.items() if value.encode() in content], path
