"""Long windows, many viewers, slow viewers."""

import asyncio
import json
import socket

import numpy as np
from tests.integration.web_live import FS, START_UTC_US, Server, run, until
from websockets.asyncio.client import connect

from ved.analysis.decimate import buckets
from ved.codec.live import decode_message
from ved.db.vehicles import ensure_vehicle


def test_a_long_window_is_whole(tmp_path):
    """Two hours, half of them in the lake: more than one slice, coarser than asked."""
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 7_200_000_000, 60_000))
    values = rng.integers(-30_000, 30_000, 60_000)

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        for k, part in enumerate(np.array_split(np.arange(60_000), 40)):
            server.send(t[part], values[part])
            if k == 20:
                server.commit()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed", rate_hz=50, window_s=7200)
            await until(lambda: page.is_history_done)
            bucket_us = page.watching["bucket_us"]
            assert bucket_us == 600_000
            expected = buckets(t + START_UTC_US, values.astype(np.float64), bucket_us)
            assert np.array_equal(page.column().t_us // bucket_us, expected.t_us // bucket_us)
            for ours, theirs in zip(page.column()[1:], expected[1:], strict=True):
                assert np.array_equal(ours, theirs)
            assert page.largest_bytes < 17_000

    run(tmp_path, go)


def test_the_window_ends_where_it_was_asked_to(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        server.send(np.arange(0, 20_000_000, 500_000), np.arange(40))
        server.commit()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed", window_s=5)
            await until(lambda: page.is_history_done)
            assert page.last() == list(range(29, 40))

    run(tmp_path, go)


def test_a_slow_viewer_loses_its_own_increments_and_is_told(tmp_path):
    """It does not read at all while 11 MB of increments are made; another viewer gets every sample meanwhile."""
    flushes, samples = 160, 9000

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as quick:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
            slow = await connect(
                server.url.replace("http", "ws") + "/api/live",
                sock=sock,
                origin=server.url,
                additional_headers=server.headers,
                compression=None,
                max_queue=1,
            )
            watch = {"type": "watch", "id": 1, "vehicle": "fs", "channels": ["Motor.speed"]}
            await slow.send(json.dumps({**watch, "rate_hz": 100, "window_s": 100}))
            await quick.watch("Motor.speed", rate_hz=1, window_s=7200)
            await until(lambda: quick.is_history_done)
            t = np.arange(samples, dtype=np.int64) * 10_000
            for k in range(flushes):
                server.send(t + k * 90_000_000, np.full(samples, k % 1000), is_durable=False)
                if k % 4 == 0:
                    await asyncio.sleep(0.02)
            end_us = START_UTC_US + int(t[-1]) + (flushes - 1) * 90_000_000
            await until(lambda: quick.column().t_us[-1:].tolist() == [end_us])
            assert quick.count("missed") == 0
            missed = []
            async for data in slow:
                if isinstance(data, str):
                    told = json.loads(data)
                    if told["type"] == "missed":
                        missed.append(told)
                    continue
                message = decode_message(data)
                if message.columns and message.columns[0].t_utc_us[-1] == end_us:
                    break
            await slow.close()
            assert missed
            assert {one["id"] for one in missed} == {1}
            assert all(one["messages"] > 0 and one["from_utc_us"] < one["to_utc_us"] <= end_us for one in missed)

    run(tmp_path, go)


def test_catching_up_makes_no_huge_message(tmp_path):
    """Nothing is in the lake and everything is in the journal when the page comes: the client takes 1 MiB at most."""

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed", window_s=100)
            await until(lambda: page.is_history_done)
            t = np.arange(10_000, dtype=np.int64) * 10_000
            for k in range(40):
                server.send(t + k * 100_000_000, np.full(10_000, k), is_durable=False)
            end_us = START_UTC_US + int(t[-1]) + 39 * 100_000_000
            await until(lambda: page.column().t_us[-1:].tolist() == [end_us])
            assert page.largest_bytes <= 8 * (30_000 + 10_000) + 100

    run(tmp_path, go)


def test_many_viewers_with_wishes_of_their_own(tmp_path):
    rng = np.random.default_rng(5)
    t = np.sort(rng.integers(0, 5_000_000, 2000))
    values = rng.integers(-30_000, 30_000, 2000)

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()

        async def view(rate_hz: float, window_s: float) -> None:
            async with server.page() as page:
                await page.watch("Motor.speed", rate_hz=rate_hz, window_s=window_s)
                await until(lambda: page.is_history_done)
                arrived.release()
                await until(lambda: page.column().t_us[-1:].tolist() == [START_UTC_US + int(t[-1])])
                expected = buckets(t + START_UTC_US, values.astype(np.float64), page.watching["bucket_us"])
                for ours, theirs in zip(page.column(), expected, strict=True):
                    assert np.array_equal(ours, theirs)

        async def drive() -> None:
            for _ in wishes:
                await arrived.acquire()
            for part in np.array_split(np.arange(2000), 25):
                server.send(t[part], values[part])
                await asyncio.sleep(0)

        wishes = [(rate_hz, window_s) for rate_hz in (1, 10, 33, 100) for window_s in (30, 60, 600, 7200)]
        arrived = asyncio.Semaphore(0)
        async with server.running():
            await asyncio.gather(drive(), *(view(*wish) for wish in wishes))

    run(tmp_path, go)
