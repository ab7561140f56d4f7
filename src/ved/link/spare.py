"""A second connection, dialled while the first is in doubt: the first goes only when the second stands.

The way is in doubt when nothing arrives for half the watchdog's time, or when this machine would use another address
of its own now. Where the first comes back to life meanwhile it stays, and the second is let go.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.client import ClientConnection

from ved.errors import LinkLostError, LinkRefusedError
from ved.link.connection import LinkConnection
from ved.link.ways import WayWatch, local_address

PAUSE_S: Final = 2.0
"""After a try that was not needed or did not work."""


class Spare:
    """Belongs to one lane, whose connections come one after the other."""

    def __init__(self, dial: Callable[[], Awaitable[ClientConnection]]) -> None:
        self._dial = dial
        self._dialling: asyncio.Future[ClientConnection] | None = None

    async def take(self) -> ClientConnection:
        """The connection that stands or is being dialled, else one dialled now. LinkLostError or LinkRefusedError."""
        dialling, self._dialling = self._dialling or asyncio.ensure_future(self._dial()), None
        try:
            return await dialling
        except asyncio.CancelledError:
            _let_go(dialling)
            raise

    async def watch(self, connection: LinkConnection) -> None:
        """Until cancelled; LinkLostError when another connection stands that `connection` should make way for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_hear_of_ways(connection))
            while True:
                await connection.watchdog.in_doubt.wait()
                if await self._try_another(connection):
                    raise LinkLostError("another connection stands, and this one was silent")
                await asyncio.sleep(PAUSE_S)

    async def _try_another(self, connection: LinkConnection) -> bool:
        """True when one stands and is better; it is kept for `take`, and so is one that is still being dialled."""
        if self._dialling is None:
            self._dialling = asyncio.ensure_future(self._dial())
        try:
            await asyncio.shield(self._dialling)
        except (LinkLostError, LinkRefusedError):
            self._dialling = None
            return False
        if connection.watchdog.in_doubt.is_set():
            return True
        self.close()
        return False

    def close(self) -> None:
        """Let go of what stands or is being dialled."""
        if self._dialling is not None:
            _let_go(self._dialling)
            self._dialling = None


async def _hear_of_ways(connection: LinkConnection) -> None:
    """Tell the connection by which own address its server would be reached, whenever that may have changed."""
    watch = WayWatch()
    try:
        while True:
            connection.watchdog.note_way(local_address(connection.server_address))
            await watch.changed()
    finally:
        watch.close()


def _let_go(dialling: "asyncio.Future[ClientConnection]") -> None:
    def close(done: "asyncio.Future[ClientConnection]") -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().transport.abort()

    dialling.cancel()
    dialling.add_done_callback(close)
