"""The registry over the web: who may change it, what is refused, and that live viewers see it at once."""

import asyncio
import base64
import io
import json
import zipfile

import httpx
import pytest
from tests.integration.web_live import DBC, E1, FS, START_UTC_US, Server, run, until
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.db.people import create_signin_token
from ved.db.sessions import save_sessions
from ved.db.vehicles import ensure_vehicle
from ved.model.records import Lane
from ved.model.session import Session, SessionPart

SCALED = DBC.replace("(1,0)", "(10,0)")
RENAMED = SCALED.replace("speed", "MotorSpeed")
EVIL = '<img src=x onerror=alert(1)>/..\\..\\"\x1b[31m'


def handed_in(text: str | bytes, name: str = "new.dbc") -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return {"name": name, "base64": base64.b64encode(data).decode()}


def order(*files: dict[str, str], **more: object) -> dict[str, object]:
    return {"bus": "main", "files": list(files), **more}


class Desk:
    """A signed-in person who asks about the vehicle fs."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self._client = client
        self._headers = {"Origin": server.url}

    @staticmethod
    async def open(server: Server, client: httpx.AsyncClient, role: str) -> "Desk":
        await client.get("/signin", params={"token": create_signin_token(server.db, role)})
        return Desk(server, client)

    async def get(self, path: str = "", **params: str) -> httpx.Response:
        return await self._client.get(f"/api/vehicles/fs/dbc{path}", params=params)

    async def post(self, path: str, body: object) -> httpx.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._client.post(f"/api/vehicles/fs/dbc{path}", content=data, headers=self._headers)


def test_an_engineer_previews_and_assigns_and_viewers_see_it_at_once(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with (
            server.running(),
            server.page() as page,
            httpx.AsyncClient(base_url=server.url, timeout=60) as client,
        ):
            desk = await Desk.open(server, client, "engineer")
            server.send_clock()
            server.send([0, 20_000], [1, -2])
            server.commit()
            part = SessionPart(E1, 0, 20_000)
            save_sessions(server.db, [Session("s1", "fs", START_UTC_US, START_UTC_US + 20_000, False, (part,))])
            await page.watch("Motor.speed")
            await until(lambda: page.state.get("epoch") == E1.hex() and page.last() == [1, -2])

            resets = page.count("reset")
            seen = (await desk.post("/preview", order(handed_in(RENAMED, EVIL + ".dbc")))).json()
            assert seen["renames"] == [["Motor.speed", "Motor.MotorSpeed"]]
            (channel,) = seen["channels"]
            assert (channel["kind"], channel["differing"], seen["session"]) == ("renamed", 2, "s1")
            assert (channel["examples"][0]["before"], channel["examples"][0]["after"]) == (1.0, 10.0)
            assert (channel["examples"][0]["payload"], seen["counts"]["renamed"]) == ("0100000000000000", 1)
            assert "/" not in seen["files"][0]["name"]
            assert "\x1b" not in seen["files"][0]["name"]
            assert len((await desk.get()).json()["assignments"]) == 1  # a preview does not count
            assert (page.last(), page.count("reset")) == ([1, -2], resets)

            body = order(handed_in(RENAMED), note="scale", aliases=["Motor.speed"])
            done = (await desk.post("/assign", body)).json()
            assert done["aliases"] == [["Motor.speed", "Motor.MotorSpeed"]]
            await until(lambda: page.last() == [10, -20])
            server.send([40_000], [3])
            await until(lambda: page.last() == [10, -20, 30])
            (told,) = page.watching["channels"]
            assert (told["name"], told["channel"], page.watching["unknown"]) == ("Motor.speed", "Motor.MotorSpeed", [])

            history = (await desk.get()).json()
            assert [(one["note"], one["author"]) for one in history["assignments"]] == [
                ("from the vehicle's folder", "ved"),
                ("scale", "engineer"),
            ]
            assert history["aliases"] == [["Motor.speed", "Motor.MotorSpeed"]]
            old, new = (str(one["id"]) for one in history["assignments"])
            compared = (await desk.get("/compare", session="s1", before=old, after=new)).json()
            assert [(one["former"], one["differing"]) for one in compared["channels"]] == [("Motor.speed", 2)]
            asked = {"session": "s1", "before": old, "after": "now", "channel": "Motor.MotorSpeed"}
            series = (await desk.get("/series", **asked)).json()["versions"]
            assert [[value[1] for value in one] for one in series] == [[1, -2], [10, -20]]
            digest = history["assignments"][0]["files"][0]["digest"]
            assert (await desk.get(f"/files/{digest}")).text == DBC

            back = await desk.post("/assign", order({"digest": digest}, note="back"))  # an earlier file again
            assert back.status_code == 200
            await until(lambda: page.last() == [1, -2, 3])

    run(tmp_path, go)


def test_what_counts_from_later_on_is_shown_when_the_edge_gets_there(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with (
            server.running(),
            server.page() as page,
            httpx.AsyncClient(base_url=server.url, timeout=60) as client,
        ):
            desk = await Desk.open(server, client, "engineer")
            server.send_clock()
            server.send([0], [1])
            await page.watch("Motor.speed")
            await until(lambda: page.last() == [1])
            body = order(handed_in(SCALED), valid_from_us=START_UTC_US + 30_000)
            assert (await desk.post("/assign", body)).status_code == 200
            await until(lambda: page.count("reset") > 0 and page.last() == [1])
            server.send([20_000, 40_000], [2, 3])
            await until(lambda: page.last() == [1, 2, 30])

    run(tmp_path, go)


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", b"x" * (80 << 20))
    return packed.getvalue()


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100 + b'">'
LAUGHS += b"".join(b'<!ENTITY %c "%s">' % (97 + at, b"&%c;" % (96 + at) * 12) for at in range(1, 9))
LAUGHS += b"]><NetworkDefinition>&i;</NetworkDefinition>"

REFUSED = [
    ("empty.dbc", b"", "no usable CAN message"),
    ("program.dbc", b"\x7fELF\0\0\0", "binary file"),
    ("photo.png", b"PNG", "unknown kind"),
    ("laughs.kcd", LAUGHS, "laughs.kcd"),
    ("bomb.xlsx", bomb(), "bomb.xlsx"),
    ("noend", b"BO_", "unknown kind"),
    ("long.dbc", DBC.replace("speed", "s" * 5000).encode(), "name of 5000 characters"),
    ("many.dbc", b"".join(b"BO_ %d M%d: 8 X\n" % (at + (1 << 31), at) for at in range(20_500)), "messages; at most"),
    ("huge.dbc", b" " * (9 << 20), "larger than 8 MiB"),
]


def test_what_is_no_definition_file_is_refused_and_the_server_goes_on(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            desk = await Desk.open(server, client, "engineer")
            for name, data, why in REFUSED:
                answer = await desk.post("/preview", order(handed_in(data, name)))
                assert answer.status_code == 400, (name, answer.text[:300])
                error = answer.json()["error"]
                assert why in error["message"], (name, error)
                assert "\n" not in error["message"]
            for body, status in (
                (b"x" * (17 << 20), 413),
                (b"not json", 422),
                (order(handed_in(DBC), colour="red"), 422),
                (order({"name": "a.dbc", "base64": "!!"}), 400),
                (order({"digest": "0" * 64}), 400),
                (order(handed_in(DBC), bus="nope"), 400),
                (order(handed_in(DBC), valid_from_us=5, valid_to_us=5), 400),
                (order(handed_in(DBC), valid_from_us=1 << 63), 400),
                (order(*[handed_in(DBC)] * 9), 422),
            ):
                answer = await desk.post("/assign", body)
                assert answer.status_code == status, (str(body)[:80], answer.text)
                assert set(answer.json()["error"]) == {"code", "message"}
            assert len((await desk.get()).json()["assignments"]) == 1

    run(tmp_path, go)


def test_a_viewer_reads_and_changes_nothing(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            desk = await Desk.open(server, client, "viewer")
            assert (await desk.get()).status_code == 200
            for path in ("/preview", "/assign"):
                assert (await desk.post(path, order(handed_in(DBC)))).status_code == 403
            for asked in (
                {"session": "x", "before": "now", "after": "now"},
                {"session": "x", "before": "y", "after": "1"},
            ):
                assert (await desk.get("/compare", **asked)).status_code in (400, 422)
            assert (await desk.get("/files/nothing")).status_code == 400

    run(tmp_path, go)


def test_the_raw_trace_is_kept_only_while_somebody_looks(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running():
            url = server.url.replace("http", "ws") + "/api/vehicles/{}/trace"
            seen: list[dict] = []

            async def read(live) -> None:
                while True:
                    seen.append(json.loads(await live.recv()))

            async with connect(url.format("fs"), additional_headers=server.headers, origin=server.url) as live:
                reader = asyncio.create_task(read(live))
                await until(lambda: bool(seen))
                assert seen[0] == {"type": "trace", "vehicle": "fs", "rows": [], "left_out": 0}
                server.send([0, 1000], [1, 3])  # no clock is known, and it is shown all the same
                server.send([2000], [0x0103], lane=Lane.BACKFILL)
                await until(lambda: bool(seen[-1]["rows"]))
                (row,) = seen[-1]["rows"]
                assert row == [0, 256, False, 2, 2.0, "0300000000000000", "0200000000000000", "Motor"]
                await until(lambda: seen[-1]["rows"][0][4:7] == [0.0, "0300000000000000", "0000000000000000"])
                server.send([3000], [3])
                await until(lambda: seen[-1]["rows"][0][3:5] == [3, 1.0])
                reader.cancel()
            async with connect(url.format("fs"), additional_headers=server.headers, origin=server.url) as live:
                assert json.loads(await live.recv())["rows"] == []
            with pytest.raises(InvalidStatus):
                async with connect(url.format("nobody"), additional_headers=server.headers, origin=server.url):
                    pass

    run(tmp_path, go)
