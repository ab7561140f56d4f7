import asyncio
import json

from ved.web.outbox import AHEAD_BYTES, Outbox


async def drain(box: Outbox) -> list[str | bytes]:
    out = []
    while True:
        try:
            out.append(await asyncio.wait_for(box.take(), 0.02))
        except TimeoutError:
            return out


def run(coroutine):
    return asyncio.run(coroutine)


def test_in_order():
    async def go():
        box = Outbox()
        box.put_answer("a")
        box.put_history(1, b"h")
        box.put_increment(1, b"i", 0, 1)
        return await drain(box)

    assert run(go()) == ["a", b"h", b"i"]


def test_full_drops_the_oldest_increments_and_tells():
    async def go():
        box = Outbox(max_increments=2)
        box.put_answer("a")
        for k in range(5):
            box.put_increment(k % 2, bytes([k]), 10 * k, 10 * k + 5)
        return await drain(box), box.missed_total

    sent, missed_total = run(go())
    told = [json.loads(one) for one in sent if isinstance(one, str) and one.startswith("{")]
    assert {(one["id"], one["messages"], one["from_utc_us"], one["to_utc_us"]) for one in told} == {
        (0, 2, 0, 25),
        (1, 1, 10, 15),
    }
    assert [one for one in sent if isinstance(one, bytes)] == [b"\x03", b"\x04"]
    assert "a" in sent
    assert missed_total == 3


def test_bytes_bound_it_too():
    async def go():
        box = Outbox(max_increment_bytes=10)
        for k in range(4):
            box.put_increment(1, bytes([k]) * 5, k, k)
        return [one for one in await drain(box) if isinstance(one, bytes)]

    assert run(go()) == [b"\x02" * 5, b"\x03" * 5]


def test_missed_comes_before_what_follows_it():
    async def go():
        box = Outbox(max_increments=1)
        box.put_increment(1, b"x", 0, 1)
        box.put_increment(1, b"y", 2, 3)
        return await drain(box)

    told, data = run(go())
    assert json.loads(told)["type"] == "missed"
    assert data == b"y"


def test_only_the_newest_state_of_a_vehicle_waits():
    async def go():
        box = Outbox()
        for k in range(100):
            box.put_state("fs", f"s{k}")
        box.put_state("pe", "p")
        first = await drain(box)
        box.put_state("fs", "again")
        return first, await drain(box)

    assert run(go()) == (["s99", "p"], ["again"])


def test_a_viewer_that_never_reads_holds_no_more_than_the_bounds():
    async def go():
        box = Outbox(max_increments=8)
        for k in range(10_000):
            box.put_increment(1, b"12345678", k, k)
            box.put_state("fs", str(k))
        return len(box._items)

    assert run(go()) <= 3 * 8


def test_forget_takes_all_of_a_subscription_and_nothing_else():
    async def go():
        box = Outbox(max_increments=2)
        box.put_answer("watching 1", 1)
        box.put_history(1, b"h1")
        box.put_history(2, b"h2")
        for k in range(3):
            box.put_increment(1, b"i1", k, k)
        box.put_increment(2, b"i2", 0, 0)
        box.forget(1)
        return await drain(box)

    assert run(go()) == [b"h2", b"i2"]


def test_history_waits_for_room():
    async def go():
        box = Outbox()
        box.put_history(1, bytes(AHEAD_BYTES))
        waiting = asyncio.create_task(box.room())
        await asyncio.sleep(0)
        was_waiting = not waiting.done()
        await box.take()
        await waiting
        return was_waiting

    assert run(go())


def test_forget_gives_room():
    async def go():
        box = Outbox()
        box.put_history(1, bytes(AHEAD_BYTES))
        box.forget(1)
        await box.room()
        return True

    assert run(go())


def test_increments_and_states_come_between_the_parts_of_a_long_history():
    """However slow the reader is: what waits before an increment is bounded, and nothing is missed."""

    async def go():
        box = Outbox(max_increments=8)

        async def bring() -> None:
            for _ in range(100):
                await box.room()
                box.put_history(1, bytes(16_384))

        bringing = asyncio.create_task(bring())
        before, longest, sent = 0, 0, 0
        while sent < 100:
            await asyncio.sleep(0)
            if sent % 3 == 0:  # while one of these is under way, another increment is made
                box.put_increment(1, b"i", sent, sent)
                box.put_state("fs", "s")
            data = await asyncio.wait_for(box.take(), 10)
            sent += len(data) == 16_384
            before = before + len(data) if len(data) > 1 else 0
            longest = max(longest, before)
        await bringing
        return longest, box.missed_total

    longest, missed_total = run(go())
    assert longest <= 100_000
    assert missed_total == 0
