"""The one time axis in a real browser: live, paused, scrubbed, after a restart: what is shown is what the lake has."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import WAIT_MS, signed_in_client

from ved.api.history import History
from ved.db.alarms import list_alarms
from ved.db.database import Database
from ved.lake.lake import Lake
from ved.model.alarm import Alarm

FAULT = "over_temperature@12+1100"
RATE_HZ = 50
NEAR_US = 45_000
"""Two buckets and the millisecond to which the address tells the time."""


@pytest.fixture(scope="module")
def car(served) -> Iterator[float]:
    """A car that drives while the tests run, and that becomes hot; the time when it was seen to be live."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "simulate", "fs", "--minutes", "20", "--seed", "7", "--fault", FAULT,
         "--data", str(served.ved.data)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with signed_in_client(served) as client:
        for _ in range(300):
            ages = [one["age_ms"] for one in client.get("/api/vehicles").json() if one["name"] == "fs"]
            if ages[0] is not None and ages[0] < 1000:
                break
            time.sleep(0.2)
    yield time.time()
    process.kill()  # What is still to send does not matter here.
    process.wait(60)


class Seen:
    """A page that stands still: the time where its values are read, and the values."""

    def __init__(self, page: Page) -> None:
        expect(page.locator(".time-bar")).to_contain_text("PAUSED")
        expect(page.get_by_text("Loading")).to_have_count(0)
        self.from_us, self.to_us = settled(page)
        rows = page.locator("section.chart li[title]").evaluate_all(
            "(rows) => rows.map((row) => [row.title, row.querySelector('.value').textContent, row.className])"
        )
        self.texts = {name: text for name, text, _ in rows if re.fullmatch(r"[−-]?\d+(\.\d+)?", text)}
        self.old = [name for name, _, classes in rows if re.search(r"\bold\b", classes)]


def shown_time(page: Page) -> tuple[int, int] | None:
    """What the address says is in view (µs), None while live."""
    query = parse_qs(urlparse(page.url).query)
    return (int(query["from"][0]) * 1000, int(query["to"][0]) * 1000) if "from" in query else None


def settled(page: Page) -> tuple[int, int]:
    """The time in view once address and numbers have followed."""
    before = None
    for _ in range(100):
        page.wait_for_timeout(400)
        now = shown_time(page)
        if now is not None and now == before:
            return now
        before = now
    raise AssertionError(f"the address does not tell the time in view: {page.url}")


class Truth:
    """What the lake has, once it has it."""

    def __init__(self, served, eventually: Callable[..., None]) -> None:
        self._data = served.ved.data
        self._eventually = eventually

    def _samples(self, name: str, from_us: int, to_us: int):
        db = Database(f"sqlite:///{self._data / 'db.sqlite'}")
        try:
            return History(Lake(str(self._data / "lake")), db).samples("fs", name, from_us, to_us)
        finally:
            db.close()

    def agrees(self, seen: Seen) -> None:
        """Each value in view is the one that holds at the time where it is read."""
        assert len(seen.texts) >= 4
        first = next(iter(seen.texts))
        self._eventually(lambda: len(self._samples(first, seen.to_us, seen.to_us + 10**9).utc_us), "stored so far")
        for name, text in seen.texts.items():
            found = self._samples(name, seen.to_us - 5_000_000, seen.to_us + 1000)
            near = found.values[found.utc_us >= min(found.utc_us[-1], seen.to_us - NEAR_US)]
            value = float(text.replace("−", "-"))
            off = 0.5001 * 10.0 ** -len(text.partition(".")[2]) + 1e-6 * abs(value)
            assert np.any(np.abs(near - value) <= off), (name, text, near, seen.to_us)


@pytest.fixture
def truth(served, eventually) -> Truth:
    return Truth(served, eventually)


class Wishes:
    """The windows (s) that a page asks the server for."""

    def __init__(self, page: Page) -> None:
        self.windows_s: list[float] = []
        page.on("websocket", lambda one: one.on("framesent", self._take))

    def _take(self, sent) -> None:
        text = sent if isinstance(sent, str) else ""
        if '"watch"' in text:
            self.windows_s.append(float(re.search(r'"window_s":([\d.]+)', text)[1]))


def opened(page: Page, served, window_s: int, more: str = "") -> None:
    page.goto(f"{served.origin}/?vehicle=fs&rate={RATE_HZ}&window={window_s}{more}")
    expect(page.locator("header.top")).to_contain_text("LIVE")
    expect(page.locator("section.chart .value").first).to_have_text(re.compile(r"\d"))


def go_live(page: Page, window_s: int) -> None:
    """Back to an edge that moves, and to the window that was chosen."""
    page.locator(".time-bar").get_by_role("button", name="Go live").click()
    expect(page.locator(".time-bar")).not_to_contain_text("PAUSED")
    expect(page.get_by_label("Window", exact=True)).to_have_value(str(window_s))
    clock = page.locator("header.top .clock .number")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)


def test_values_that_came_live_are_those_of_the_lake(page: Page, served, car, truth):
    opened(page, served, 10)
    page.wait_for_timeout(3000)
    views = []
    for _ in range(2):
        since_us = time.time() * 1e6 - 3_000_000
        page.keyboard.press("Space")
        views.append(Seen(page))
        assert views[-1].to_us > since_us  # Not of the history that the page began with.
        go_live(page, 10)
        page.wait_for_timeout(1500)
    for view in views:
        truth.agrees(view)
    first, second = (view.texts for view in views)
    assert sum(first[name] != second[name] for name in first if name in second) >= 3


def test_drag_back_and_scrub_show_what_was_and_go_live_returns(page: Page, served, car, truth):
    wishes = Wishes(page)
    opened(page, served, 5)
    page.wait_for_timeout(max(0, (car + 16 - time.time()) * 1000))  # so that there is something to go back to
    bar = page.get_by_role("group", name="Part of the window in view").bounding_box()
    y, right = bar["y"] + bar["height"] / 2, bar["x"] + bar["width"]
    page.mouse.move(right - 1, y)
    page.mouse.down()
    page.mouse.move(bar["x"] + bar["width"] / 2, y, steps=4)
    page.mouse.up()
    scrubbed = Seen(page)
    assert 2_000_000 < scrubbed.to_us - scrubbed.from_us < 3_000_000
    truth.agrees(scrubbed)
    page.keyboard.press("b")
    page.keyboard.press("b")
    earlier = Seen(page)
    assert earlier.to_us == pytest.approx(scrubbed.to_us - 2 * (scrubbed.to_us - scrubbed.from_us), abs=10_000)
    truth.agrees(earlier)
    page.evaluate("() => document.activeElement.blur()")  # The keys would move the grip of the time line.
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    furthest = Seen(page)
    assert furthest.to_us < earlier.from_us
    truth.agrees(furthest)
    assert max(wishes.windows_s) > 10
    go_live(page, 5)
    page.wait_for_timeout(500)
    assert wishes.windows_s[-1] == 5
    # What never was is told, not shown as another time.
    opened(page, served, 5, "&from=1000000000000&to=1000000010000")
    expect(page.get_by_role("alert").filter(has_text="too long ago")).to_be_visible()
    expect(page.locator(".time-bar")).not_to_contain_text("PAUSED")


@pytest.mark.slow
def test_a_pause_longer_than_the_window_has_its_data_on_every_sheet(page: Page, served, car, truth):
    opened(page, served, 5)
    page.keyboard.press("Space")
    first = Seen(page)
    page.wait_for_timeout(max(0, first.to_us / 1000 + 9000 - time.time() * 1000))
    dynamics = page.get_by_role("tab", name="Dynamics")
    dynamics.click()
    expect(page.locator("section.chart .value").first).to_have_text(re.compile(r"\d"))
    other = Seen(page)
    # A better clock of the car may move the samples, and the view with them.
    assert (other.from_us, other.to_us) == pytest.approx((first.from_us, first.to_us), abs=NEAR_US)
    assert set(other.texts) != set(first.texts)
    truth.agrees(other)
    page.get_by_role("tab", name="Overview").click()
    again = Seen(page)
    assert again.texts == first.texts
    truth.agrees(again)


def alarm_of(served, since_us: float) -> Alarm | None:
    db = Database(f"sqlite:///{served.ved.data / 'db.sqlite'}")
    try:
        found = [one for one in list_alarms(db, "fs", (0, 1 << 62)) if one.utc_raised_us > since_us]
        found = [one for one in found if one.rule.startswith("motor-temperature")]
    finally:
        db.close()
    return min(found, key=lambda one: one.utc_raised_us, default=None)


@pytest.mark.slow
def test_the_button_of_an_alarm_shows_its_time(page: Page, served, car, eventually):
    eventually(lambda: alarm_of(served, (car - 60) * 1e6), "the hot car raises an alarm")
    alarm = alarm_of(served, (car - 60) * 1e6)
    page.wait_for_timeout(max(0, alarm.utc_raised_us / 1000 + 16_000 - time.time() * 1000))
    opened(page, served, 5)
    page.goto(f"{page.url}&section=alarms")
    page.get_by_role("tab", name=re.compile("^Open")).click()
    page.locator(f'li[data-rule="{alarm.rule}"]').get_by_role("button", name="Charts").click()
    seen = Seen(page)
    assert seen.from_us < alarm.utc_raised_us < seen.to_us
    assert seen.to_us - seen.from_us == pytest.approx(20_000_000, abs=10_000)
    assert len(seen.texts) >= 4


def test_after_a_restart_of_the_server_values_go_on_and_there_is_no_gap(browser: Browser, served, car, truth):
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB").new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(served.ved.run("signin", "--data", str(served.ved.data)).stdout.strip())
    opened(page, served, 30)
    killed_us = time.time() * 1e6
    os.kill(served.role_pid("web"), signal.SIGKILL)
    expect(page.get_by_text("reconnecting by itself")).to_be_visible()
    expect(page.get_by_text("reconnecting by itself")).to_have_count(0)
    expect(page.locator("header.top")).to_contain_text("LIVE")
    page.wait_for_timeout(2000)
    page.keyboard.press("Space")
    seen = [Seen(page)]
    while seen[-1].to_us > killed_us + 1_000_000 and len(seen) < 6:
        page.keyboard.press("ArrowLeft")
        seen.append(Seen(page))
        assert seen[-1].old == []
    assert len(seen) >= 2
    for one in seen:
        truth.agrees(one)
    page.context.close()


def test_a_tap_on_a_phone_leaves_no_panel_in_the_past_a_finger_drags_back(browser: Browser, served, car):
    page = browser.new_context(
        viewport={"width": 390, "height": 844}, locale="en-GB", has_touch=True, is_mobile=True
    ).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(served.ved.run("signin", "--data", str(served.ved.data)).stdout.strip())
    opened(page, served, 10)
    plot = page.locator("section.chart .u-over").first
    plot.scroll_into_view_if_needed()
    plot.tap()
    page.wait_for_timeout(700)
    expect(page.get_by_text("Values at the cursor")).to_have_count(0)
    expect(page.locator(".time-bar")).not_to_contain_text("PAUSED")
    box = plot.bounding_box()
    cdp = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    for kind, at in (("touchStart", x), ("touchMove", x + 30), ("touchMove", x + 90), ("touchEnd", None)):
        points = [] if at is None else [{"x": at, "y": y}]
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator(".time-bar")).to_contain_text("PAUSED")
    plot.tap()
    expect(page.get_by_text("Values at the cursor")).to_have_count(1)
    page.locator(".time-bar").get_by_role("button", name="Go live").tap()
    expect(page.locator(".time-bar")).not_to_contain_text("PAUSED")
    expect(page.get_by_text("Values at the cursor")).to_have_count(0)
    page.context.close()
