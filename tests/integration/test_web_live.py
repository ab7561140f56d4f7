"""From the stream to a page: real server, stream, database and lake."""

import asyncio
import time

import numpy as np
from tests.integration.web_live import DBC, E1, E2, FS, START_UTC_US, Server, frames_of, run, until

from ved.analysis.decimate import buckets
from ved.db.epochs import note_description
from ved.db.vehicles import ensure_vehicle, ensure_vehicle_name
from ved.model.records import Arrival, BusDescription, Clock, ClockSource, Description, Lane, LinkState, Preview


def test_live_then_history_then_live(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as first:
            await first.watch("Motor.speed", "No.such")
            await until(lambda: first.is_history_done)
            assert first.watching["unknown"] == ["No.such"]
            assert (first.watching["bucket_us"], first.watching["edge_utc_us"]) == (10_000, None)
            (told,) = first.watching["channels"]
            assert (told["name"], told["unit"], told["kind"]) == ("Motor.speed", "rpm", "continuous")
            server.send_clock()
            server.send([0, 20_000], [1, -2])
            await until(lambda: first.last() == [1, -2])
            server.commit()
            server.send([40_000], [3])
            await until(lambda: first.last() == [1, -2, 3])
            assert (first.column().t_us - START_UTC_US).tolist() == [0, 20_000, 40_000]
            async with server.page() as second:
                await second.watch("Motor.speed")
                await until(lambda: second.is_history_done)
                assert second.last() == [1, -2, 3]
                assert second.watching["edge_utc_us"] == START_UTC_US + 40_000
                server.send([60_000], [4])
                await until(lambda: second.last() == first.last() == [1, -2, 3, 4])

    run(tmp_path, go)


def test_state_tells_link_age_and_epoch(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page:
            await page.watch()
            await until(lambda: page.state.get("link") == "unknown")
            assert (page.state["age_ms"], page.state["epoch"], page.state["edge_utc_us"]) == (None, None, None)
            server.append(LinkState("fs", E1, True, Lane.LIVE, "car", 45_600))
            await until(lambda: page.state["link"] == "up")
            assert page.state["rtt_ms"] == 45.6
            server.send_clock()
            server.send([5], [1])
            await until(lambda: page.state["epoch"] == E1.hex())
            assert page.state["edge_utc_us"] == START_UTC_US + 5
            await until(lambda: page.state["age_ms"] > 700)
            server.append(LinkState("fs", E1, False, Lane.LIVE, "car", -1))
            await until(lambda: page.state["link"] == "down")

    run(tmp_path, go)


def test_after_a_restart_the_window_comes_from_the_lake(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        server.send([0, 20_000], [1, 2])
        server.commit()
        for _ in range(1000):  # what came later says nothing of this vehicle
            server.append(LinkState("other", E2, False, Lane.BACKFILL, "", -1))
        server.commit()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            await until(lambda: page.is_history_done)
            assert page.last() == [1, 2]
            assert page.watching["edge_utc_us"] == START_UTC_US + 20_000

    run(tmp_path, go)


def test_no_hole_and_no_double_at_the_seam(tmp_path):
    """Viewers come while data flows and record commits: each ends with exactly the summary of all samples."""
    rng = np.random.default_rng(7)
    t = np.sort(rng.integers(0, 20_000_000, 6000))
    values = rng.integers(-30_000, 30_000, 6000)
    parts = np.split(np.arange(6000), np.sort(rng.integers(0, 6000, 150)))

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()

        async def drive() -> None:
            for k, part in enumerate(parts):
                if len(part):
                    server.send(t[part], values[part])
                if k % 17 == 16:
                    server.commit()
                await asyncio.sleep(0.01)

        async def view(delay_s: float, rate_hz: float) -> None:
            await asyncio.sleep(delay_s)
            async with server.page() as page:
                await page.watch("Motor.speed", rate_hz=rate_hz)
                await driving
                await until(lambda: page.is_history_done)
                await until(lambda: page.column().t_us[-1:].tolist() == [START_UTC_US + int(t[-1])])
                expected = buckets(t + START_UTC_US, values.astype(np.float64), page.watching["bucket_us"])
                assert page.count("reset") == 0
                for ours, theirs in zip(page.column(), expected, strict=True):
                    assert np.array_equal(ours, theirs)

        async with server.running():
            driving = asyncio.create_task(drive())
            await asyncio.gather(*(view(0.2 * k, rate_hz) for k, rate_hz in enumerate((100, 1, 7, 33, 100, 3))))

    run(tmp_path, go)


def test_late_data_fills_the_window(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed", window_s=10)
            server.send([9_000_000], [9])
            await until(lambda: page.last() == [9])
            server.send([1_000_000], [1], lane=Lane.BACKFILL)
            await until(lambda: page.last() == [1, 9])
            assert page.state["edge_utc_us"] == START_UTC_US + 9_000_000

    run(tmp_path, go)


def test_previews_are_shown_and_their_frames_come_again_late(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            await until(lambda: page.is_history_done)
            server.send_clock()
            server.send([0, 20_000], [1, 2])
            await until(lambda: page.last() == [1, 2])
            assert page.state["previews_from_utc_us"] is None
            server.append(Preview("fs", E1, 1, frames_of([100_000], [7])))
            server.append(Preview("fs", E1, 2, frames_of([120_000], [8])))
            await until(lambda: page.last() == [1, 2, 7, 8])
            await until(lambda: page.state["previews_from_utc_us"] == START_UTC_US + 100_000)
            server.send([160_000], [9])
            await until(lambda: page.state["previews_from_utc_us"] is None)
            server.send([40_000, 60_000, 100_000, 120_000], [3, 4, 7, 8], lane=Lane.BACKFILL)
            await asyncio.sleep(0.3)
            async with server.page() as second:
                await second.watch("Motor.speed")
                await until(lambda: second.is_history_done)
                assert second.last() == [1, 2, 3, 4, 7, 8, 9]  # once: the preview itself is kept nowhere

    run(tmp_path, go)


def test_an_agent_that_restarts_goes_on_without_reset(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([1_000_000], [1])
            await until(lambda: page.last() == [1])
            server.send_clock(START_UTC_US + 2_000_000, epoch=E2)
            server.send([0], [2], epoch=E2)
            await until(lambda: page.last() == [1, 2])
            await until(lambda: page.state["epoch"] == E2.hex())
            server.send([1_000_001], [3], lane=Lane.BACKFILL)
            await until(lambda: 3 in page.last())
            assert page.state["epoch"] == E2.hex()
            assert page.count("reset") == 0

    run(tmp_path, go)


def test_the_same_log_replayed_starts_anew(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([0, 5_000_000], [1, 2])
            await until(lambda: page.last() == [1, 2])
            server.commit()
            server.send_clock(epoch=E2)
            server.send([0], [7], epoch=E2)
            await until(lambda: page.count("reset") > 0 and page.last() == [7])
            await until(lambda: page.state["edge_utc_us"] == START_UTC_US)

    run(tmp_path, go)


def test_a_better_clock_moves_everything(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock(source=ClockSource.HOST)
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([0, 20_000], [1, 2])
            await until(lambda: page.last() == [1, 2])
            server.send_clock(START_UTC_US + 3_600_000_000, number=2, source=ClockSource.GPS)
            await until(lambda: page.count("reset") == 1 and page.last() == [1, 2])
            (reset,) = (one for one in page.texts if one["type"] == "reset")
            assert reset["moved"]["by_us"] == 3_600_000_000
            assert 0 <= START_UTC_US - reset["moved"]["from_utc_us"] < 60_000_000
            assert (page.column().t_us - START_UTC_US - 3_600_000_000).tolist() == [0, 20_000]
            server.send([40_000], [3])
            await until(lambda: page.last() == [1, 2, 3])

    run(tmp_path, go)


def test_frames_before_any_clock_wait_for_it(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([0, 20_000], [1, 2])
            await until(lambda: page.state.get("frames_per_s", 0) > 0)
            assert page.last() == []
            server.append(Clock("fs", E1, 1, 0, START_UTC_US, ClockSource.NTP, 0))
            await until(lambda: page.last() == [1, 2])

    run(tmp_path, go)


def test_a_description_brings_the_channels(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle_name(server.db, "replay")
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed", vehicle="replay")
            await until(lambda: page.is_history_done)
            assert page.watching["unknown"] == ["Motor.speed"]
            told = Description("replay", E1, 2, "replay", (BusDescription(0, "can0", (DBC,)),))
            server.append(told)
            note_description(server.db, told, time.time_ns() // 1000)
            server.send_clock(vehicle="replay")
            server.send([0], [5], vehicle="replay")
            await until(lambda: page.watching is not None and page.last() == [5])
            server.commit()
            server.send([20_000], [6], vehicle="replay")
            await until(lambda: page.last() == [5, 6])

    run(tmp_path, go)


def test_a_corrupt_entry_costs_itself_alone(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([0], [1])
            server.writer.append(Arrival(0, 0, Lane.LIVE), b"\x01\x01garbage")
            server.send([20_000], [2])
            await until(lambda: page.last() == [1, 2])

    run(tmp_path, go)


def test_watching_again_replaces_and_unwatch_ends(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        async with server.running(), server.page() as page:
            await page.watch("Motor.speed")
            server.send([0], [1])
            await until(lambda: page.last() == [1])
            await page.watch("Motor.speed", rate_hz=1)
            await until(lambda: page.watching["bucket_us"] == 1_000_000)
            await page._live.send('{"type":"unwatch","id":1}')
            await page._live.send("?")
            await until(lambda: page.count("error") == 1)
            seen = len(page.kinds)
            server.send([20_000], [2])
            await page._live.send("?")
            await until(lambda: page.count("error") == 2)
            assert len(page.kinds) == seen

    run(tmp_path, go)


def test_a_window_of_the_past_ends_where_it_was_asked_to_and_nothing_follows(tmp_path):
    """As fine as asked for, wherever it lies: stored, and what is not stored yet."""

    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        server.send_clock()
        server.send([0, 20_000, 1_000_000], [1, 2, 3])
        server.commit()
        server.send([1_020_000, 1_040_000, 7_200_000_000], [4, 5, 6])
        async with server.running(), server.page() as page, server.page() as live:
            await live.watch("Motor.speed", window_s=86_400)
            await until(lambda: live.is_history_done and live.last()[-1:] == [6])
            assert live.watching["bucket_us"] == 10_000_000
            await page.watch("Motor.speed", window_s=1, until_utc_us=START_UTC_US + 1_020_000)
            await until(lambda: page.is_history_done)
            assert (page.last(), page.watching["bucket_us"]) == ([2, 3, 4], 10_000)
            assert page.watching["edge_utc_us"] == START_UTC_US + 1_020_000
            server.send([1_030_000, 7_200_020_000], [7, 8], lane=Lane.BACKFILL)
            await until(lambda: live.last()[-1] == 8)
            assert (page.last(), page.state) == ([2, 3, 4], {})
            async with server.page() as later:
                await later.watch("Motor.speed", window_s=1, until_utc_us=START_UTC_US + 1_040_000)
                await until(lambda: later.is_history_done)
                assert later.last() == [3, 4, 7, 5]

    run(tmp_path, go)
