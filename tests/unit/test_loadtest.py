"""The load test's own parts: a wrong ruler would praise or blame the server for nothing."""

import asyncio
import socket
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.link import WireData, decode_message
from ved.codec.records import decode_record
from ved.codec.wire import WireDecoder
from ved.config.places import vehicles_folder
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.loadtest.chart import Chart, Line, bars_of, svg_of
from ved.loadtest.drive import BATCH_US, make_drive
from ved.loadtest.histogram import BIN_US, Histogram
from ved.loadtest.plan import LAKE_S, P99_MS, LakeCount, Load, Outcome, Usage
from ved.loadtest.profiles import LinkProfile
from ved.loadtest.relay import Relay
from ved.loadtest.report import document_of, found_text, html_of, rows_of, verdict_of
from ved.loadtest.search import FINE, Found, find_max
from ved.loadtest.stored import count_in_lake, forget
from ved.loadtest.where import check_is_here
from ved.model.frames import FrameBatch, FrameColumns

EPOCH = b"loadtest epoch.."


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-5_000, 59_000_000), min_size=1, max_size=200), st.sampled_from([50, 90, 99, 100]))
def test_percentiles_are_those_of_the_delays_to_a_bin(delays: list[int], percent: int) -> None:
    histogram = Histogram()
    for delay in delays:
        histogram.note(delay + 7, [7])
    exact = np.percentile(np.maximum(delays, 0), percent, method="inverted_cdf") / 1000
    found = histogram.percentile_ms(percent)
    assert found is not None
    assert exact <= found <= exact + BIN_US / 1000
    assert Histogram.of(histogram.counts()).percentile_ms(percent) == found


def test_a_histogram_of_nothing_has_no_percentiles() -> None:
    assert Histogram().percentile_ms(99) is None


def test_shares_grow_to_all() -> None:
    histogram = Histogram()
    histogram.note(0, [-1000, -2000, -3000, -90_000])
    shares = histogram.shares(100, 10)
    assert shares[0] == (10.0, 0.75)
    assert shares[-1] == (100.0, 1.0)


@given(st.integers(0, 400), st.integers(1, 300), st.integers(1, 400))
def test_the_search_finds_the_knee(knee: int, start: int, most: int) -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number <= knee

    found = find_max(holds, start, most, max_trials=100)
    assert found.trials == len(asked)
    assert max(asked) <= most
    assert found.best <= knee
    if found.worst is None:
        assert found.best == most
    else:
        assert found.worst > knee
        assert found.worst - found.best <= max(1, int(found.best * FINE))


def test_what_stumbles_once_is_tried_again() -> None:
    stumbles = iter([False, True, True, False, False])
    found = find_max(lambda _: next(stumbles), 1, 4, max_trials=5)
    assert found == Found(2, 4, 5)


def test_a_search_ends_with_its_trials() -> None:
    assert find_max(lambda _: True, 1, 1 << 30, max_trials=5).trials == 5


@pytest.mark.parametrize("url", ["wss://127.0.0.1:8790", "http://localhost:8000", "wss://[::1]:8790"])
def test_this_machine_may_be_loaded(url: str) -> None:
    check_is_here(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("wss://192.0.2.7:8790", "i-own-this-server"),
        ("http://[2001:db8::1]:80", "i-own-this-server"),
        ("wss://", "names no host"),
        ("wss://no.such.name.invalid", "does not resolve"),
    ],
)
def test_another_machine_is_refused(url: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_is_here(url)


def test_a_name_that_also_means_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "192.0.2.7")]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with pytest.raises(UserError, match=r"192\.0\.2\.7"):
        check_is_here("wss://telemetry.example:8790")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cars": 0}, "--cars"),
        ({"cars": 10_000}, "--cars"),
        ({"viewers": -1}, "--viewers"),
        ({"seconds": 601}, "--seconds"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"frames_per_s": 1_000_000}, "--frames"),
        ({"link": "5g"}, "none, 4g, 4g-bad"),
    ],
)
def test_a_load_out_of_bounds_is_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        replace(Load(), **change).check()


def test_a_drive_has_the_rate_asked_for_and_its_messages_are_its_frames() -> None:
    drive = make_drive(load_vehicle(vehicles_folder() / "fs"), EPOCH, 3000, 2.0, seed=3)
    assert drive.frames == 6000
    assert len(drive.parts) == 20
    decoder, next_seq = WireDecoder("loadtest-07"), 1
    for part in drive.parts:
        assert part.message is not None
        message = decode_message(part.message)
        assert isinstance(message, WireData)
        batch = decoder.decode(message.body)
        assert (batch.vehicle, batch.epoch, batch.first_seq) == ("loadtest-07", EPOCH, next_seq)
        renamed = decode_record(part.record_of("loadtest-07"))
        assert isinstance(renamed, FrameBatch)
        assert np.array_equal(renamed.frames.payload, batch.frames.payload)
        assert part.due_us - BATCH_US <= batch.frames.t_us[0] <= batch.frames.t_us[-1] <= part.due_us
        next_seq = part.last_seq + 1


LAKE = LakeCount(100, 0, 0, 3.0)
GOOD = Outcome(
    load=Load(),
    p50_ms=50.0,
    p90_ms=90.0,
    p99_ms=120.0,
    frames_per_s=12_000.0,
    bytes_per_frame=2.8,
    captured=100,
    lost=0,
    resent=0,
    reconnects=0,
    messages_per_s=100.0,
    missed=0,
    behind=0,
    lake=LAKE,
    roles=(Usage("ingest", 0.1, 90.0),),
    generator=(Usage("generator: cars", 0.1, 50.0),),
    others_core=0.0,
    shares=((10.0, 0.5), (20.0, 1.0)),
)


@pytest.mark.parametrize(
    "change",
    [
        {"p99_ms": P99_MS + 1},
        {"p99_ms": None},
        {"lost": 1},
        {"missed": 1},
        {"behind": 1},
        {"lake": replace(LAKE, missing=1)},
        {"lake": replace(LAKE, duplicates=1)},
        {"lake": replace(LAKE, after_s=LAKE_S + 1)},
    ],
)
def test_each_promise_can_be_broken(change: dict[str, object]) -> None:
    assert not GOOD.broken_promises
    assert len(replace(GOOD, **change).broken_promises) == 1


def test_a_run_without_viewers_promises_nothing_to_them() -> None:
    assert not replace(GOOD, load=replace(GOOD.load, viewers=0), p99_ms=None).broken_promises


def test_the_report_stands_alone_and_says_what_was_found() -> None:
    bad = replace(GOOD, lost=7, notes=("<b>the machine was busy</b>",))
    page = html_of([GOOD, bad], ("cars", Found(4, 8, 6)))
    assert "NOT held" in page
    assert "7 were not" in page
    assert "&lt;b&gt;the machine" in page
    assert "4 cars hold the promises; 8 did not" in page
    assert "prefers-color-scheme:dark" in page
    assert "src=" not in page
    assert "href=" not in page
    assert page.count("<svg") == page.count("</svg>") == 4
    assert verdict_of(GOOD) == "all promises held"
    assert ("frames not stored", "7") in rows_of(bad)
    document = document_of([GOOD, bad], ("cars", Found(4, 8, 6)))
    assert document["runs"][1]["lost"] == 7
    assert document["runs"][1]["promises_broken"]
    assert document["find_max"] == {"of": "cars", "best": 4, "worst": 8, "trials": 6}
    assert found_text("viewers", Found(0, 1, 2)) == "not even 1 viewers hold the promises"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1e9)), max_size=30),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)
def test_charts_are_well_formed_and_stay_inside(
    points: list[tuple[float, float]], is_doubling: bool, name: str
) -> None:
    line = Line(name, tuple(sorted(points)))
    chart = Chart(name, "x", "y", (line,), (200.0, "limit"), is_doubling=is_doubling)
    for text in (svg_of(chart), bars_of(name, "%", [(name, y) for _, y in points])):
        root = ET.fromstring(text)
        for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(circle.attrib["cx"]) <= 640
            assert 0 <= float(circle.attrib["cy"]) <= 340


def batch_of(vehicle: str, first: int, count: int) -> FrameBatch:
    t_us = np.arange(first, first + count, dtype=np.int64) * 100
    zeros = np.zeros(count, np.uint8)
    frames = FrameColumns(t_us, zeros, np.full(count, 256, np.uint32), zeros, zeros + 8, np.zeros((count, 8), np.uint8))
    return FrameBatch(vehicle, EPOCH, first, frames)


def test_the_lake_is_counted_row_by_row(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "lake")
    Lake.for_writing(url).append([batch_of("loadtest-01", 1, 50), batch_of("loadtest-02", 1, 40), batch_of("fs", 1, 5)])
    monkeypatch.setattr("ved.loadtest.stored.STALL_S", 0.0)
    found = count_in_lake(url, EPOCH, 100, ["loadtest-01", "loadtest-02"], 0.0)
    assert (found.rows, found.missing, found.duplicates) == (90, 10, 0)

    once = Lake.parts
    monkeypatch.setattr(Lake, "parts", lambda *given: [*once(*given), *once(*given)])
    assert count_in_lake(url, EPOCH, 90, ["loadtest-01", "loadtest-02"], 0.0).duplicates == 90


def test_test_cars_leave_the_lake_and_nobody_else_does(tmp_path) -> None:
    url = str(tmp_path / "lake")
    lake = Lake.for_writing(url)
    lake.append([batch_of("loadtest-01", 1, 50), batch_of("fs", 1, 5)])
    lake.append([batch_of("loadtest-01", 51, 50)])
    assert forget(url, ["loadtest-01"]) == 100
    lake.refresh()
    assert lake.stats().frames == 5
    assert lake.stats().vehicles == 1


def relayed(profile: LinkProfile, sent: list[bytes]) -> tuple[list[bytes], float, int]:
    """What comes back from an echo behind the relay, how long it took, and how often the link was cut."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def go() -> tuple[list[bytes], float, int]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        begun_s = asyncio.get_running_loop().time()
        async with server, Relay(profile, "127.0.0.1", server.sockets[0].getsockname()[1], "seed") as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            back = []
            for data in sent:
                writer.write(data)
                try:
                    back.append(await reader.readexactly(len(data)))
                except (asyncio.IncompleteReadError, OSError):
                    break
            took_s = asyncio.get_running_loop().time() - begun_s
            writer.close()
            return back, took_s, relay.cuts

    return asyncio.run(go())


def test_a_relay_delays_and_carries_every_byte_in_order() -> None:
    sent = [bytes([number]) * 5000 for number in range(4)]
    back, took_s, _ = relayed(LinkProfile(delay_s=0.02, jitter_s=0.02, rate=1e6), sent)
    assert back == sent
    assert took_s >= 4 * 2 * 0.02


def test_a_relay_carries_no_more_than_its_rate() -> None:
    _, took_s, _ = relayed(LinkProfile(rate=100_000), [bytes(20_000)])
    assert took_s >= 0.19


def test_a_relay_cuts_connections() -> None:
    profile = LinkProfile(delay_s=0.01, cut_every_s=0.01, away_s=(300.0, 300.0))
    back, _, cuts = relayed(profile, [b"x"] * 1000)
    assert cuts == 1
    assert len(back) < 1000


def test_a_cut_takes_a_connection_that_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay is slow to reach its server, and the cut falls into that time."""
    opened = asyncio.open_connection

    async def slowly(*to: object, **other: int):
        if other:  # the relay's own, which has a limit
            await asyncio.sleep(0.3)
        return await opened(*to, **other)

    monkeypatch.setattr(asyncio, "open_connection", slowly)
    back, _, cuts = relayed(LinkProfile(cut_every_s=0.05, away_s=(300.0, 300.0)), [b"x"] * 3)
    assert (back, cuts) == ([], 1)
