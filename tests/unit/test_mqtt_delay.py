"""What counts as behind: more waiting than the least, whatever two clocks say, until it is plain that one was set."""

import pytest

from ved.mqtt.delay import BEHIND_US, STEADY_US, Delay

S = 1_000_000
CLOCKS = [0, 3600 * S, -3600 * S, 50 * 365 * 86_400 * S]


@pytest.mark.parametrize("apart_us", CLOCKS)
def test_clocks_that_differ_are_no_delay(apart_us: int):
    delay = Delay()
    assert not any(delay.behind_us(apart_us + n % 7 * S // 4, n * S // 10) for n in range(1000))


@pytest.mark.parametrize("apart_us", CLOCKS)
def test_who_falls_behind_however_slowly_is_told_and_is_back_at_the_live_edge(apart_us: int):
    delay = Delay()
    assert not any(delay.behind_us(apart_us + n * 1000, n * S) for n in range(3001))
    assert delay.behind_us(apart_us + BEHIND_US + 1000, 3001 * S) == BEHIND_US + 1000
    assert delay.behind_us(apart_us + S // 10, 3002 * S) == 0
    assert delay.behind_us(apart_us + BEHIND_US + S, 3100 * S) == BEHIND_US + S


@pytest.mark.parametrize("apart_us", CLOCKS)
@pytest.mark.parametrize("speed", [1.25, 20, 1000])
def test_after_an_outage_of_an_hour_nothing_is_told_until_the_stream_has_caught_up(apart_us: int, speed: float):
    delay = Delay()
    delay.behind_us(apart_us, 0)
    now_us, waited_us = 3600 * S, 3600 * S
    while waited_us > BEHIND_US:
        assert delay.behind_us(apart_us + waited_us, now_us) == waited_us
        now_us += S // 10
        waited_us -= int(S // 10 * (speed - 1))
    assert delay.behind_us(apart_us, now_us) == 0


def test_a_stream_that_stops_again_while_it_catches_up_is_still_behind():
    delay = Delay()
    delay.behind_us(0, 0)
    assert delay.behind_us(600 * S, 600 * S)
    assert delay.behind_us(660 * S, 660 * S)
    assert delay.behind_us(650 * S, 661 * S)


@pytest.mark.parametrize("step_us", [4 * S, 3600 * S])
def test_after_a_clock_was_set_it_is_silent_for_seconds_not_for_ever(step_us: int):
    delay = Delay()
    delay.behind_us(0, 0)
    told = [delay.behind_us(step_us + n % 3 * S // 10, n * S // 10) for n in range(200)]
    assert told.index(0) <= STEADY_US // (S // 10) + 1
    assert not any(told[told.index(0) :])
    assert [delay.behind_us(-step_us, 30 * S), delay.behind_us(-step_us, 31 * S)] == [0, 0]
    assert delay.behind_us(step_us, 32 * S) == 2 * step_us
