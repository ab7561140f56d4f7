"""When a connection is in doubt, and when it is dead: no clock, no network."""

import pytest

from ved.errors import LinkLostError
from ved.link.tcpprogress import TcpProgress
from ved.link.watchdog import FIRST_STALL_S, LATE_DOUBT_S, LATE_SERVER_S, Watchdog


def watching(rtt_s: float | None = 0.1) -> tuple[Watchdog, TcpProgress]:
    """As of a connection that got its last answer at 100.0; the kernel says nothing of its own accord."""
    tcp = TcpProgress(None)
    dog = Watchdog(tcp, "10.0.0.2", 90.0)
    if rtt_s is not None:
        dog.note_trip(rtt_s)
    dog.note_progress(100.0)
    return dog, tcp


def test_a_silent_connection_is_in_doubt_then_dead() -> None:
    dog, _ = watching()
    dog.check(100.5, 500)
    assert not dog.in_doubt.is_set()
    dog.check(100.6, 500)
    assert dog.in_doubt.is_set()
    with pytest.raises(LinkLostError, match=r"for 1\.0 s"):
        dog.check(101.1, 500)


def test_an_answer_ends_the_doubt_at_once() -> None:
    dog, _ = watching()
    dog.check(100.6, 0)
    dog.note_progress(100.7)
    assert not dog.in_doubt.is_set()
    dog.check(101.0, 0)


def test_patience_grows_with_the_round_trip_and_the_record() -> None:
    dog, _ = watching(None)
    dog.check(100.0 + FIRST_STALL_S, 0)
    dog.note_trip(0.5)
    dog.check(102.0, 0)
    dog.check(104.0, 8192 + 20_000)
    with pytest.raises(LinkLostError):
        dog.check(102.1, 8192)


def test_nothing_on_its_way_is_no_silence() -> None:
    dog, _ = watching()
    dog.check(200.0, None)
    assert not dog.in_doubt.is_set()
    dog.begin(200.0)
    dog.check(200.4, 100)
    assert not dog.in_doubt.is_set()


def test_a_late_server_keeps_its_car_for_a_while_but_another_one_may_answer() -> None:
    """Its machine takes what is sent, or it is a proxy's, before a server that is gone."""
    dog, tcp = watching()
    for tenth in range(1, 10 * int(1 + LATE_SERVER_S)):
        tcp.alive_s = now_s = 100.0 + tenth / 10
        dog.check(now_s, 100)
        assert dog.in_doubt.is_set() == (tenth / 10 > 1.0 + LATE_DOUBT_S + 1e-9)
    tcp.alive_s = 111.1
    with pytest.raises(LinkLostError, match="machine lives"):
        dog.check(111.1, 100)


def test_another_own_address_is_a_doubt_that_answers_do_not_end() -> None:
    dog, _ = watching()
    dog.note_way("10.0.0.2")
    dog.note_way(None)
    assert not dog.in_doubt.is_set()
    dog.note_way("10.0.0.3")
    assert dog.in_doubt.is_set()
    dog.note_progress(100.2)
    dog.check(100.3, 100)
    assert dog.in_doubt.is_set()
    dog.note_way("10.0.0.2")
    dog.check(100.4, 100)
    assert not dog.in_doubt.is_set()
