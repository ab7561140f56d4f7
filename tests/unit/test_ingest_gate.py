"""The gate before TLS: how many connections one address, and all together, may have that show no key."""

import socket

import pytest

from ved.ingest.gate import (
    FAILED_BURST,
    FAILED_PER_S,
    MAX_OPEN,
    MAX_PENDING,
    MAX_PENDING_OF_ONE,
    Gate,
    Peer,
    listen,
    network_of,
)


class World:
    """A gate with a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.refused: list[str] = []
        self.gate = Gate(self.refused.append, lambda: self.now_s)
        self.port = 0

    def come(self, address: str) -> Peer | None:
        self.port += 1
        peer = (address, self.port)
        return peer if self.gate.enter(peer) else None


def test_one_address_has_few_that_wait_and_others_do_not_suffer() -> None:
    world = World()
    peers = [world.come("192.0.2.1") for _ in range(MAX_PENDING_OF_ONE + 5)]
    assert [peer is not None for peer in peers] == [True] * MAX_PENDING_OF_ONE + [False] * 5
    assert world.refused == ["192.0.2.1"] * 5
    assert world.come("192.0.2.2") is not None
    assert peers[0] is not None
    world.gate.admit(peers[0])  # a key: it waits no longer
    assert world.come("192.0.2.1") is not None


def test_all_together_are_bounded() -> None:
    world = World()
    came = [world.come(f"192.0.2.{number}") for number in range(MAX_PENDING + 10)]
    assert sum(peer is not None for peer in came) == world.gate.pending == MAX_PENDING
    world = World()
    for _ in range(MAX_OPEN):
        peer = world.come("192.0.2.1")
        assert peer is not None
        world.gate.admit(peer)
    assert world.come("192.0.2.9") is None


def test_tries_that_end_without_a_key_are_counted_and_forgiven() -> None:
    world = World()
    for _ in range(FAILED_BURST):
        peer = world.come("192.0.2.1")
        assert peer is not None
        world.gate.leave(peer)
    assert world.come("192.0.2.1") is None
    assert world.come("192.0.2.2") is not None
    world.now_s += 2 / FAILED_PER_S
    assert world.come("192.0.2.1") is not None
    assert world.gate.open == 2


def test_a_car_that_comes_and_goes_is_never_turned_away() -> None:
    world = World()
    for _ in range(5 * FAILED_BURST):
        peer = world.come("192.0.2.1")
        assert peer is not None
        world.gate.admit(peer)
        world.gate.leave(peer)
    assert (world.gate.open, world.gate.pending, len(world.gate._pending_of)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("?", "?"),
    ],
)
def test_whom_an_address_counts_for(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_listener_turns_connections_away_and_hears_of_their_end() -> None:
    world = World()
    (listener,) = listen("127.0.0.1", 0, world.gate)
    with listener:
        listener.listen()
        where = listener.getsockname()
        clients = [socket.create_connection(where) for _ in range(MAX_PENDING_OF_ONE + 3)]
        taken = []
        while len(world.refused) < 3:
            try:
                taken.append(listener.accept()[0])
            except BlockingIOError:
                continue
        assert len(taken) == world.gate.open == MAX_PENDING_OF_ONE
        for one in taken:
            one.close()
            one.close()
        assert world.gate.open == world.gate.pending == 0
        with pytest.raises(ConnectionResetError):
            clients[-1].recv(1)
        for client in clients:
            client.close()
