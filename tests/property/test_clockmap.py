"""Clock maps: no clock reorders or rejects, a fake one yields to the server's, and a later GPS fix corrects."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.db.database import Database
from ved.db.epochs import clock_pairs, note_clock
from ved.db.vehicles import ensure_vehicle_name
from ved.model.clockmap import OLDEST_UTC_US, SET_US, ClockMap, ClockPair
from ved.model.records import Clock, ClockSource

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000

times = st.integers(0, 20 * HOUR_US)
pairs_of_a_host = st.builds(
    ClockPair,
    times,
    st.one_of(st.integers(0, HOUR_US), st.integers(NOW_US - 10**15, NOW_US + 10**15)),  # 1970, or anything
    st.just(ClockSource.HOST),
    st.just(1000),
)


@st.composite
def pairs_of_the_server(draw: st.DrawFn) -> ClockPair:
    """True, but late by up to a second."""
    t_us = draw(times)
    return ClockPair(t_us, NOW_US + t_us + draw(st.integers(0, 1_000_000)), ClockSource.SERVER, 50_000)


any_pair = st.builds(
    ClockPair, times, st.integers(0, 2 * NOW_US), st.sampled_from(ClockSource), st.integers(0, 1_000_000)
)


@given(st.lists(any_pair, max_size=20), st.lists(times, min_size=2, max_size=50))
def test_order_and_distance_are_those_of_the_car(pairs: list[ClockPair], t_us: list[int]) -> None:
    utc_us = ClockMap.best(pairs).to_utc(np.array(t_us, np.int64))
    assert np.array_equal(np.diff(utc_us), np.diff(np.array(t_us, np.int64)))


@given(st.lists(any_pair, max_size=10), st.randoms())
def test_the_map_does_not_depend_on_the_order_of_arrival(pairs: list[ClockPair], random) -> None:
    mixed = pairs[:]
    random.shuffle(mixed)
    assert ClockMap.best(mixed) == ClockMap.best(pairs)


@given(st.lists(pairs_of_a_host, max_size=20), st.lists(pairs_of_the_server(), min_size=1, max_size=20))
def test_a_fake_host_clock_yields_to_the_server(hosts: list[ClockPair], servers: list[ClockPair]) -> None:
    found = ClockMap.best([*hosts, *servers])
    assert found.source == ClockSource.SERVER
    assert found.offset_us == min(pair.offset_us for pair in servers)


@given(st.lists(any_pair.filter(lambda pair: pair.source != ClockSource.GPS), max_size=20), times)
def test_a_later_gps_fix_corrects_all_that_was_before(pairs: list[ClockPair], t_us: int) -> None:
    fix = ClockPair(t_us, NOW_US + t_us, ClockSource.GPS, 100)
    assert ClockMap.best([*pairs, fix]) == ClockMap(NOW_US, ClockSource.GPS)


@given(st.lists(st.integers(0, OLDEST_UTC_US - 1), min_size=1, max_size=5), st.sampled_from(ClockSource))
def test_a_clock_that_was_never_set_counts_only_alone(utc_us: list[int], source: ClockSource) -> None:
    never = [ClockPair(at, utc, ClockSource.GPS) for at, utc in enumerate(utc_us)]
    good = ClockPair(7, NOW_US, source)
    assert ClockMap.best([*never, good]).offset_us == NOW_US - 7
    assert ClockMap.best(never).source == ClockSource.GPS


@given(st.lists(st.integers(-900_000, 900_000), min_size=1, max_size=10), st.integers(2_000_000, 10 * HOUR_US))
def test_a_host_alone_is_followed_when_it_jumps_and_not_when_it_drifts(drift_us: list[int], jump_us: int) -> None:
    before = [ClockPair(at, NOW_US + at + drift // 2, ClockSource.HOST) for at, drift in enumerate(drift_us)]
    offset_us = before[0].offset_us
    assert ClockMap.best(before).offset_us == offset_us
    after = ClockPair(10**9, NOW_US + 10**9 + jump_us, ClockSource.HOST)
    assert ClockMap.best([*before, after]).offset_us == NOW_US + jump_us


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path: Path = tmp_path_factory.mktemp("db")
    db = Database(f"sqlite:///{path / 'ved.db'}")
    db.migrate()
    ensure_vehicle_name(db, "fs")
    return db


epochs = itertools.count(1)


delays = st.tuples(st.integers(0, 2_000_000), st.sampled_from([0, 0, 0, HOUR_US, -HOUR_US]))


@settings(max_examples=15, deadline=None)
@given(st.lists(delays, min_size=1, max_size=8))
def test_the_database_keeps_the_pair_that_the_map_takes(db: Database, steps: list[tuple[int, int]]) -> None:
    """One row for the server's pairs, also when the server's own clock is set meanwhile; read twice, the same."""
    epoch, offset_us, pairs = next(epochs).to_bytes(16, "big"), NOW_US, []
    for at, (delay_us, jump_us) in enumerate(steps):
        offset_us += jump_us
        pairs.append(ClockPair(at * 10_000_000, offset_us + at * 10_000_000 + delay_us, ClockSource.SERVER))
    for _ in range(2):
        for pair in pairs:
            note_clock(db, Clock("fs", epoch, 0, pair.t_us, pair.utc_us, pair.source, 0))
        assert ClockMap.best(clock_pairs(db, "fs", epoch)) == ClockMap.best(pairs)
    assert abs(ClockMap.best(pairs).offset_us - offset_us) <= max(2_000_000, SET_US)
