"""The one suite that every broker passes. A broker's own test module subclasses it and says how to make a stream."""

import asyncio

import pytest

from ved.broker.base import StreamEntry
from ved.model.records import Arrival, Lane

ENTRY_BYTES = 1000


def record_of(number):
    return number.to_bytes(4, "little") * (ENTRY_BYTES // 4)


def arrival_of(number, utc_us=None):
    return Arrival(number * 10, 1_700_000_000_000_000 + number if utc_us is None else utc_us, Lane(1 + number % 2))


def put(writer, first, count, utc_us=None):
    return [writer.append(arrival_of(n, utc_us), record_of(n)) for n in range(first, first + count)]


async def take(reader, count):
    """At least `count` entries."""
    out = []
    while len(out) < count:
        entries = await reader.read(timeout_s=30)
        assert entries, f"only {len(out)} of {count} entries came"
        out += entries
    return out


class BrokerSuite:
    """`stream` (fixture of the subclass) is a new, empty stream that can drop old entries in steps of ~4 entries.

    `reopen()` gives a second Stream object on the same data, as another process would have it. `set_now_us` moves the
    clock that `trim` measures ages with.
    """

    @pytest.fixture
    def writer(self, stream):
        made = stream.writer()
        yield made
        made.close()

    def test_entries_come_as_they_went_in(self, stream, writer):
        async def main():
            reader = stream.reader("earliest")
            positions = put(writer, 0, 3)
            assert positions == [0, 1, 2]
            assert writer.next_position == 3
            assert await take(reader, 3) == [StreamEntry(n, arrival_of(n), record_of(n)) for n in range(3)]
            assert reader.position == 3
            assert await reader.read(timeout_s=0) == []
            reader.close()

        asyncio.run(main())

    def test_empty_and_large_records(self, stream, writer):
        async def main():
            reader = stream.reader("earliest")
            for size in (0, 1, 1 << 20):
                writer.append(arrival_of(size), bytes(size))
            entries = await take(reader, 3)
            assert [len(entry.record) for entry in entries] == [0, 1, 1 << 20]
            reader.close()

        asyncio.run(main())

    def test_reader_may_come_before_the_writer(self, stream):
        async def main():
            early = stream.reader("earliest")
            latest = stream.reader("latest")
            assert await early.read(timeout_s=0.01) == []
            writer = stream.writer()
            put(writer, 0, 2)
            assert [entry.position for entry in await take(early, 2)] == [0, 1]
            assert [entry.position for entry in await take(latest, 2)] == [0, 1]
            early.close()
            latest.close()
            writer.close()

        asyncio.run(main())

    def test_waiting_reader_gets_what_comes(self, stream, writer):
        async def main():
            readers = [stream.reader("earliest") for _ in range(3)]
            waiting = [asyncio.create_task(take(reader, 5)) for reader in readers]
            for n in range(5):
                await asyncio.sleep(0.01)
                put(writer, n, 1)
            for task in waiting:
                assert [entry.position for entry in await task] == [0, 1, 2, 3, 4]
            for reader in readers:
                reader.close()

        asyncio.run(main())

    def test_cancelled_read_loses_nothing(self, stream, writer):
        async def main():
            reader = stream.reader("earliest")
            waiting = asyncio.create_task(reader.read(timeout_s=60))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            put(writer, 0, 1)
            assert [entry.position for entry in await take(reader, 1)] == [0]
            reader.close()

        asyncio.run(main())

    def test_starts(self, stream, writer):
        async def main():
            put(writer, 0, 10)
            writer.sync()
            latest, third = stream.reader("latest"), stream.reader(3)
            assert await latest.read(timeout_s=0) == []
            put(writer, 10, 1)
            assert [entry.position for entry in await take(latest, 1)] == [10]
            assert [entry.position for entry in await take(third, 8)] == list(range(3, 11))
            assert third.next_position() == latest.next_position() == 11
            latest.close()
            third.close()

        asyncio.run(main())

    def test_durable_follows_sync(self, stream, writer):
        reader = stream.reader("earliest")
        put(writer, 0, 2)
        assert writer.unsynced_bytes > 0
        assert reader.durable_position() <= 2
        assert writer.sync() == writer.durable_position == 2
        assert writer.unsynced_bytes == 0
        assert reader.durable_position() == 2
        reader.close()

    def test_budget_is_kept_but_one_entry_always_comes(self, stream, writer):
        async def main():
            put(writer, 0, 6)
            writer.sync()
            reader = stream.reader("earliest")
            assert len(await reader.read(max_bytes=1, timeout_s=0)) == 1
            assert len(await reader.read(max_bytes=3 * ENTRY_BYTES, timeout_s=0)) in (2, 3)
            reader.close()

        asyncio.run(main())

    def test_writer_goes_on_after_reopening(self, stream, reopen):
        async def main():
            writer = stream.writer()
            put(writer, 0, 3)
            writer.close()
            reader = stream.reader("earliest")
            again = reopen().writer()
            assert put(again, 3, 2) == [3, 4]
            assert [entry.position for entry in await take(reader, 5)] == [0, 1, 2, 3, 4]
            assert (reader.skipped, reader.corrupt) == (0, 0)
            reader.close()
            again.close()

        asyncio.run(main())

    def test_cursors(self, stream, writer, reopen):
        put(writer, 0, 5)
        assert stream.cursor("record") is None
        stream.commit_cursor("record", 3)
        stream.commit_cursor("watch", 5)
        assert reopen().cursor("record") == 3
        stream.commit_cursor("record", 4)
        stream.commit_cursor("watch", 0)
        assert (reopen().cursor("record"), reopen().cursor("watch"), reopen().cursor("web")) == (4, 0, None)

    @pytest.mark.parametrize("name", ["", "../x", "A", "a b", "x" * 65, ".new"])
    def test_cursor_names_are_checked(self, stream, writer, name):
        with pytest.raises(ValueError, match="cursor"):
            stream.commit_cursor(name, 1)
        with pytest.raises(ValueError, match="cursor"):
            stream.cursor(name)

    def test_trim_by_size(self, stream, writer):
        async def main():
            put(writer, 0, 40)
            writer.sync()
            before = writer.size_bytes
            writer.trim(10 * ENTRY_BYTES, 1 << 60, ())
            assert writer.size_bytes < before
            reader = stream.reader("earliest")
            first = (await reader.read(max_bytes=1, timeout_s=0))[0].position
            assert 26 <= first <= 34
            assert reader.skipped == 0
            old = stream.reader(2)
            assert (await old.read(max_bytes=1, timeout_s=0))[0].position == first
            assert old.skipped == first - 2
            reader.close()
            old.close()
            assert put(writer, 40, 1) == [40]

        asyncio.run(main())

    def test_trim_by_age_of_arrival(self, stream, writer, set_now_us):
        async def main():
            day_us = 86_400_000_000
            put(writer, 0, 20, utc_us=10 * day_us)
            put(writer, 20, 20, utc_us=11 * day_us)
            writer.sync()
            set_now_us(11 * day_us)
            writer.trim(1 << 40, day_us, ())
            assert await self.first_position(stream) == 0
            set_now_us(11 * day_us + 1)
            writer.trim(1 << 40, day_us, ())
            assert 16 <= await self.first_position(stream) <= 20
            set_now_us(30 * day_us)
            writer.trim(1 << 40, day_us, ())
            assert await self.first_position(stream) >= 36

        asyncio.run(main())

    def test_trim_never_passes_a_named_cursor(self, stream, writer):
        async def main():
            put(writer, 0, 40)
            writer.sync()
            writer.trim(0, 0, ("record",))
            assert await self.first_position(stream) == 0
            stream.commit_cursor("record", 22)
            stream.commit_cursor("watch", 39)
            writer.trim(0, 0, ("record", "watch"))
            assert 16 <= await self.first_position(stream) <= 22
            writer.trim(0, 0, ("watch",))
            assert 30 <= await self.first_position(stream) <= 39
            assert writer.size_bytes > 0

        asyncio.run(main())

    async def first_position(self, stream):
        reader = stream.reader("earliest")
        entries = await reader.read(max_bytes=1, timeout_s=0)
        reader.close()
        return entries[0].position
