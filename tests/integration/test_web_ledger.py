"""The strip of the gap ledger, asked for over HTTP while watch keeps it."""

import asyncio

import httpx
import numpy as np
from tests.integration.web_live import FS, START_UTC_US, Server, run

from ved.db.vehicles import ensure_vehicle
from ved.model.records import Lane, Loss, LossPlace
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

SECOND = 1_000_000


async def watch(server: Server) -> None:
    stop = asyncio.Event()
    stop.set()  # it reads to the end of the stream before it obeys
    await run_watch(WatchSettings(server.settings.data, server.settings.db_url), lambda _: None, stop)


def seconds(first: int, last: int):
    """Ten frames a second."""
    return np.arange(first * 10, last * 10) * 100_000


def test_a_range_shows_what_came_and_fills_when_late_data_come(tmp_path) -> None:
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        t = seconds(0, 60)
        server.send(t[:100], t[:100] * 0)
        server.next_seq[b"1" * 16] = 201  # the second ten seconds are still on the car
        server.send(t[200:300], t[200:300] * 0)
        server.append(Loss("fs", b"1" * 16, 1, LossPlace.KERNEL, 0, 7, 22 * SECOND, 22 * SECOND + 9))
        server.append(Loss("fs", b"1" * 16, 2, LossPlace.CAR_CRASH, 255, -1, 30 * SECOND, 32 * SECOND - 1))
        await watch(server)
        async with server.running(), httpx.AsyncClient(base_url=server.url, headers=server.headers) as client:

            async def strip(from_s: int, to_s: int, buckets: int) -> dict:
                asked = {"from_utc_us": START_UTC_US + from_s * SECOND, "to_utc_us": START_UTC_US + to_s * SECOND}
                answer = await client.get("/api/vehicles/fs/ledger", params={**asked, "buckets": buckets})
                assert answer.status_code == 200, answer.text
                return answer.json()

            got = await strip(0, 40, 4)
            assert (got["from_utc_us"], got["bucket_us"]) == (START_UTC_US, 10 * SECOND)
            assert got["live"] == [100, 0, 100, 0]
            assert got["backfilled"] == [0] * 4
            assert abs(got["missing"][1] - 100) <= 1
            assert sum(got["missing"]) == 100
            assert got["lost"] == {"kernel": [0, 0, 7, 0]}
            assert got["uncounted"] == {"car_crash": [0, 0, 0, 1]}

            server.next_seq[b"1" * 16] = 101
            server.send(t[100:200], t[100:200] * 0, lane=Lane.BACKFILL)
            await watch(server)
            got = await strip(0, 40, 40)
            assert got["backfilled"][10:20] == [10] * 10
            assert sum(got["missing"]) == 0

            assert (await client.get("/api/vehicles/nobody/ledger?from_utc_us=0&to_utc_us=9")).status_code == 404
            for bad in ("from_utc_us=9&to_utc_us=9", "from_utc_us=0", f"from_utc_us=0&to_utc_us={1 << 59}"):
                assert (await client.get(f"/api/vehicles/fs/ledger?{bad}")).status_code == 422

    run(tmp_path, go)
