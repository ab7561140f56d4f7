"""A TCP relay in front of the server that behaves like a radio link: delay, jitter, rate, stalls and cuts, seeded.

It carries a byte stream, so order is kept and nothing is dropped. What a real link loses TCP sends again: here that is
a stall. It cannot show how TCP itself finds its rate on a link that drops packets.
"""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any, Final

from ved.loadtest.profiles import LinkProfile

CHUNK_BYTES: Final = 1400
QUEUE_CHUNKS: Final = 64
"""About 90 kB wait in each direction; then the sender is held back, as by a modem."""


class Relay:
    """One car's link. All methods belong to one event loop; enter it to open its `port` on 127.0.0.1."""

    def __init__(self, profile: LinkProfile, host: str, port: int, seed: str) -> None:
        self._profile = profile
        self._target = (host, port)
        self._random = random.Random(seed)
        self._open_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._away = asyncio.Event()
        self.cuts = 0
        self.port = 0

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._profile.stall_every_s:
            self._start(self._stall())
        if self._profile.cut_every_s:
            self._start(self._cut())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._away.is_set():
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target, limit=CHUNK_BYTES)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        if self._away.is_set():  # cut while it was being opened
            self._abort()
            return
        self._start(self._pass(reader, up_writer))
        self._start(self._pass(up_reader, writer))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction: read, and deliver each chunk when its time has come."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE_CHUNKS)
        delivering = asyncio.create_task(self._deliver(queue, sink))
        try:
            await self._read(source, queue)
            await queue.join()
        except OSError:
            pass  # cut
        finally:
            delivering.cancel()
            sink.close()
            self._writers.discard(sink)

    async def _read(self, source: asyncio.StreamReader, queue: "asyncio.Queue[tuple[float, bytes]]") -> None:
        loop, profile = asyncio.get_running_loop(), self._profile
        free_s = due_s = 0.0
        while data := await source.read(CHUNK_BYTES):
            free_s = max(free_s, loop.time()) + (len(data) / profile.rate if profile.rate else 0.0)
            way_s = profile.delay_s + self._random.random() * profile.jitter_s
            due_s = max(due_s, free_s + way_s)
            await queue.put((due_s, data))

    async def _deliver(self, queue: "asyncio.Queue[tuple[float, bytes]]", sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await queue.get()
            while (wait_s := max(due_s, self._open_s) - loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait_s)  # and a stall may begin meanwhile
            with contextlib.suppress(OSError):
                sink.write(data)
                await sink.drain()
            queue.task_done()

    async def _stall(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._profile.stall_every_s))
            lasts_s = self._random.uniform(*self._profile.stall_s)
            self._open_s = asyncio.get_running_loop().time() + lasts_s
            await asyncio.sleep(lasts_s)

    async def _cut(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._profile.cut_every_s))
            self.cuts += 1
            self._away.set()
            self._abort()
            await asyncio.sleep(self._random.uniform(*self._profile.away_s))
            self._away.clear()
