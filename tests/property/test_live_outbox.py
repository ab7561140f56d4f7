"""However an outbox is fed and emptied: each increment is delivered in order, or told as missed."""

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.web.outbox import Outbox

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("increment"), st.integers(0, 2)),
        st.tuples(st.just("history"), st.integers(0, 2)),
        st.tuples(st.just("state"), st.integers(0, 1)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 2)),
        st.tuples(st.just("take"), st.integers(1, 4)),
    ),
    max_size=80,
)


class Viewer:
    """Knows what was put into its outbox, and what came out."""

    def __init__(self, box: Outbox) -> None:
        self.box = box
        self.put: dict[int, list[int]] = {0: [], 1: [], 2: []}
        self.delivered: dict[int, list[int]] = {0: [], 1: [], 2: []}
        self.missed = {0: 0, 1: 0, 2: 0}
        self.last_state: dict[str, str] = {}
        self.seen_state: dict[str, str] = {}

    async def do(self, number: int, what: str, value: int) -> None:
        name = bytes([value]) + number.to_bytes(4, "big")
        if what == "increment":
            self.put[value].append(number)
            self.box.put_increment(value, b"i" + name, number, number)
        elif what == "history":
            self.box.put_history(value, b"h" + name)
        elif what == "state":
            self.last_state[str(value)] = f"s{value} {number}"
            self.box.put_state(str(value), self.last_state[str(value)])
        elif what == "answer":
            self.box.put_answer("a")
        elif what == "forget":
            self.box.forget(value)
            self.put[value], self.delivered[value], self.missed[value] = [], [], 0
        else:
            for _ in range(value):
                await self.take()

    async def take(self) -> bool:
        if not any(item.data is not None for item in self.box._items):
            return False
        got = await asyncio.wait_for(self.box.take(), 5)
        if isinstance(got, bytes):
            if got[:1] == b"i":
                self.delivered[got[1]].append(int.from_bytes(got[2:6], "big"))
        elif got.startswith("s"):
            self.seen_state[got[1]] = got
        elif got.startswith("{"):
            told = json.loads(got)
            assert told["messages"] > 0
            assert told["from_utc_us"] <= told["to_utc_us"]
            self.missed[told["id"]] += told["messages"]
        return True


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 5), st.integers(16, 60))
def test_delivered_or_told(steps, max_increments, max_bytes):
    async def go() -> Viewer:
        viewer = Viewer(Outbox(max_increments, max_bytes))
        for number, (what, value) in enumerate(steps):
            await viewer.do(number, what, value)
            assert len(viewer.box._increments) <= max_increments
        while await viewer.take():
            pass
        return viewer

    viewer = asyncio.run(go())
    assert viewer.seen_state == viewer.last_state
    for subscription, numbers in viewer.put.items():
        delivered = viewer.delivered[subscription]
        assert delivered == sorted(delivered)
        assert set(delivered) <= set(numbers)
        assert len(delivered) + viewer.missed[subscription] == len(numbers)
    assert viewer.box._increment_bytes == 0
    assert viewer.box._ahead_bytes == 0
