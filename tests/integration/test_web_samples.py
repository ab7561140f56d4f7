"""Samples on the live page: beside decoded channels, from both streams, from the lake, without any frames."""

import time

import numpy as np
from tests.integration.web_live import FS, START_UTC_US, Server, run, until

from ved.broker.open import open_stream
from ved.codec.records import encode_record
from ved.db.vehicles import ensure_vehicle, ensure_vehicle_name
from ved.model.records import Arrival, Lane
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

S1 = b"s" * 16
CHANNELS = (SampleChannel("pack.temperature", "°C"), SampleChannel("record.lag_ms", "ms"))


def samples(first_seq, t, values, number=0, vehicle="fs", channels=CHANNELS) -> SampleBatch:
    columns = SampleColumns(np.array(t, np.int64), np.full(len(t), number, np.uint16), np.array(values, np.float64))
    return SampleBatch(vehicle, S1, first_seq, channels, columns)


def test_samples_come_live_and_from_the_lake_beside_frames(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        events = open_stream(server.settings.data, "events").writer()

        def tell(record) -> None:
            arrival = Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, Lane.LIVE)
            events.append(arrival, encode_record(record))
            events.sync()

        async with server.running(), server.page() as page:
            server.send_clock()
            server.send([0, 20_000], [1, -2])
            await page.watch("Motor.speed", "pack.temperature", "record.lag_ms")
            await until(lambda: page.is_history_done and page.last() == [1, -2])
            assert page.watching["unknown"] == ["pack.temperature", "record.lag_ms"]
            server.send_clock(epoch=S1)
            server.append(samples(1, [10_000, 20_000], [20.5, 21.25]))
            await until(lambda: page.column("pack.temperature").last.tolist() == [20.5, 21.25])
            told = {one["name"]: one["unit"] for one in page.watching["channels"]}
            assert told == {"Motor.speed": "rpm", "pack.temperature": "°C", "record.lag_ms": "ms"}
            tell(samples(3, [15_000], [7.0], number=1))
            await until(lambda: page.column("record.lag_ms").last.tolist() == [7.0])
            assert page.state["edge_utc_us"] == START_UTC_US + 20_000
            server.send([40_000], [3])
            server.append(samples(4, [40_000], [22.0]))
            await until(lambda: page.last() == [1, -2, 3] and len(page.column("pack.temperature").last) == 3)
            server.lake.samples.append([samples(1, [10_000, 20_000], [20.5, 21.25]), samples(4, [40_000], [22.0])])
            async with server.page() as second:
                await second.watch("pack.temperature", "record.lag_ms")
                await until(lambda: second.is_history_done)
                assert second.column("pack.temperature").last.tolist() == [20.5, 21.25, 22.0]
                assert second.column("record.lag_ms").last.tolist() == [7.0]
        events.close()

    run(tmp_path, go)


def test_a_vehicle_without_frames_is_live_by_its_samples(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle_name(server.db, "box")
        async with server.running(), server.page() as page:
            await page.watch("pack.temperature", vehicle="box")
            await until(lambda: page.is_history_done)
            server.send_clock(epoch=S1, vehicle="box")
            server.append(samples(1, [0, 1_000_000], [1.0, 2.0], vehicle="box"))
            await until(lambda: page.column("pack.temperature").last.tolist() == [1.0, 2.0])
            await until(lambda: page.state.get("edge_utc_us") == START_UTC_US + 1_000_000)
            await until(lambda: page.state["sample_channels"] == len(CHANNELS))

    run(tmp_path, go)
