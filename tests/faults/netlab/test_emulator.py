"""The emulated link does what it says, always the same for one seed, and counts it."""

from itertools import pairwise

import pytest
from tests.faults.netlab.emulator import Direction, Faults


def play(faults: Faults, count: int = 4000, *, seed: int = 7, gap_s: float = 0.001, size: int = 100):
    """Packets that carry their number, one each `gap_s`; returns the direction and [(time, number)] that came out."""
    link = Direction(seed, faults)
    out: list[tuple[float, int]] = []
    for tick in range(count + 5000):
        now_s = tick * gap_s
        if tick < count:
            link.push(tick.to_bytes(4, "big") + bytes(size - 4), now_s)
        out += [(now_s, int.from_bytes(packet[:4], "big")) for packet in link.pop(now_s)]
    return link, out


def test_a_clean_link_passes_everything_at_once_in_order():
    link, out = play(Faults(), 100)
    assert out == [(tick * 0.001, tick) for tick in range(100)]
    assert (link.counts.offered, link.counts.passed, link.counts.passed_bytes) == (100, 100, 10_000)


def test_one_seed_is_one_fate_and_another_seed_another():
    faults = Faults(delay_s=0.03, jitter_s=0.01, loss=0.1, burst=3, duplicate=0.05, reorder=0.05)
    assert play(faults)[1] == play(faults)[1]
    assert play(faults)[1] != play(faults, seed=8)[1]


def test_delay_and_jitter_keep_the_order():
    _, out = play(Faults(delay_s=0.05, jitter_s=0.02))
    delays = [at - number * 0.001 for at, number in out]
    assert [number for _, number in out] == list(range(4000))
    assert 0.045 < sum(delays) / len(delays) < 0.12  # order costs: a late packet holds those behind it
    assert max(delays) - min(delays) > 0.02


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1.0), (0.05, 8.0), (0.3, 4.0), (1.0, 1.0)])
def test_loss_has_its_mean_and_its_bursts(loss, burst):
    link, out = play(Faults(loss=loss, burst=burst), 20_000)
    counts = link.counts
    assert counts.lost + counts.passed == counts.offered == 20_000
    assert counts.lost / counts.offered == pytest.approx(loss, rel=0.2)
    runs, last = [], -1
    for _, number in [*out, (0.0, 20_000)]:
        if number > last + 1:
            runs.append(number - last - 1)
        last = number
    if loss < 0.1:
        assert sum(runs) / len(runs) == pytest.approx(burst, rel=0.2)


def test_a_rate_takes_time_and_a_full_queue_drops():
    _, out = play(Faults(rate_bps=80_000), 50)
    assert out[-1][0] == pytest.approx(50 * 0.01, abs=0.002)  # 100 bytes take 10 ms each
    link, out = play(Faults(rate_bps=80_000, queue_bytes=1000), 50)
    assert link.counts.overflowed > 30
    assert link.counts.overflowed + link.counts.passed == 50


def test_doubles_and_late_ones_are_counted():
    link, out = play(Faults(duplicate=0.1, reorder=0.1, reorder_s=0.01))
    numbers = [number for _, number in out]
    assert len(numbers) == 4000 + link.counts.duplicated
    assert 300 < link.counts.duplicated < 500
    assert 300 < link.counts.reordered < 560
    falls = sum(b < a for a, b in pairwise(numbers))
    assert falls > 200


def test_down_drops_held_waits_and_size_is_a_limit():
    link = Direction(1, Faults(is_down=True))
    link.push(b"gone", 0.0)
    link.set(Faults(is_held=True), 1.0)
    link.push(b"kept", 1.0)
    assert link.pop(5.0) == []
    link.set(Faults(largest_bytes=10), 6.0)
    link.push(bytes(11), 6.0)
    link.push(bytes(10), 6.0)
    assert link.pop(6.0) == [b"kept", bytes(10)]
    counts = link.counts
    assert (counts.down, counts.waited, counts.too_large, counts.passed) == (1, 1, 1, 2)
