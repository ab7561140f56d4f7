"""The raw trace: what the wire says id by id, kept for a vehicle only while somebody looks at it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from ved.analysis.rawtrace import RawTrace, TraceKey
from ved.dbc.definitions import pgn
from ved.dbc.load import DbcSet
from ved.model.frames import FrameBatch
from ved.web import messages
from ved.web.clock import monotonic_us, utc_us
from ved.web.vehicle import VehicleFeed

INTERVAL_S: Final = 0.2
GOING_AWAY: Final = 1001

_Place = tuple[int | None, int, bool]


class Traces:
    """The traces of all vehicles that somebody looks at; used on the event loop only."""

    def __init__(self) -> None:
        self._traces: dict[str, RawTrace] = {}
        self._viewers: dict[str, int] = {}

    def open(self, vehicle: str) -> RawTrace:
        """One more looks at the vehicle; the first finds it empty."""
        self._viewers[vehicle] = self._viewers.get(vehicle, 0) + 1
        return self._traces.setdefault(vehicle, RawTrace())

    def close(self, vehicle: str) -> None:
        """One less; the last takes the trace away."""
        self._viewers[vehicle] -= 1
        if not self._viewers[vehicle]:
            del self._viewers[vehicle], self._traces[vehicle]

    def take(self, vehicle: str, batches: Sequence[FrameBatch]) -> None:
        """Frames that came live."""
        trace = self._traces.get(vehicle)
        if trace is not None:
            now_us = monotonic_us()
            for batch in batches:
                trace.take(batch.frames, now_us)


async def send_trace(socket: WebSocket, traces: Traces, feed: VehicleFeed, closing: asyncio.Event) -> None:
    """Send snapshots, up to five a second, until the page goes away or `closing`. A slow page gets fewer."""
    trace = traces.open(feed.name)
    names = _Names()
    told: list[Any] | None = None
    gone = asyncio.create_task(_wait_gone(socket))
    try:
        while not gone.done() and not closing.is_set():
            rows = _rows(trace, feed, names)
            if rows != told:
                told = rows
                text = {"type": "trace", "vehicle": feed.name, "rows": rows, "left_out": trace.left_out}
                await socket.send_text(messages.to_text(text))
            await asyncio.wait((gone,), timeout=INTERVAL_S)
        if not gone.done():
            await socket.close(GOING_AWAY)
    except (WebSocketDisconnect, WebSocketDisconnected):
        return
    finally:
        gone.cancel()
        traces.close(feed.name)


async def _wait_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _rows(trace: RawTrace, feed: VehicleFeed, names: "_Names") -> list[Any]:
    """See docs/spec/live.md: bus, id, is extended, frames, per second, payload, changed bits, message."""
    now_us = monotonic_us()
    names.use(_definitions(feed))
    out = []
    for key, row in sorted(trace.rows.items()):
        rate, changed = row.recent(now_us)
        said = (row.frames, round(rate, 1), row.payload.hex(), changed.hex(), names.of(key))
        out.append([key.bus, key.arbitration_id, key.is_extended, *said])
    return out


def _definitions(feed: VehicleFeed) -> DbcSet | None:
    """Those of the live edge; without a clock, those of now for the newest epoch."""
    if feed.decoder is not None:
        return feed.decoder.dbc_set
    newest = next(reversed(feed.epochs.values()), None)
    return None if newest is None else newest.decoding.at(utc_us()).dbc_set


class _Names:
    """Messages by the frames that they stand for."""

    def __init__(self) -> None:
        self._set: DbcSet | None = None
        self._by_id: dict[_Place, str] = {}
        self._by_group: dict[tuple[int | None, int], str] = {}

    def use(self, dbc_set: DbcSet | None) -> None:
        """From now on these messages count."""
        if dbc_set is self._set:
            return
        self._set = dbc_set
        messages_of = () if dbc_set is None else dbc_set.messages
        self._by_id = {(one.bus, one.arbitration_id, one.is_extended): one.name for one in messages_of}
        self._by_group = {(one.bus, one.group): one.name for one in messages_of if one.group is not None}

    def of(self, key: TraceKey) -> str:
        """The name of the frame's message, or nothing."""
        for bus in (key.bus, None):
            name = self._by_id.get((bus, key.arbitration_id, key.is_extended))
            if name is None and key.is_extended:
                name = self._by_group.get((bus, pgn(key.arbitration_id)))
            if name is not None:
                return name
        return ""
