"""socketcand and candump text over TCP, against small servers that speak them, and python-can's reading beside ours."""

import socket
import sys
import threading
import time
from pathlib import Path

import can
import numpy as np

from ved.canbus.network import streams
from ved.model.frames import FrameFlag
from ved.model.records import LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from ways_helpers import Reading


class Daemon:
    """A TCP server on a port of its own. `is_socketcand`: greets and lets in as doc/protocol.md has it."""

    def __init__(self, *, is_socketcand: bool, buses: tuple[str, ...] = ("can0",), port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._is_socketcand, self._buses = is_socketcand, buses
        self.clients: list[socket.socket] = []
        self.said = b""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_socketcand:
                client.settimeout(5)
                if not self._greet(client):
                    client.close()
                    continue
            self.clients.append(client)

    def _greet(self, client: socket.socket) -> bool:
        client.sendall(b"< hi >")
        for answers in ([f"< open {bus} >".encode() for bus in self._buses], [b"< rawmode >"]):
            heard = b""
            while not heard.endswith(b">"):
                try:
                    piece = client.recv(100)
                except OSError:
                    return False
                if not piece:
                    return False
                heard += piece
            self.said += heard
            if heard not in answers:
                client.sendall(b"< error could not open bus >")
                return False
            client.sendall(b"< ok >")
        return True

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.clients[-1].sendall(piece)
            if len(pieces) > 1:
                time.sleep(0.002)

    def drop(self) -> None:
        self.clients.pop().close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for client in self.clients:
            client.close()


def test_socketcand_in_raw_mode_and_nothing_else_is_ever_said() -> None:
    daemon = Daemon(is_socketcand=True)
    reading = Reading(f"socketcand://127.0.0.1:{daemon.port}/can0")
    reading.until(lambda: reading.state().is_up)
    text = b"".join(b"< frame %03X 1700000000.%06d %02X >" % (0x100 + n % 9, n * 100, n) for n in range(200))
    reading.until(lambda: reading.now_us > 100_000)
    daemon.send(*(text[at : at + 333] for at in range(0, len(text), 333)))
    daemon.send(b"< error 004 1700000000.300000 >< fdframe 0ABCDEF0 01 1700000000.300001 00112233 >< nonsense >")
    reading.until(lambda: reading.count == 202 and reading.state().refused == 1)
    reading.close()
    frames = reading.frames
    assert frames.payload[:200, 0].tolist() == list(range(200))
    assert frames.flags[200:].tolist() == [
        FrameFlag.ERROR,
        FrameFlag.EXTENDED | FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH,
    ]
    assert daemon.said == b"< open can0 >< rawmode >"
    # The daemon's stamps give the spacing, whatever the connection did.
    assert np.median(np.diff(frames.t_us[:200])) == 100
    assert reading.state().error_frames == 1
    daemon.close()


def test_socketcand_read_by_python_can_gives_the_same() -> None:
    """Its reader knows classic frames alone."""
    daemon = Daemon(is_socketcand=True)
    reading = Reading(f"socketcand://127.0.0.1:{daemon.port}/can0")
    reading.until(lambda: reading.state().is_up)
    text = b"".join(
        b"< frame %s 1700000000.%06d %s >" % (name, n, bytes(range(n % 9)).hex().encode())
        for n, name in enumerate([b"123", b"1ABCDEF0", b"7FF", b"00000001"] * 10)
    )
    bus = can.Bus("can0", "socketcand", host="127.0.0.1", port=daemon.port, ignore_config=True)
    reading.until(lambda: len(daemon.clients) == 2)
    for client in daemon.clients:
        client.sendall(text)
    theirs = [bus.recv(5) for _ in range(40)]
    bus.shutdown()
    reading.until(lambda: reading.count == 40)
    reading.close()
    daemon.close()
    for row, message in enumerate(theirs):
        assert message is not None
        assert message.arbitration_id == reading.frames.arbitration_id[row]
        assert message.is_extended_id == bool(reading.frames.flags[row] & FrameFlag.EXTENDED)
        assert bytes(message.data) == reading.frames.payload[row, : reading.frames.length[row]].tobytes()


def test_a_bus_that_the_daemon_has_not_and_a_server_that_is_none() -> None:
    """Told, tried again, and no other bus waits for it."""
    wrong, right = Daemon(is_socketcand=True, buses=("can7",)), Daemon(is_socketcand=True)
    http = Daemon(is_socketcand=False)
    reading = Reading(
        f"socketcand://127.0.0.1:{wrong.port}/can0",
        f"socketcand://127.0.0.1:{right.port}/can0",
        f"socketcand://127.0.0.1:{http.port}/can0",
    )
    reading.until(lambda: http.clients)
    http.send(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html>\r\n")
    reading.until(lambda: "does not open can0" in (reading.state(0).trouble or ""))
    reading.until(lambda: "socketcand?" in (reading.state(2).trouble or ""))
    reading.until(lambda: right.clients)
    right.send(b"< frame 123 1.000000 01 >")
    reading.until(lambda: reading.count == 1)
    reading.close()
    for daemon in (wrong, right, http):
        daemon.close()
    assert {loss.place for loss in reading.losses} == {LossPlace.BUS_DOWN}
    assert {loss.bus for loss in reading.losses} >= {0, 2}


def test_a_connection_that_ends_is_declared_and_dialled_again() -> None:
    daemon = Daemon(is_socketcand=False)
    reading = Reading(f"candump://127.0.0.1:{daemon.port}")
    reading.until(lambda: daemon.clients)
    daemon.send(b"(1700000000.000000) can0 123#01\n(1700000000.100000) can0 123#02\n(170")
    reading.until(lambda: reading.count == 2)
    daemon.drop()
    reading.until(lambda: not reading.state().is_up)
    reading.until(lambda: daemon.clients)
    daemon.send(b"  can0  123   [1]  03\n  can1  123   [2]  04 05\r\n")
    reading.until(lambda: reading.count == 4)
    port = daemon.port
    daemon.drop()
    daemon.close()
    reading.until(lambda: "refused" in (reading.state().trouble or ""))
    again = Daemon(is_socketcand=False, port=port)
    reading.until(lambda: again.clients)
    again.send(b"  can0  123   [1]  06\n")
    reading.until(lambda: reading.count == 5)
    reading.close()
    again.close()
    assert reading.frames.payload[:, 0].tolist() == [1, 2, 3, 4, 6]
    assert {(loss.place, loss.count) for loss in reading.losses} == {(LossPlace.BUS_DOWN, -1)}
    t_us = reading.frames.t_us
    assert (np.diff(t_us) >= 0).all()
    for before, after in ((1, 2), (3, 4)):  # each absence lies in what was declared
        assert any(
            loss.t_from_us <= t_us[before] + 200_000 and loss.t_to_us >= t_us[after] - 200_000
            for loss in reading.losses
        )


def test_a_name_server_that_does_not_answer_holds_up_no_other_bus(monkeypatch) -> None:
    """And one lookup at a time waits for it, however often the bus is tried again."""
    daemon = Daemon(is_socketcand=False)
    asked, release = [], threading.Event()
    really = socket.getaddrinfo

    def slow(host, *arguments, **more):
        if host == "127.0.0.1":
            return really(host, *arguments, **more)
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        asked.append(host)
        release.wait(30)
        return really("127.0.0.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(streams, "CONNECT_S", 0.3)
    reading = Reading(f"candump://127.0.0.1:{daemon.port}", f"candump://car.example:{daemon.port}")
    reading.until(lambda: daemon.clients)
    daemon.send(b"  can0  123   [1]  01\n")
    reading.until(lambda: reading.count == 1)
    reading.until(lambda: "name server" in (reading.state(1).trouble or ""))
    until_s = time.monotonic() + 1.5
    reading.until(lambda: time.monotonic() > until_s)
    assert asked == ["car.example"]
    release.set()
    reading.until(lambda: len(daemon.clients) == 2)
    daemon.send(b"  can0  123   [1]  02\n")
    reading.until(lambda: reading.count == 2)
    reading.close()
    daemon.close()
    assert reading.frames.bus.tolist() == [0, 1]


def test_candump_rubbish_costs_lines_and_a_flood_waits_at_its_sender() -> None:
    daemon, well = Daemon(is_socketcand=False), Daemon(is_socketcand=False)
    reading = Reading(f"candump://127.0.0.1:{daemon.port}", f"candump://127.0.0.1:{well.port}/can1")
    reading.until(lambda: well.clients and daemon.clients)
    well.send(b"  can1  123   [1]  01\n  can0  123   [1]  01\n")
    reading.until(lambda: reading.count == 1)
    client = daemon.clients[-1]
    client.setblocking(False)
    sent = 0
    rubbish = b"x" * 100_000 + b"\n" + b"no frame\n" * 1_000
    for _ in range(2_000):
        try:
            sent += client.send(rubbish)
        except BlockingIOError:
            break
    else:
        raise AssertionError("200 MB were taken in")
    well.send(b"  can1  123   [1]  02\n")
    reading.until(lambda: reading.count == 2)
    client.setblocking(True)
    client.sendall(b"\n  can0  123   [1]  03\n") if sent else None
    reading.until(lambda: reading.count == 3)
    reading.close()
    assert reading.state(0).refused > 100
    assert [loss for loss in reading.losses if loss.t_to_us - loss.t_from_us > 500_000] == []
    daemon.close()
    well.close()
