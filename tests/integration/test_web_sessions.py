"""Sessions, laps, series, exports, tracks and maths over HTTP, by the roles of people."""

import contextlib
import csv
import dataclasses
import io

import httpx
import numpy as np
import pytest
from tests.integration.recorded_helpers import Folder
from tests.integration.web_live import Server, run
from tests.unit.simulated import log

from ved.db.laps import LapRow, write_laps
from ved.db.maths import seed_maths
from ved.db.people import create_signin_token
from ved.db.sessions import found_sessions, save_sessions
from ved.db.vehicles import ensure_vehicle
from ved.model.frames import FrameColumns

UTC0 = 1_700_000_000_000_000
SECOND = 1_000_000


def fill(server: Server) -> None:
    """Three laps of the simulated car."""
    drive = log("fs", 190, 3)
    wanted = [drive.of(name) for name in ("GpsPosition", "GpsStatus", "VehicleMotion", "BatteryPack")]
    frames = FrameColumns.concatenate(wanted)
    folder = Folder.__new__(Folder)
    folder.db, folder.lake, folder._epochs = server.db, server.lake, 0
    ensure_vehicle(server.db, drive.vehicle)
    seed_maths(server.db, "fs", drive.vehicle.maths)
    buses = {bus.index: (bus.name, bus.dbc_texts[0]) for bus in drive.vehicle.buses}
    folder.add("fs", [(frames.take(np.argsort(frames.t_us, kind="stable")), UTC0)], buses)


@contextlib.asynccontextmanager
async def as_(server: Server, role: str):
    async with httpx.AsyncClient(base_url=server.url, headers={"Origin": server.url}, timeout=60) as client:
        await client.get("/signin", params={"token": create_signin_token(server.db, role)})
        yield client


def test_sessions_are_described_split_and_merged_by_engineers(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), as_(server, "engineer") as engineer, as_(server, "viewer") as viewer:
            (line,) = (await viewer.get("/api/vehicles/fs/sessions")).json()
            one = line["id"]
            assert (line["name"], line["tags"], line["track"], line["laps"]) == ("", [], None, 0)
            change = {"name": "Endurance", "tags": ["rain", " rain ", "fast"], "driver": "Léa"}
            assert (await viewer.patch(f"/api/sessions/{one}", json=change)).status_code == 403
            changed = (await engineer.patch(f"/api/sessions/{one}", json=change)).json()
            assert (changed["name"], changed["driver"], changed["tags"]) == ("Endurance", "Léa", ["rain", "fast"])
            assert changed["edits"][0]["after"]["name"] == "Endurance"
            found = (await viewer.get("/api/vehicles/fs/sessions", params={"tag": "rain"})).json()
            assert [row["id"] for row in found] == [one]
            assert (await viewer.get("/api/vehicles/fs/sessions", params={"tag": "dry"})).json() == []
            bad = await engineer.patch(f"/api/sessions/{one}", json={"track": "nowhere"})
            assert (bad.status_code, bad.json()["error"]["message"]) == (400, "track 'nowhere': there is none")

            row = LapRow("fs", UTC0 + SECOND, UTC0 + 10 * SECOND, one, "t", 1, 900.0, True, (SECOND, -1))
            with server.db.engine.begin() as connection:
                write_laps(connection, [row])
            (listed,) = (await viewer.get("/api/vehicles/fs/sessions")).json()
            assert (listed["laps"], listed["best_lap_s"], listed["track"]["id"]) == (1, pytest.approx(9), "t")
            (kept,) = found_sessions(server.db)
            save_sessions(server.db, [dataclasses.replace(kept, is_open=True)])
            going = (await viewer.get(f"/api/sessions/{one}/laps")).json()
            assert (going["track"]["id"], going["laps"][0]["sectors_s"]) == ("t", [1.0, None])
            save_sessions(server.db, [kept])

            cut = {"utc_us": UTC0 + 100 * SECOND}
            assert (await viewer.post(f"/api/sessions/{one}/split", json=cut)).status_code == 403
            new = (await engineer.post(f"/api/sessions/{one}/split", json=cut)).json()["id"]
            assert [row["id"] for row in (await viewer.get("/api/vehicles/fs/sessions")).json()] == [one, new]
            outside = await engineer.post(f"/api/sessions/{one}/split", json={"utc_us": 5})
            assert outside.status_code == 400
            assert "must lie inside" in outside.json()["error"]["message"]
            merged = (await engineer.post(f"/api/sessions/{one}/merge", json={"session": new})).json()
            assert merged == {"id": one}
            missing = await viewer.get("/api/sessions/nobody/laps")
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")

    run(tmp_path, go)


def test_laps_series_and_exports(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), as_(server, "viewer") as viewer:
            ((one,),) = ([row["id"] for row in (await viewer.get("/api/vehicles/fs/sessions")).json()],)
            laps = (await viewer.get(f"/api/sessions/{one}/laps")).json()
            assert [lap["number"] for lap in laps["laps"]] == [1, 2, 3]
            assert sum(laps["laps"][1]["sectors_s"]) == pytest.approx(laps["laps"][1]["time_s"], abs=1e-4)
            assert (await viewer.get(f"/api/sessions/{one}/laps")).json() == laps
            names = [row["name"] for row in (await viewer.get(f"/api/sessions/{one}/channels")).json()]
            assert {"VehicleMotion.Speed", "Maths.Power"} <= set(names)

            asked = {"channel": ["VehicleMotion.Speed", "Maths.LapDistance"], "points": 200}
            series = (await viewer.get(f"/api/sessions/{one}/series", params=asked)).json()
            speed, way = series["channels"]["VehicleMotion.Speed"], series["channels"]["Maths.LapDistance"]
            assert (speed["unit"], way["unit"]) == ("km/h", "m")
            assert 190 <= len(speed["t_us"]) <= 201
            assert all(low <= high for low, high in zip(speed["minimum"], speed["maximum"], strict=True))
            assert 950 < max(value for value in way["maximum"] if value is not None) < 1100
            lap = laps["laps"][1]
            narrow = {
                "channel": "VehicleMotion.Speed",
                "from_us": lap["utc_from_us"],
                "to_us": lap["utc_to_us"],
                "points": 50,
            }
            part = (await viewer.get(f"/api/sessions/{one}/series", params=narrow)).json()
            assert len(part["channels"]["VehicleMotion.Speed"]["t_us"]) in (50, 51)
            wrong = await viewer.get(f"/api/sessions/{one}/series", params={"channel": "VehicleMotion.Sped"})
            assert wrong.status_code == 400
            assert "did you mean VehicleMotion.Speed" in wrong.json()["error"]["message"]

            asked = {"channel": ["VehicleMotion.Speed", "Maths.LapEnergy"], "format": "csv", "rate_hz": 10, "lap": 2}
            got = await viewer.get(f"/api/sessions/{one}/export", params=asked)
            assert got.headers["content-disposition"] == f'attachment; filename="{one}.csv"'
            assert int(got.headers["content-length"]) == len(got.content)
            rows = list(csv.reader(io.StringIO(got.text)))
            assert rows[0] == ["time_s", "utc", "VehicleMotion.Speed [km/h]", "Maths.LapEnergy [Wh]"]
            assert len(rows) - 1 == int(np.ceil(lap["time_s"] * 10))
            within = {**asked, "within_us": f"{lap['utc_from_us']}-{lap['utc_from_us'] + 2_000_000}"}
            del within["lap"]
            seen = list(csv.reader(io.StringIO((await viewer.get(f"/api/sessions/{one}/export", params=within)).text)))
            assert [row[:2] for row in seen] == [row[:2] for row in rows[:21]], "the lap's first two seconds"
            assert [float(row[2]) for row in seen[1:]] == pytest.approx([float(row[2]) for row in rows[1:21]])
            for wrong_span in ("1-2", "9-1", "yesterday"):
                answer = await viewer.get(f"/api/sessions/{one}/export", params={**within, "within_us": wrong_span})
                assert answer.status_code in (400, 422)
            refused = await viewer.get(f"/api/sessions/{one}/export", params={"format": "docx"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
            assert (await viewer.get(f"/api/sessions/{one}/export", params={"lap": 9})).status_code == 400

    run(tmp_path, go)


def test_tracks_are_drawn_and_laps_follow(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), as_(server, "engineer") as engineer, as_(server, "viewer") as viewer:
            one = (await viewer.get("/api/vehicles/fs/sessions")).json()[0]["id"]
            drawn = {"name": "Home", "lines": [{"start": [48.98, 2.5225], "end": [48.9794, 2.5225]}]}
            assert (await viewer.post("/api/tracks", json=drawn)).status_code == 403
            track = (await engineer.post("/api/tracks", json=drawn)).json()
            assert (await viewer.get("/api/tracks")).json() == [track]
            laps = (await viewer.get(f"/api/sessions/{one}/laps")).json()
            assert laps["track"] == {"id": track["id"], "name": "Home"}
            assert len(laps["laps"]) >= 2
            assert laps["laps"][0]["sectors_s"] == []
            renamed = (await engineer.put(f"/api/tracks/{track['id']}", json={**drawn, "name": "Base"})).json()
            assert renamed["name"] == "Base"
            assert (await engineer.put("/api/tracks/none", json=drawn)).status_code == 404
            bad = {"name": "x", "lines": [{"start": [99, 0], "end": [0, 0]}]}
            assert (await engineer.post("/api/tracks", json=bad)).status_code == 422
            assert (await engineer.delete(f"/api/tracks/{track['id']}")).json() == {"ok": True}
            assert (await viewer.get("/api/tracks")).json() == []

    run(tmp_path, go)


def test_maths_channels_are_tried_and_changed_and_all_routes_stand_in_openapi(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), as_(server, "engineer") as engineer, as_(server, "viewer") as viewer:
            listed = (await viewer.get("/api/vehicles/fs/maths")).json()
            power = next(one for one in listed["channels"] if one["name"] == "Power")
            assert (power["result"]["unit"], power["error"]) == ("kW", None)
            assert {"derivative", "lap_integral", "sqrt"} <= set(listed["functions"])
            wrong = await viewer.post(
                "/api/vehicles/fs/maths/check", json={"expression": "BatteryPack.Voltage * Currnt"}
            )
            error = wrong.json()["error"]
            assert (wrong.status_code, error["code"], error["position"]) == (400, "bad_expression", 23)
            assert "did you mean" in error["reason"]
            good = {"expression": "BatteryPack.Voltage ** 2", "unit": "V²", "comment": "squared"}
            assert (await viewer.put("/api/vehicles/fs/maths/Squared", json=good)).status_code == 403
            made = (await engineer.put("/api/vehicles/fs/maths/Squared", json=good)).json()
            assert (made["unit"], made["inputs"]) == ("V²", ["BatteryPack.Voltage"])
            assert (await engineer.put("/api/vehicles/fs/maths/not a name", json=good)).status_code == 422
            anew = {**good, "comment": "of somebody else"}
            taken = await engineer.put("/api/vehicles/fs/maths/Squared", json=anew, headers={"If-None-Match": "*"})
            assert (taken.status_code, taken.json()["error"]["message"][:30]) == (400, "a maths channel Squared is the")
            about = (await viewer.get("/api/vehicles/fs")).json()
            assert any(one["name"] == "Maths.Squared" for one in about["channels"])
            assert (await engineer.delete("/api/vehicles/fs/maths/Squared")).json() == {"ok": True}
            assert (await engineer.delete("/api/vehicles/fs/maths/Squared")).status_code == 404
            paths = (await viewer.get("/api/openapi.json")).json()["paths"]
            assert {
                "/api/vehicles/{vehicle}/sessions",
                "/api/sessions/{session}",
                "/api/sessions/{session}/laps",
                "/api/sessions/{session}/channels",
                "/api/sessions/{session}/series",
                "/api/sessions/{session}/export",
                "/api/tracks",
                "/api/vehicles/{vehicle}/maths/{name}",
            } <= set(paths)

    run(tmp_path, go)
