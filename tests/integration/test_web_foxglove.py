"""Foxglove and Lichtblick connect: the real server, asked by the protocol's own client package under node."""

import asyncio
import json
import shutil
import struct
import sys
from pathlib import Path

import httpx
import pytest
from tests.integration.web_live import FS, START_UTC_US, run
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.db.vehicles import ensure_vehicle
from ved.web.foxglove import SUBPROTOCOLS, message_frame
from ved.web.foxglove_viewer import MAX_WAITING, FoxgloveOutbox

WEB = Path(__file__).parents[2] / "web"
NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node") or "node"


async def token_of(server) -> str:
    async with httpx.AsyncClient(base_url=server.url, headers={**server.headers, "Origin": server.url}) as client:
        return (await client.post("/api/me/tool-token")).json()["token"]


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_the_client_package_reads_messages(tmp_path, subprotocol):
    async def check(server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running():
            server.send_clock()
            url = f"{server.url.replace('http', 'ws')}/foxglove?token={await token_of(server)}"
            client = await asyncio.create_subprocess_exec(
                NODE, str(Path(__file__).with_name("foxglove_client.mjs")), str(WEB), url, subprotocol, "/fs/Motor",
                "3", stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            told, sending = [], None
            async for line in client.stdout:
                told.append(json.loads(line))
                if told[-1]["kind"] == "subscribed" and sending is None:
                    sending = asyncio.create_task(keep_sending(server, 0))
            assert sending is not None, told
            sending.cancel()
            assert await client.wait() == 0
        by_kind = {one["kind"]: one for one in told}
        assert "error" not in by_kind
        assert by_kind["open"]["subprotocol"] == subprotocol
        assert by_kind["serverInfo"]["info"]["capabilities"] == ["time"]
        assert int(by_kind["time"]["timestamp"]) > 0
        (channel,) = by_kind["advertise"]["channels"]
        assert (channel["topic"], channel["encoding"], channel["schemaEncoding"]) == ("/fs/Motor", "json", "jsonschema")
        assert json.loads(channel["schema"])["properties"]["speed"] == {"type": "number", "description": "[rpm]"}
        messages = [one for one in told if one["kind"] == "message"]
        assert len(messages) == 3
        for one in messages:
            at_ns = int(one["timestamp"])
            assert one["data"] == {"speed": (at_ns // 1000 - START_UTC_US) / 1000}
            assert one["subscriptionId"] == by_kind["subscribed"]["id"]

    run(tmp_path, check)


async def keep_sending(server, t) -> None:
    """The value of each frame is its time in ms: it comes back beside the time."""
    while True:
        t += 1
        server.send([t * 1000], [t])
        await asyncio.sleep(0.05)


def test_who_may_connect(tmp_path):
    async def check(server) -> None:
        async with server.running():
            url = f"{server.url.replace('http', 'ws')}/foxglove"
            token = await token_of(server)
            newer = await token_of(server)
            refused = [
                ({}, url, None),
                ({}, f"{url}?token=guess", None),
                ({}, f"{url}?token={token}", None),  # the newer one stands in its place
                (server.headers, url, "http://evil.example"),
                (server.headers, url, None),
                (server.headers, f"{url.replace('/foxglove', '/api/live')}?token={newer}", None),
            ]
            for headers, where, origin in refused:
                with pytest.raises(InvalidStatus) as caught:
                    await connect(where, additional_headers=headers, origin=origin, subprotocols=SUBPROTOCOLS[:1])
                assert caught.value.response.status_code == 403
            with pytest.raises(InvalidStatus):
                await connect(f"{url}?token={newer}", subprotocols=["other"])
            for headers, where, origin in (
                (server.headers, url, server.url),
                ({}, f"{url}?token={newer}", "https://app.foxglove.dev"),
            ):
                async with connect(where, additional_headers=headers, origin=origin, subprotocols=SUBPROTOCOLS) as live:
                    assert json.loads(await live.recv())["op"] == "serverInfo"

    run(tmp_path, check)


def test_bad_messages_get_a_status_and_change_nothing(tmp_path):
    async def check(server) -> None:
        async with server.running():
            url = f"{server.url.replace('http', 'ws')}/foxglove?token={await token_of(server)}"
            async with connect(url, subprotocols=SUBPROTOCOLS) as live:
                bad = [
                    "", "{", b"\x01", '{"op":"steer"}', '{"op":"subscribe","subscriptions":[{"id":-1,"channelId":1}]}',
                    '{"op":"subscribe","subscriptions":[{"id":1,"channelId":77}]}',
                ]  # fmt: skip
                for one in bad:
                    await live.send(one)
                    while not (isinstance(data := await live.recv(), str) and json.loads(data)["op"] == "status"):
                        pass

    run(tmp_path, check)


def test_a_slow_client_misses_the_oldest_and_is_told(tmp_path):
    async def check() -> None:
        outbox = FoxgloveOutbox(MAX_WAITING)
        for at in range(3 * MAX_WAITING):
            outbox.put_increment(7, message_frame(7, at, b"{}"), at, at)
        assert outbox.waiting <= 3 * MAX_WAITING
        told = json.loads(await outbox.take())
        assert told["op"] == "status"
        assert str(2 * MAX_WAITING) in told["message"]
        first = await outbox.take()
        assert struct.unpack("<BIQ", first[:13]) == (1, 7, 2 * MAX_WAITING * 1000)

    asyncio.run(check())
