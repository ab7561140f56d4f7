"""The car's card refuses writes: the agent as the command runs it, with its status file and watchdog, goes on live."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.torture.disks import LoopDisk, fill, loop_disk, why_not

from ved.agent import state
from ved.agent.state import in_memory
from ved.broker.open import open_journal
from ved.canbus.merged import MergedSource
from ved.canbus.socketcan import SocketCanReader
from ved.cli import car as program
from ved.cli.carsources import CarSources
from ved.codec.records import decode_record
from ved.config.vehicle import load_vehicle
from ved.errors import StorageError
from ved.model.frames import FrameBatch
from ved.model.records import Loss, LossPlace

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from canbus_helpers import UdpBus, numbered
from link_helpers import Site

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

TOML = """name = "fs"
title_en = "Car"
title_fr = "Voiture"
[[bus]]
index = 0
name = "main"
bitrate_hz = 500000
"""
MORE = 3
"""So many more words to the watchdog must come after the fault, and so many times ten frames."""


class Board:
    """A card with the agent's state, a bus, a server, and the service manager's socket."""

    def __init__(self, folder: Path, card: LoopDisk) -> None:
        (folder / "vehicle.toml").write_text(TOML)
        self.car = load_vehicle(folder)
        self.card, self.state = card, card.path / "state"
        self.site = Site(folder / "data")
        self.site.prepare("fs")
        self.bus = UdpBus()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.manager.bind(str(folder / "notify"))
        self.words = 0
        self.stored: list[int] = []
        self.sent = self.read_to = 0

    @contextlib.asynccontextmanager
    async def driving(self, *, is_broken: bool = False, is_killed: bool = False) -> AsyncIterator[None]:
        """The agent on the car, frames on its bus; ended by a signal. `is_broken`: the card spoils the end."""
        sources = CarSources(MergedSource([SocketCanReader(0, "udp0", self.bus.open_socket)]))
        tasks = [asyncio.create_task(self._transmit()), asyncio.create_task(self._follow())]
        agent = asyncio.create_task(program.drive_car(self.car, sources, self.state, 0.01))
        try:
            yield
            assert not agent.done(), agent.exception()
            if is_killed:
                return
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(StorageError) if is_broken else contextlib.nullcontext():
                await agent
        finally:
            for task in (*tasks, agent):
                task.cancel()
            await asyncio.gather(*tasks, agent, return_exceptions=True)

    async def goes_on(self) -> None:
        """The watchdog is fed and new frames are stored at the server."""
        words, stored, sent = self.words, len(self.stored), self.sent
        async with asyncio.timeout(20):
            while self.words < words + MORE or len(self.stored) < stored + 10 * MORE or self.stored[-1] < sent:
                await asyncio.sleep(0.02)
                try:
                    self.words += self.manager.recv(500).startswith(b"WATCHDOG=1\n")
                except BlockingIOError:
                    continue

    def tells(self, capsys: pytest.CaptureFixture[str], *, is_troubled: bool) -> None:
        """What `ved agent status` says."""
        program.print_status(self.state, as_json=False)
        told = capsys.readouterr().out
        assert told.startswith("fs: connected"), told
        assert ("trouble: " in told) == is_troubled, told

    async def _transmit(self) -> None:
        while True:
            self.bus.transmit([numbered(self.sent)])
            self.sent += 1
            await asyncio.sleep(0.005)

    async def _follow(self) -> None:
        with contextlib.closing(open_journal(self.site.data, "frames").reader(self.read_to)) as reader:
            while True:
                for entry in await reader.read(timeout_s=0.1):
                    record = decode_record(entry.record)
                    if isinstance(record, FrameBatch):
                        self.stored += record.frames.payload.copy().view("<u8").ravel().tolist()
                    self.read_to = entry.position + 1


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setattr(program, "TELL_S", 0.1)
    with loop_disk(tmp_path, "card", 16 << 20) as card:
        board = Board(tmp_path, card)
        try:
            yield board
        finally:
            board.bus.close()
            board.manager.close()
            shutil.rmtree(in_memory(board.state), ignore_errors=True)


def turn_read_only(card: LoopDisk) -> None:
    """What the kernel does of itself when it finds an error in ext4, while files are open."""
    device = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(card.path)], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["mount", "-o", "remount,errors=remount-ro", str(card.path)], check=True)
    Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("a test")
    with pytest.raises(OSError, match="Read-only"):
        (card.path / "x").write_text("")


def run_full(card: LoopDisk) -> None:
    """Something else takes all the room."""
    fill(card.path)


def go_dead(card: LoopDisk) -> None:
    """Every access is an I/O error."""
    card.cut_power()


SLOW = pytest.mark.slow


@pytest.mark.parametrize("hurt", [turn_read_only, *(pytest.param(one, marks=SLOW) for one in (run_full, go_dead))])
def test_the_card_refuses_while_the_agent_runs(board: Board, hurt: Callable[[LoopDisk], None], capsys) -> None:
    async def go() -> None:
        async with board.site.serving():
            board.site.enrol_here(board.state)
            async with board.driving(is_broken=hurt is not run_full):
                await board.goes_on()
                hurt(board.card)
                await board.goes_on()
                board.tells(capsys, is_troubled=True)

    asyncio.run(go())
    assert board.stored == sorted(set(board.stored))


@pytest.mark.parametrize("hurt", [turn_read_only, pytest.param(run_full, marks=SLOW)])
def test_the_agent_starts_on_a_card_that_refuses(board: Board, hurt: Callable[[LoopDisk], None], capsys) -> None:
    """Two starts: the first without a journal on the card, the second after a kill."""

    async def go() -> None:
        async with board.site.serving():
            board.site.enrol_here(board.state)
            hurt(board.card)
            async with board.driving(is_killed=True):
                await board.goes_on()
                board.tells(capsys, is_troubled=True)
            async with board.driving():
                await board.goes_on()

    asyncio.run(go())
    assert len(set(board.stored)) == len(board.stored)
    losses = [one for one in board.site.records() if isinstance(one, Loss)]
    assert [loss.place for loss in losses] == [LossPlace.CAR_CRASH]


@pytest.mark.slow
def test_a_card_with_a_journal_is_full_at_the_start(board: Board, capsys) -> None:
    """What the life before lost cannot be declared yet; the next start with room does so, once."""

    async def go() -> None:
        async with board.site.serving():
            board.site.enrol_here(board.state)
            async with board.driving(is_killed=True):
                await board.goes_on()
            ballast = fill(board.card.path)
            async with board.driving():
                await board.goes_on()
            assert not in_memory(board.state).joinpath("journal").exists()
            ballast.unlink()
            async with board.driving():
                await board.goes_on()
                board.tells(capsys, is_troubled=False)

    asyncio.run(go())
    assert len(set(board.stored)) == len(board.stored)
    losses = [one for one in board.site.records() if isinstance(one, Loss)]
    assert [loss.place for loss in losses] == [LossPlace.CAR_CRASH]


@pytest.mark.slow
def test_a_card_that_stands_still_holds_up_neither_frames_nor_watchdog(board: Board) -> None:
    def thaw() -> None:
        subprocess.run(["fsfreeze", "-u", str(board.card.path)], check=False)

    async def go() -> None:
        async with board.site.serving():
            board.site.enrol_here(board.state)
            async with board.driving():
                await board.goes_on()
                with board.card.stalled():
                    thawing = threading.Timer(15, thaw)  # a loop that is held up ends no timeout
                    thawing.start()
                    await asyncio.sleep(1)
                    await board.goes_on()
                    thawing.cancel()

    asyncio.run(go())


def test_another_users_folder_in_memory_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MEMORY", tmp_path)
    folder = in_memory(Path("/car"))
    folder.symlink_to("/")
    with pytest.raises(StorageError):
        state.make_folder(folder)
    folder.unlink()
    state.make_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    os.chown(folder, 12345, -1)
    with pytest.raises(StorageError, match="somebody else's"):
        state.make_folder(folder)
