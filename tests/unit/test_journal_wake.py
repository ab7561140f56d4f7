import asyncio
import subprocess
import sys

import pytest

from ved.journal import notify, wake
from ved.journal.journal import Journal
from ved.journal.wake import WakeListener

needs_sockets = pytest.mark.skipif(not notify.has_sockets(), reason="needs Unix datagram sockets")


def sockets(path):
    return sorted((path / "wake").iterdir())


@needs_sockets
def test_append_and_sync_wake_a_waiter(tmp_path):
    async def main():
        listener = WakeListener(tmp_path)
        journal = Journal.open(tmp_path)
        assert not await listener.wait(0.01)
        waiting = asyncio.create_task(listener.wait(60))
        await asyncio.sleep(0)
        journal.append(b"x")
        assert await waiting
        assert not await listener.wait(0.01)
        journal.sync()
        assert await listener.wait(60)
        listener.close()
        journal.close()

    asyncio.run(main())
    assert sockets(tmp_path) == []


@needs_sockets
def test_many_appends_are_one_wake(tmp_path):
    async def main():
        listener = WakeListener(tmp_path)
        journal = Journal.open(tmp_path)
        for _ in range(2000):
            journal.append(b"x")
        assert await listener.wait(60)
        assert not await listener.wait(0.01)
        listener.close()
        journal.close()

    asyncio.run(main())


@needs_sockets
def test_drain_forgets_what_came(tmp_path):
    async def main():
        listener = WakeListener(tmp_path)
        journal = Journal.open(tmp_path)
        journal.append(b"x")
        listener.drain()
        assert not await listener.wait(0.01)
        listener.close()
        journal.close()

    asyncio.run(main())


@needs_sockets
def test_socket_of_a_dead_reader_is_removed(tmp_path):
    listener = WakeListener(tmp_path)
    listener._socket.close()
    listener._socket = None
    assert len(sockets(tmp_path)) == 1
    journal = Journal.open(tmp_path)
    journal.append(b"x")
    assert sockets(tmp_path) == []
    journal.close()


@needs_sockets
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reaches sockets below long paths")
def test_long_paths_work(tmp_path):
    path = tmp_path / ("long" * 40)

    async def main():
        listener = WakeListener(path)
        assert listener.fileno() >= 0
        journal = Journal.open(path)
        journal.append(b"x")
        assert await listener.wait(60)
        listener.close()
        journal.close()

    asyncio.run(main())
    assert sockets(path) == []


def test_without_sockets_the_waiter_polls(tmp_path, monkeypatch):
    monkeypatch.setattr(wake, "has_sockets", lambda: False)

    async def main():
        listener = WakeListener(tmp_path)
        assert listener.fileno() == -1
        assert await listener.wait(60)
        assert not await listener.wait(0.01)
        listener.drain()
        listener.close()

    asyncio.run(main())


def test_a_file_in_the_way_means_polling(tmp_path):
    (tmp_path / "wake").write_text("")
    listener = WakeListener(tmp_path)
    assert listener.fileno() == -1
    listener.close()
    journal = Journal.open(tmp_path)
    assert journal.append(b"x") == 0
    journal.close()


def test_the_writer_stays_light():
    """It runs on a small board on the car: no heavy import may creep in."""
    code = "import sys, ved.journal.journal, ved.journal.sync; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "google_crc32c" in loaded
    assert not loaded & {"asyncio", "numba", "numpy", "pyarrow", "pydantic", "cantools", "sqlalchemy"}
