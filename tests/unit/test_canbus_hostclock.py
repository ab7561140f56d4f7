"""This machine's clock: believed as far as it deserves."""

import ctypes
import time

import pytest

from ved.canbus import hostclock
from ved.canbus.hostclock import host_pair
from ved.model.records import ClockSource


class Kernel:
    """`adjtimex` of a kernel whose clock is kept by NTP, or not."""

    def __init__(self, status: int) -> None:
        self.status = status

    def adjtimex(self, reference: object) -> int:
        timex = reference._obj  # type: ignore[attr-defined]
        assert timex.modes == 0, "the clock must only be looked at"
        timex.status, timex.estimated_error_us = self.status, 250
        return 0


@pytest.mark.parametrize(
    ("status", "source", "error_us"),
    [(0x0001, ClockSource.NTP, 250), (0x0041, ClockSource.HOST, 1_000)],
)
def test_a_clock_kept_by_ntp_is_named_so(
    status: int, source: ClockSource, error_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostclock, "_libc", Kernel(status))
    origin_ns = time.monotonic_ns()
    pair = host_pair(origin_ns)
    assert pair is not None
    assert (pair.source, pair.error_us) == (source, error_us)
    assert 0 <= pair.t_us <= (time.monotonic_ns() - origin_ns) // 1000


def test_a_clock_that_was_never_set_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5 * 10**9)
    assert host_pair(time.monotonic_ns()) is None


def test_the_kernel_s_answer_is_read_where_it_stands() -> None:
    """Room for all of `struct timex`, and a status that has only the bits the kernel defines."""
    timex = hostclock._Timex()
    assert ctypes.sizeof(timex) > 208
    if hostclock._libc.adjtimex(ctypes.byref(timex)) < 0:
        pytest.skip("a sandbox forbids adjtimex")
    assert 0 <= timex.status < 1 << 16
    assert 0 <= timex.max_error_us <= 16_000_000
