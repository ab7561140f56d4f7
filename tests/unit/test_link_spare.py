"""Another connection beside one that is in doubt: who stays, and that nothing is left open."""

import asyncio
import struct
import subprocess
import sys

import pytest

from ved.errors import LinkLostError
from ved.link import spare as spare_module
from ved.link.spare import Spare
from ved.link.tcpprogress import TcpProgress
from ved.link.ways import local_address


class Socket:
    """Stands for a dialled WebSocket."""

    def __init__(self) -> None:
        self.is_open = True
        self.transport = self

    def abort(self) -> None:
        self.is_open = False


class Connection:
    """Stands for the lane's connection."""

    server_address = ("127.0.0.1", 9)

    def __init__(self) -> None:
        self.watchdog = self
        self.in_doubt = asyncio.Event()
        self.ways: list[str | None] = []

    def note_way(self, own_address: str | None) -> None:
        self.ways.append(own_address)


class Dial:
    """Each call gives a socket once the test lets it."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[Socket]] = []

    async def __call__(self) -> Socket:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]


async def called(dial: Dial, times: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(dial.calls) < times:
            await asyncio.sleep(0)


async def _in_doubt_until_another_stands() -> None:
    dial, connection, socket = Dial(), Connection(), Socket()
    spare = Spare(dial)
    watching = asyncio.create_task(spare.watch(connection))
    await asyncio.sleep(0)
    assert not dial.calls
    connection.in_doubt.set()
    await called(dial)
    assert not watching.done()
    dial.calls[0].set_result(socket)
    with pytest.raises(ExceptionGroup) as caught:
        await watching
    assert caught.group_contains(LinkLostError)
    assert await spare.take() is socket
    assert socket.is_open
    assert connection.ways == ["127.0.0.1"]


async def _alive_again() -> None:
    dial, connection, socket = Dial(), Connection(), Socket()
    spare = Spare(dial)
    watching = asyncio.create_task(spare.watch(connection))
    for number in (1, 2):
        connection.in_doubt.set()
        await called(dial, number)
        connection.in_doubt.clear()
        socket = Socket()
        dial.calls[-1].set_result(socket)
        async with asyncio.timeout(5):
            while socket.is_open:
                await asyncio.sleep(0)
        assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])


async def _the_watchdog_is_faster() -> None:
    dial, connection, socket = Dial(), Connection(), Socket()
    spare = Spare(dial)
    watching = asyncio.create_task(spare.watch(connection))
    connection.in_doubt.set()
    await called(dial)
    watching.cancel()
    await asyncio.wait([watching])
    taking = asyncio.create_task(spare.take())
    await asyncio.sleep(0)
    dial.calls[0].set_result(socket)
    assert await taking is socket
    assert len(dial.calls) == 1
    dropped = asyncio.create_task(spare.take())
    await called(dial, 2)
    dropped.cancel()
    await asyncio.wait([dropped])
    assert dial.calls[1].cancelled()


async def _a_dial_fails() -> None:
    dial, connection = Dial(), Connection()
    spare = Spare(dial)
    watching = asyncio.create_task(spare.watch(connection))
    connection.in_doubt.set()
    await called(dial)
    dial.calls[0].set_exception(LinkLostError("nobody answers"))
    await called(dial, 2)
    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])
    spare.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dial.calls[1].cancelled()


@pytest.mark.parametrize(
    "story", [_in_doubt_until_another_stands, _alive_again, _the_watchdog_is_faster, _a_dial_fails]
)
def test_another_connection(story, monkeypatch):
    monkeypatch.setattr(spare_module, "PAUSE_S", 0.0)
    asyncio.run(story())


class Kernel:
    """Stands for a socket whose tcp_info a test writes."""

    def __init__(self) -> None:
        self.acked, self.unacked, self.probes, self.size = 0, 0, 0, 148

    def getsockopt(self, *_: int) -> bytes:
        info = bytearray(148)
        info[3] = self.probes
        struct.pack_into("<I", info, 24, self.unacked)
        struct.pack_into("<Q", info, 120, self.acked)
        return bytes(info[: self.size])


def test_a_machine_that_acknowledges_is_alive():
    kernel = Kernel()
    progress = TcpProgress(kernel)
    progress.look(1.0)
    assert progress.alive_s == 1.0  # nothing is on its way
    kernel.unacked = 2
    progress.look(2.0)
    assert progress.alive_s == 1.0
    kernel.acked = 500
    progress.look(3.0)
    assert progress.alive_s == 3.0  # not all arrived, but more than before
    progress.look(4.0)
    assert progress.alive_s == 3.0
    kernel.unacked = 0
    progress.look(5.0)
    assert progress.alive_s == 5.0
    kernel.probes = 2  # its window is full, and it does not answer
    progress.look(6.0)
    assert progress.alive_s == 5.0
    kernel.probes, kernel.size = 0, 104  # an old kernel
    progress.look(7.0)
    assert progress.alive_s == 5.0
    nowhere = TcpProgress(None)
    nowhere.look(8.0)
    assert nowhere.alive_s == 0.0


def test_the_own_address_is_that_of_the_way():
    assert local_address(("127.0.0.1", 9)) == "127.0.0.1"


_HEAR = """
import asyncio, subprocess
from ved.link.ways import WayWatch, local_address

async def main():
    watch = WayWatch()
    assert local_address(("127.0.0.1", 9)) is None
    hearing = asyncio.create_task(watch.changed())
    done, _ = await asyncio.wait([hearing], timeout=0.2)
    assert not done
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    await asyncio.wait_for(hearing, 10)
    assert local_address(("127.0.0.1", 9)) == "127.0.0.1"
    watch.close()

asyncio.run(main())
"""


def test_a_new_address_is_heard_of():
    inside = ["unshare", "--net", "--map-root-user"]
    try:
        subprocess.run([*inside, "ip", "link"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    subprocess.run([*inside, sys.executable, "-c", _HEAR], check=True)
