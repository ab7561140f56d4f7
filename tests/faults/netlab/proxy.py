"""A TCP proxy for link faults that need no root: cut, stall, half-open, one deaf direction, and a pace.

It runs in a thread of its own with an event loop of its own, so tests call it from ordinary code. Unlike the network
lab it ends TCP on both sides: what TCP itself does about loss is not tested by it.
"""

import asyncio
import threading
from dataclasses import dataclass
from types import TracebackType

_CHUNK = 16 << 10
_POLL_S = 0.01


@dataclass
class ProxyCounts:
    """`stalled_bytes`: taken from a side and kept back for a while; `swallowed_bytes`: taken and thrown away."""

    accepted: int = 0
    refused: int = 0
    cut: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    stalled_bytes: int = 0
    swallowed_bytes: int = 0


class Proxy:
    """Listens on 127.0.0.1:`port` and forwards to 127.0.0.1:`target`, which may change while it runs.

    `is_closed`: new connections are cut at once. `is_stalled`: nothing passes, nobody is told (a dead zone).
    `is_deaf`: what the server says is swallowed. `up_bytes_per_s` paces the way up (0: no limit).
    """

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.port = 0
        self.is_closed = False
        self.is_stalled = False
        self.is_deaf = False
        self.up_bytes_per_s = 0.0
        self.counts = ProxyCounts()
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection now."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in self._writers:
            self.counts.cut += 1
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            self.counts.refused += 1
            writer.transport.abort()
            return
        self.counts.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        for source, sink, is_up in ((reader, up_writer, True), (up_reader, writer, False)):
            task = asyncio.create_task(self._pipe(source, sink, is_up=is_up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_up: bool) -> None:
        try:
            while data := await source.read(_CHUNK):
                if self.is_stalled:
                    self.counts.stalled_bytes += len(data)
                while self.is_stalled:
                    await asyncio.sleep(_POLL_S)
                if not is_up and self.is_deaf:
                    self.counts.swallowed_bytes += len(data)
                    continue
                if is_up and self.up_bytes_per_s:
                    await asyncio.sleep(len(data) / self.up_bytes_per_s)
                sink.write(data)
                await sink.drain()
                if is_up:
                    self.counts.up_bytes += len(data)
                else:
                    self.counts.down_bytes += len(data)
        except OSError:
            pass
        finally:
            sink.close()
            self._writers.discard(sink)
