"""/metrics and /api/health: who may read them, and that a strict reader understands every line."""

import re
import time
from dataclasses import replace

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.web_live import FS, Server, run

from ved.db.health import RoleRow, VehicleRow, write_health, write_vehicle_health
from ved.db.vehicles import ensure_vehicle
from ved.web.exposition import Metric, exposition

TOKEN = "a-token-for-prometheus"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
VALUE = r"(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)"
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({VALUE})")


def parse(text: str, *, is_open: bool) -> dict[tuple[str, str], float]:
    """Samples by (name, labels), by the grammar of the format; AssertionError for anything else."""
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    if is_open:
        assert lines.pop() == "# EOF"
    out: dict[tuple[str, str], float] = {}
    family, kind, done = "", "", set()
    for line in lines:
        if line.startswith("# HELP "):
            family = re.fullmatch(rf"# HELP ({NAME}) (.*)", line)[1]
            assert family not in done
            done.add(family)
        elif line.startswith("# TYPE "):
            name, kind = re.fullmatch(rf"# TYPE ({NAME}) (gauge|counter)", line).groups()
            assert name == family
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == family + ("_total" if is_open and kind == "counter" else "")
            assert (name, labels or "") not in out
            out[name, labels or ""] = float(value)
    return out


LABELS = st.dictionaries(st.sampled_from(["role", "bus", "vehicle"]), st.text(max_size=8), max_size=3)
NUMBERS = st.floats() | st.integers(-(10**12), 10**12).map(float)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.lists(st.tuples(LABELS, NUMBERS), max_size=3, unique_by=lambda one: str(one[0])))
def test_any_text_and_number_is_within_the_grammar(comment: str, values: list) -> None:
    for kind in ("gauge", "counter"):
        for is_open in (False, True):
            got = parse(exposition([Metric("a_b", kind, comment, values)], is_open=is_open), is_open=is_open)
            assert sorted(map(str, got.values())) == sorted(str(float(value)) for _, value in values)


def test_who_may_read_and_what_it_says(tmp_path) -> None:
    async def go(server: Server) -> None:
        server.settings = replace(server.settings, metrics_token=TOKEN)
        ensure_vehicle(server.db, FS)
        now_us = time.time_ns() // 1000
        write_health(server.db, RoleRow("record", now_us, {"cpu": 1.5, "frames_stored_total": 7.0}))
        write_health(server.db, RoleRow("watch", now_us - 60_000_000, {"cpu": 9.0}))
        figures = {"health.link.backlog": 12.0, "health.bus.main.load": 31.5, "health.link.age": 5.0}
        with server.db.engine.begin() as connection:
            write_vehicle_health(connection, VehicleRow("fs", now_us, now_us - 2_000_000, figures))
            write_vehicle_health(connection, VehicleRow("pe", now_us - 60_000_000, now_us - 90_000_000, figures))
        async with server.running(), httpx.AsyncClient(base_url=server.url) as stranger:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                assert (await stranger.get("/metrics", headers=headers)).status_code == 401
            token = {"Authorization": f"Bearer {TOKEN}"}
            assert (await stranger.get("/api/health", headers=token)).status_code == 401  # good for /metrics alone
            assert (await stranger.get("/metrics", headers=server.headers)).status_code == 200
            answer = await stranger.get("/metrics", headers=token)
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            got = parse(answer.text, is_open=False)
            assert got["health_role_cpu", 'role="record"'] == 1.5
            assert got["frames_stored_total", 'role="record"'] == 7
            assert got["health_bus_load", 'vehicle="fs",bus="main"'] == 31.5
            assert got["health_link_backlog", 'vehicle="fs"'] == 12
            assert got["health_link_age", 'vehicle="fs"'] == 5
            assert got["health_role_age", 'role="watch"'] >= 60
            # What is old is not told as if it were of now.
            assert ("health_role_cpu", 'role="watch"') not in got
            assert ("health_link_backlog", 'vehicle="pe"') not in got
            assert got["health_link_age", 'vehicle="pe"'] >= 90_000
            accept = {**token, "Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
            answer = await stranger.get("/metrics", headers=accept)
            assert answer.headers["content-type"].startswith("application/openmetrics-text")
            assert parse(answer.text, is_open=True)["frames_stored_total", 'role="record"'] == 7

            page = (await stranger.get("/api/health", headers=server.headers)).json()
            assert page["roles"][0]["figures"] == {"cpu": 1.5}
            assert page["roles"][0]["counters"] == {"frames_stored_total": 7}
            assert [one["figures"] for one in page["vehicles"]] == [figures, {}]

    run(tmp_path, go)


def test_without_a_token_in_the_settings_none_is_good(tmp_path) -> None:
    async def go(server: Server) -> None:
        async with server.running(), httpx.AsyncClient(base_url=server.url) as stranger:
            for headers in ({"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, {}):
                assert (await stranger.get("/metrics", headers=headers)).status_code == 401

    run(tmp_path, go)
