"""The radio link: what it does to TCP is real here, in two network namespaces. All seeds are fixed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.faults.netlab import lab
from tests.faults.netlab.emulator import Faults
from tests.faults.netlab.lab import EMULATOR, NetLab
from tests.faults.torture.checker import arrivals, live_ages_ms, recovery_s
from tests.faults.torture.site import RATE, Figures, Places, Site, mono_us, wait_until
from tests.faults.torture.viewer import Viewer

from ved.model.records import Lane

pytestmark = pytest.mark.skipif(lab.why_not() is not None, reason=str(lab.why_not()))

LTE = Faults(delay_s=0.03, jitter_s=0.005, rate_bps=2e6)


@contextmanager
def world(tmp_path: Path, *, mtu: int = 1400, faults: Faults = LTE) -> Iterator[tuple[Site, NetLab, Viewer]]:
    """A server and a car that drives, over a good link, and somebody who watches."""
    with NetLab(seed=11, mtu=mtu) as net, Site(Places.under(tmp_path), net) as site:
        net.both(faults)
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        with Viewer(site) as viewer:
            viewer.wait_shown()
            yield site, net, viewer


def finish(viewer: Viewer, name: str, back_us: list[int], **more: object) -> None:
    site = viewer.site
    verdict = site.settle(limit_s=240.0)
    quiet_s = (mono_us() - back_us[-1]) / 1e6 if back_us else None
    came = arrivals(site.places.data)
    took = [recovery_s(came, site.places.truth, one) for one in back_us]
    assert None not in took, "a frame captured after the fault never came live"
    fresh = [viewer.fresh_s(one) for one in back_us]
    assert None not in fresh, "a viewer was never shown a frame captured after the fault"
    ages = live_ages_ms(came, site.places.truth, back_us[-1] + 2_000_000, mono_us()) if back_us else np.empty(0)
    known = [one for one in took if one is not None]
    Figures(name).add(
        verdict,
        live_back_s_max=max(known, default=None),
        live_back_s_median=float(np.median(known)) if known else None,
        viewer_fresh_s_max=max((one for one in fresh if one is not None), default=None),
        viewer_fresh_s_median=float(np.median([one for one in fresh if one is not None])) if fresh else None,
        all_stored_s=quiet_s,
        live_p99_ms_after=float(np.percentile(ages, 99)) if len(ages) else None,
        emulator=EMULATOR,
        **more,
    )


@pytest.mark.parametrize("zones_s", [(3.0,), pytest.param((3, 5, 8, 3, 12, 4, 20, 3, 6, 15), marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_dead_zones(tmp_path, zones_s):
    with world(tmp_path) as (site, net, viewer):
        back, stale = [], []
        for zone_s in zones_s:
            before, zone_us = net.counts()[0], mono_us()
            with net.dead_zone():
                time.sleep(zone_s)
            assert net.counts()[0].since(before).down > 0, "the zone was not noticed"
            back.append(mono_us())
            stale.append(viewer.stale_s(zone_us))
            assert stale[-1] is not None, "a viewer was not told that the values are old"
            assert stale[-1] < zone_s
            site.wait_stored()
            time.sleep(1.0)
        name = f"dead zone x{len(zones_s)} ({min(zones_s):.0f}-{max(zones_s):.0f} s)"
        finish(viewer, name, back, viewer_stale_s_max=max(stale))


def bad(**changes: object) -> Faults:
    return replace(LTE, **changes)


@pytest.mark.parametrize(
    ("name", "rate", "faults", "hit"),
    [
        ("bursty loss 5 %", 600, bad(loss=0.05, burst=4), lambda up: up.lost > 5),
        (
            "duplicates and reordering",
            600,
            bad(duplicate=0.1, reorder=0.1),
            lambda up: up.duplicated > 5 < up.reordered,
        ),
        ("150 kbit/s at 6,000 frames/s", 6000, bad(rate_bps=150_000), lambda up: up.passed_bytes > 12 * 12_000),
    ],
)
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_bad_link(tmp_path, name: str, rate: int, faults: Faults, hit: Callable):
    with world(tmp_path) as (site, net, viewer):
        if rate != site.rate:
            site.stop_car()
            site.rate = rate
            site.start_car()
            site.wait_stored()
        before = net.counts()[0]
        net.set(up=faults, down=replace(faults, rate_bps=LTE.rate_bps))
        began_us = mono_us()
        time.sleep(12)
        wait_until(lambda: hit(net.counts()[0].since(before)), f"the link is bad: {net.counts()[0]}", 60)
        up = net.counts()[0].since(before)
        end_us = mono_us()
        net.both(LTE)
        site.wait_stored()
        time.sleep(4)
        ages = live_ages_ms(arrivals(site.places.data), site.places.truth, began_us, end_us)
        during = {"live_p50_ms_during": float(np.median(ages)), "live_p99_ms_during": float(np.percentile(ages, 99))}
        share = up.lost / up.offered
        finish(
            viewer, name, [end_us], lost_packets=up.lost, lost_share=share, duplicated_packets=up.duplicated, **during
        )


@pytest.mark.parametrize("times", [1, 6])
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_new_address(tmp_path, times):
    with world(tmp_path) as (site, net, viewer):
        back = []
        for _ in range(times):
            old = net.car_ip
            assert net.change_car_ip() != old
            back.append(mono_us())
            site.wait_stored()
            time.sleep(1.0 if times == 1 else 9.0)
        finish(viewer, f"new address x{times}", back)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_half_open_and_acknowledgements_lost(tmp_path):
    """One direction dies, the other lives; first what the car says, then what it should hear."""
    with world(tmp_path) as (site, net, viewer):
        back = []
        for direction, seconds in (("up", 15), ("down", 30)):
            before = net.counts()
            net.set(**{direction: Faults(is_down=True)})
            time.sleep(seconds)
            net.both(LTE)
            up, down = net.counts()[0].since(before[0]), net.counts()[1].since(before[1])
            assert (up if direction == "up" else down).down > 0
            back.append(mono_us())
            site.wait_stored()
            time.sleep(2)
        finish(viewer, "one way only: up dead 15 s, then acknowledgements lost 30 s", back)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_modem_that_holds_packets(tmp_path):
    with world(tmp_path) as (site, net, viewer):
        net.both(bad(is_held=True))
        time.sleep(6)
        assert net.counts()[0].waited > 0
        net.both(LTE)
        back_us = mono_us()
        site.wait_stored()
        time.sleep(2)
        finish(viewer, "packets held for 6 s, then all at once", [back_us])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mtu_1280(tmp_path):
    with world(tmp_path, mtu=1280, faults=bad(largest_bytes=1280)) as (site, net, viewer):
        site.stop_car()
        site.rate = 6000
        site.start_car()
        site.wait_stored(12_000)
        up, _ = net.counts()
        assert up.too_large == 0
        assert up.largest_bytes > 1200, "no packet came near the limit"
        finish(viewer, "MTU 1280", [])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_path_that_becomes_narrow(tmp_path):
    """Packets over 1280 bytes vanish from the middle of a drive on, and no ICMP tells of it: a black hole."""
    with world(tmp_path) as (site, net, viewer):
        net.both(bad(largest_bytes=1280))
        site.stop_car()
        site.rate = 6000
        before = net.counts()[0]
        site.start_car()
        site.wait_stored(12_000)
        up = net.counts()[0].since(before)
        assert up.largest_bytes > 1200, "no packet came near the limit"
        assert up.too_large == 0
        finish(viewer, "path MTU 1280 without ICMP", [])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("rate", "rate_bps"), [(600, 1e6), (1500, 1e6), (1500, 3e5)])
def test_a_backlog_beside_the_live_lane(tmp_path, rate: int, rate_bps: float):
    """20 s offline, then an uplink that is slow: how much of it the backlog takes, and what the live lane feels."""
    with world(tmp_path) as (site, net, viewer):
        if rate != site.rate:
            site.stop_car()
            site.rate = rate
            site.start_car()
            site.wait_stored()
        slow(net, rate_bps)
        calm_us = mono_us()
        time.sleep(5)
        calm = (calm_us, mono_us())
        with net.dead_zone():
            time.sleep(20)
        finish_slowly(viewer, f"20 s offline at {rate} frames/s, then {rate_bps / 1e3:.0f} kbit/s", calm, rate_bps)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_minutes_offline_then_a_slow_uplink(tmp_path):
    """Their frames are captured in one minute, in batches as they would be: 11,000 records, one behind the other."""
    with world(tmp_path) as (site, net, viewer):
        site.stop_car()
        site.batch_frames = RATE // 9
        site.start_car()
        site.wait_stored()
        rate_bps = 3e5
        slow(net, rate_bps)
        calm_us = mono_us()
        time.sleep(5)
        calm = (calm_us, mono_us())
        with net.dead_zone():
            goal = site.true_frames() + 20 * 60 * RATE
            site.change_rate(20 * RATE)
            wait_until(lambda: site.true_frames() >= goal, "twenty minutes are captured", 180)
            site.change_rate(RATE)
            time.sleep(2)
        finish_slowly(viewer, "20 min offline at 600 frames/s, then 300 kbit/s", calm, rate_bps)


def slow(net: NetLab, rate_bps: float) -> None:
    net.set(up=bad(rate_bps=rate_bps), down=LTE)
    time.sleep(3)


def finish_slowly(viewer: Viewer, name: str, calm: tuple[int, int], rate_bps: float) -> None:
    """The link is back, and slow: what both lanes take of it until the backlog is stored, and what live feels."""
    site, net = viewer.site, viewer.site.net
    assert net is not None
    back_us, before = mono_us(), net.counts()[0]
    assert before.down > 0, "the zone was not noticed"
    waiting = site.true_frames() - site.progress()["stored_frames"]
    wait_until(lambda: site.true_frames() - site.progress()["stored_frames"] < site.rate, "the backlog is stored", 900)
    end_us, up = mono_us(), net.counts()[0].since(before)
    came = arrivals(site.places.data)
    beside = [one for one in came if back_us < one.mono_us <= end_us]
    late = [one.mono_us for one in beside if one.lane == Lane.BACKFILL]
    assert late, "nothing came over the backfill lane"
    ages = {
        "calm": live_ages_ms(came, site.places.truth, *calm),
        "backlog": live_ages_ms(beside, site.places.truth, min(late), end_us),
    }
    finish(
        viewer,
        name,
        [back_us],
        backlog_frames=waiting,
        backlog_s=(max(late) - back_us) / 1e6,
        uplink_share=up.passed_bytes * 8 / rate_bps / ((end_us - back_us) / 1e6),
        **{f"live_p{q}_ms_{when}": float(np.percentile(one, q)) for when, one in ages.items() for q in (50, 99)},
    )
