"""The courier: a parcel that was stopped half way, sent twice, or interrupted is stored once and whole."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.link_helpers import Site, make_frames

from ved.broker.open import open_journal
from ved.codec.link import Storage
from ved.codec.records import decode_record, encode_record
from ved.errors import UserError
from ved.link.courier import Courier, Parcel, _Delivery
from ved.metrics import BATCHES_CONFLICT_TOTAL, BATCHES_RECEIVED_TOTAL, Counters
from ved.model.frames import FrameBatch
from ved.model.records import Clock, ClockSource
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

EPOCH = b"e" * 16
BATCHES, SIZE = 60, 500


def records(stop_at: int | None = None) -> Iterator[bytes]:
    yield encode_record(Clock("fs", EPOCH, 1, 0, 9, ClockSource.RECORDED, 0))
    for number in range(BATCHES):
        if number == stop_at:
            raise UserError("the file went away")
        yield encode_record(FrameBatch("fs", EPOCH, number * SIZE + 1, make_frames(number * SIZE + 1, SIZE)))


def parcel(stop_at: int | None = None) -> Parcel:
    return Parcel("fs", EPOCH, records(stop_at), BATCHES * SIZE)


def stored(site: Site) -> list[int]:
    """First seqs of the batches in the journal, in its order."""

    async def read() -> list[int]:
        reader = open_journal(site.data, "frames").reader("earliest")
        out = []
        while entries := await reader.read(timeout_s=0):
            out += [decode_record(entry.record) for entry in entries]
        reader.close()
        return [one.first_seq for one in out if isinstance(one, FrameBatch)]

    return asyncio.run(read())


def test_a_parcel_that_stopped_goes_on_and_is_stored_once(tmp_path: Path):
    site = Site(tmp_path)
    site.prepare()
    counters, told = Counters(), []

    async def go() -> None:
        async with site.serving(counters):
            courier = Courier(site.credentials())
            with pytest.raises(UserError, match="went away"):
                await courier.deliver(parcel(stop_at=25))
            await courier.deliver(parcel(), told.append)
            await courier.deliver(parcel(), told.append)

    asyncio.run(go())
    assert sorted(stored(site)) == [number * SIZE + 1 for number in range(BATCHES)]
    assert told[-1] == BATCHES * SIZE
    assert counters[BATCHES_RECEIVED_TOTAL] == BATCHES + 1
    assert counters[BATCHES_CONFLICT_TOTAL] == 0


def test_a_server_that_restarts_gets_the_rest(tmp_path: Path):
    site = Site(tmp_path)
    site.prepare()

    async def go() -> None:
        half, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow() -> Iterator[bytes]:
            for number, record in enumerate(records()):
                if number == BATCHES // 2:
                    loop.call_soon_threadsafe(half.set)
                    asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
                yield record

        async with site.serving():
            courier = Courier(site.credentials())
            task = asyncio.create_task(courier.deliver(Parcel("fs", EPOCH, slow(), BATCHES * SIZE)))
            await half.wait()
        go_on.set()
        async with site.serving():
            await task

    asyncio.run(go())
    assert sorted(set(stored(site))) == [number * SIZE + 1 for number in range(BATCHES)]


def test_samples_go_the_same_way(tmp_path: Path):
    site = Site(tmp_path)
    site.prepare()
    columns = SampleColumns(make_frames(1, 9).t_us, make_frames(1, 9).bus.astype("u2") * 0, make_frames(1, 9).t_us / 2)
    batch = SampleBatch("fs", EPOCH, 1, (SampleChannel("a.b"),), columns)

    async def go() -> list[bytes]:
        async with site.serving():
            courier = Courier(site.credentials())
            for _ in range(2):
                await courier.deliver(Parcel("fs", EPOCH, iter([encode_record(batch)]), 9))
            reader = open_journal(site.data, "frames").reader("earliest")
            entries = await reader.read(timeout_s=0)
            reader.close()
            return [entry.record for entry in entries]

    found = [one for one in map(decode_record, asyncio.run(go())) if isinstance(one, SampleBatch)]
    assert len(found) == 1
    assert found[0].equals(batch)


def test_a_full_disk_at_the_server_is_waited_for_while_all_else_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ved.link.courier.RECHECK_S", 0.05)
    asked: list[bytes] = []

    class Connection:
        """Takes everything, and says nothing by itself."""

        async def wait_for_room(self, _: object) -> None:
            pass

        async def send_record(self, *_: object) -> None:
            pass

        async def ask(self, epoch: bytes) -> None:
            asked.append(epoch)

    async def go() -> None:
        delivery = _Delivery(parcel(), lambda _: None)
        delivery.hear(Storage(is_storing=False))
        sending = asyncio.create_task(delivery.send_over(Connection()))
        async with asyncio.timeout(20):
            await asyncio.sleep(0.3)  # several rechecks: whoever spins never comes back here
            assert asked == []
            delivery.hear(Storage(is_storing=True))
            while not asked:
                await asyncio.sleep(0.01)
        sending.cancel()

    asyncio.run(go())
