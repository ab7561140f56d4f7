"""Where the server is: several addresses, some of them dead, and a name that comes to mean another one."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.errors import LinkLostError
from ved.link import dial
from ved.link.credentials import parse_server_url, save_credentials
from ved.link.dial import PUBLISH_PATH, Dialer
from ved.link.trust import unverified_context

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Relay, Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")


class Names:
    """A resolver that a test changes; what it was asked is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.means: dict[str, list[str]] = {}
        self.asked = 0
        self._real = socket.getaddrinfo
        monkeypatch.setattr(dial.socket, "getaddrinfo", self._answer)

    def _answer(self, host, port, *args, **kwargs):
        if host not in self.means:
            return self._real(host, port, *args, **kwargs)
        self.asked += 1
        if not self.means[host]:
            raise socket.gaierror(socket.EAI_AGAIN, "no network")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in self.means[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@contextlib.contextmanager
def black_hole(ip: str, port: int) -> Iterator[socket.socket]:
    """An address where SYNs vanish: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind((ip, port))
        deaf.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((ip, port))
        with socket.socket() as probe:
            probe.settimeout(0.2)
            with pytest.raises(TimeoutError):
                probe.connect((ip, port))
        yield deaf


@contextlib.asynccontextmanager
async def relay_at(ip: str, port: int) -> AsyncIterator[Relay]:
    """The server can be reached at another address, on the same port."""
    relay = Relay(port)
    listener = await asyncio.start_server(relay._accept, ip, port)
    try:
        yield relay
    finally:
        listener.close()
        await relay_end(relay)


async def relay_end(relay: Relay) -> None:
    relay.cut()
    for task in relay._tasks:
        task.cancel()
    await asyncio.gather(*relay._tasks, return_exceptions=True)


@pytest.mark.parametrize("dead", ["refuses", "black hole"])
def test_a_dead_address_does_not_keep_the_car_from_the_others(tmp_path: Path, names: Names, dead: str) -> None:
    site = Site(tmp_path / "data")
    site.prepare()

    async def go() -> tuple[str, int]:
        async with site.serving() as port:
            names.means["localhost"] = ["127.0.0.9", "127.0.0.1"]
            with black_hole("127.0.0.9", port) if dead == "black hole" else contextlib.nullcontext():
                dialer = Dialer([parse_server_url(f"wss://localhost:{port}")])
                connection = await dialer.open("/enrol", unverified_context(), {})
                peer = connection.remote_address
                await connection.close()
                return peer

    assert asyncio.run(go())[0] == "127.0.0.1"
    assert names.asked == 1


def test_where_nobody_answers_the_try_ends(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT_S", 0.8)

    async def go(port: int) -> None:
        names.means["localhost"] = ["127.0.0.9"]
        dialer = Dialer([parse_server_url(f"wss://localhost:{port}")])
        with black_hole("127.0.0.9", port), pytest.raises(LinkLostError, match="does not answer"):
            await dialer.open(PUBLISH_PATH, unverified_context(), {})
        with pytest.raises(LinkLostError, match="refused"):
            await dialer.open(PUBLISH_PATH, unverified_context(), {})

    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        port = free.getsockname()[1]
    asyncio.run(go(port))
    assert names.asked == 2


def test_a_name_that_comes_to_mean_another_address_is_followed(tmp_path: Path, names: Names) -> None:
    """First the name does not resolve, then it means one address, then (that one is dead) another one."""
    site = Site(tmp_path / "data")
    site.prepare()
    last: list[AgentProgress] = []

    async def until(condition) -> None:
        async with asyncio.timeout(30):
            while not (last and condition(last[-1])):
                await asyncio.sleep(0.02)

    async def go() -> tuple[int, int]:
        async with site.serving() as port, relay_at("127.0.0.8", port) as relay:
            names.means["localhost"] = []
            credentials = site.credentials()
            url = f"wss://localhost:{port}"
            save_credentials(tmp_path / "car", type(credentials)((url,), "fs", credentials.key, credentials.ca_pem))
            stop = asyncio.Event()
            source = ListSource(10**9, chunk=20, interval_s=0.02, is_realtime=True)
            settings = AgentSettings(tmp_path / "car", "fs")
            agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
            await until(lambda _: names.asked >= 2)
            names.means["localhost"] = ["127.0.0.8"]
            await until(lambda now: now.stored_frames > 100)
            accepted = relay.accepted
            relay.is_closed = True
            relay.cut()
            await until(lambda now: not now.is_connected)
            before = last[-1].frames
            names.means["localhost"] = ["127.0.0.1"]
            await until(lambda now: now.stored_frames > before)
            stop.set()
            report = await agent
            return accepted, report.frames - report.stored_seq

    accepted, missing = asyncio.run(go())
    assert accepted >= 1, "the first address was not used"
    assert missing == 0
