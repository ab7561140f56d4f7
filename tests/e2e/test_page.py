"""The page in a real browser: signed in by the printed link, showing what is in the lake."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.e2e.conftest import WAIT_MS

from ved.api.history import History
from ved.db.database import Database
from ved.lake.lake import Lake

AXE = Path(__file__).parent.parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
DRIVE = Path(__file__).parent.parent / "data" / "canedge-gps"


@pytest.fixture(scope="module")
def drive(served):
    """The recorded drive, replayed into the running server."""
    done = served.ved.run(
        "replay", str(DRIVE / "drive-9min.MF4"), "--dbc", str(DRIVE / "canmod-gps.dbc"), "--vehicle", "drive",
        "--speed", "max", "--data", str(served.ved.data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return served


@pytest.fixture(scope="module")
def car(drive):
    """A simulated car that drives while the tests run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "simulate", "fs", "--minutes", "20", "--data", str(drive.ved.data)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.kill()  # What is still to send does not matter here.
    process.wait(60)


def painted_pixels(canvas: Locator) -> int:
    """Pixels that are not empty."""
    return canvas.evaluate(
        """(canvas) => {
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let painted = 0;
            for (let at = 3; at < data.length; at += 4) if (data[at] > 0) painted += 1;
            return painted;
        }"""
    )


def test_the_recorded_drive_is_on_the_map_and_its_last_value_is_the_lakes(page: Page, drive, eventually):
    page.goto(f"{drive.origin}/?vehicle=drive&rate=10&window=600")
    track = page.get_by_label("Map", exact=True).locator("canvas")
    expect(track).to_be_visible()
    eventually(lambda: painted_pixels(track) > 500, "a track on the map")
    row = page.locator('li[title="gnss_speed.SpeedAccuracy"]')
    expect(page.locator("section.chart li").first).to_be_visible()
    expect(row).to_have_count(0)
    page.keyboard.press("/")
    page.get_by_role("combobox", name=re.compile("^Search")).fill("speedaccuracy")
    page.get_by_role("option", name=re.compile("gnss_speed.SpeedAccuracy")).click()
    page.keyboard.press("Escape")
    shown = row.locator(".value")
    expect(shown).to_have_text(re.compile(r"^[−-]?\d+(\.\d+)?$"))
    db, lake = Database(f"sqlite:///{drive.ved.data / 'db.sqlite'}"), Lake(str(drive.ved.data / "lake"))
    try:
        last = float(History(lake, db).samples("drive", "gnss_speed.SpeedAccuracy", 0, 2**62).values[-1])
    finally:
        db.close()
    eventually(lambda: painted_pixels(shown.locator("canvas")) > 20, "the number's glyphs")
    assert_reads(shown, last)


def assert_reads(shown: Locator, value: float) -> None:
    """A number on the page is this one, rounded."""
    text = shown.text_content().replace("−", "-")
    assert float(text) == pytest.approx(value, abs=0.501 * 10 ** -len(text.partition(".")[2]))


def test_seconds_of_a_day_long_window_are_as_fine_as_the_lake(page: Page, drive, eventually):
    """Buckets of such a window are ten seconds wide; what is in view has finer ones."""
    db, lake = Database(f"sqlite:///{drive.ved.data / 'db.sqlite'}"), Lake(str(drive.ved.data / "lake"))
    try:
        samples = History(lake, db).samples("drive", "gnss_speed.Speed", 0, 2**62)
    finally:
        db.close()
    before = np.searchsorted(samples.utc_us, samples.utc_us - 4_000_000)
    at = int(np.argmax(np.abs(samples.values - samples.values[before]) * (before > 100)))
    to_ms, value = int(samples.utc_us[at]) // 1000 + 1, float(samples.values[at])
    page.goto(f"{drive.origin}/?vehicle=drive&rate=100&window=86400&from={to_ms - 4000}&to={to_ms}")
    shown = page.locator('li[title="gnss_speed.Speed"] .value')
    expect(page.locator(".time-bar")).to_contain_text("PAUSED")
    expect(page.get_by_text("Loading")).to_have_count(0)
    eventually(lambda: shown.text_content().strip() in {f"{value + by:.1f}" for by in (-0.05, 0.0, 0.05)}, "its value")


def test_a_recording_of_the_past_is_live_and_stale_by_arrival_not_by_its_date(page: Page, drive):
    """While it is replayed it is live, though its dates are of another year; when that ends it is not, at once."""
    page.goto(f"{drive.origin}/?vehicle=drive&rate=10&window=600")
    lamp, today = page.locator(".lamp strong"), page.evaluate("() => new Date().toISOString().slice(0, 4)")
    expect(lamp).to_have_text(re.compile("^(STALE|OFFLINE)$"))
    replay = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "replay", str(DRIVE / "drive-9min.MF4"), "--dbc",
         str(DRIVE / "canmod-gps.dbc"), "--vehicle", "drive", "--data", str(drive.ved.data)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        expect(lamp).to_have_text("LIVE")
        expect(page.locator("header.top .clock dt")).to_have_text(re.compile(r"^20\d\d-\d\d-\d\d$"))
        expect(page.locator("header.top .clock dt")).not_to_have_text(re.compile(f"^{today}"))
        expect(page.locator("section.chart li:not(.old)").first).to_be_visible()
    finally:
        replay.kill()
        replay.wait(60)
    expect(lamp).to_have_text(re.compile("^(STALE|OFFLINE)$"))
    expect(page.locator("section.chart li:not(.old)")).to_have_count(0)


def test_a_simulated_car_is_live_and_pause_and_language_work(page: Page, drive, car):
    page.goto(f"{drive.origin}/?vehicle=fs&rate=50&window=30")
    expect(page.locator("header.top")).to_contain_text("LIVE")
    expect(page.locator("section.chart").first).to_contain_text("km/h")
    page.keyboard.press("Space")
    expect(page.get_by_role("toolbar")).to_contain_text(re.compile("live", re.IGNORECASE))
    page.keyboard.press("Space")
    page.get_by_role("button", name="Passer en français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")


def test_without_a_signin_nothing_is_told(browser: Browser, drive):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{drive.origin}/")
    expect(page.locator("body")).to_contain_text("ved signin")
    assert context.request.get(f"{drive.origin}/api/vehicles").status == 401
    assert context.request.get(drive.signin_link, max_redirects=0).status == 303
    context.close()
    stranger = browser.new_context()  # the same link, on another machine
    assert stranger.request.get(drive.signin_link, max_redirects=0).status >= 400
    stranger.close()


def signed_in(browser: Browser, drive, **options) -> Page:
    page = browser.new_context(locale="en-GB", **options).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(drive.ved.run("signin", "--data", str(drive.ved.data)).stdout.strip())
    return page


def serious_faults(page: Page) -> list[str]:
    """What axe finds serious or critical on the page as it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def test_a_workbook_is_changed_saved_and_there_again_for_its_owner_alone(page: Page, browser: Browser, drive):
    page.goto(f"{drive.origin}/?vehicle=drive&rate=10&window=600")
    expect(page.locator("section.chart li").first).to_be_visible()
    panels = page.locator("section.panel")
    before = panels.count()
    page.keyboard.press("a")
    page.get_by_role("button", name="Gauge").click()
    expect(panels).to_have_count(before + 1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo (u)").click()
    expect(panels).to_have_count(before)
    page.get_by_role("button", name="Redo (U)").click()
    page.get_by_role("button", name="Workbook and sheets").click()
    page.get_by_label("Save as a workbook of mine").fill("Tests & <b>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("Tests & <b>")
    page.keyboard.press("Escape")
    page.goto(f"{drive.origin}/?vehicle=drive")
    expect(page.get_by_label("Workbook", exact=True)).to_have_value(re.compile("^[0-9a-f]{32}$"))
    expect(panels).to_have_count(before + 1)
    other = signed_in(browser, drive)
    other.goto(f"{drive.origin}/?vehicle=drive")
    expect(other.locator("section.chart li").first).to_be_visible()
    expect(other.get_by_label("Workbook", exact=True)).to_have_value("default")
    other.context.close()


def told_buckets(page: Page) -> list[int]:
    """Collects the bucket widths (µs) that the server tells the page."""
    told: list[int] = []

    def take(received: str | bytes) -> None:
        if isinstance(received, str) and '"type":"watching"' in received:
            told.append(int(re.search(r'"bucket_us":(\d+)', received)[1]))

    page.on("websocket", lambda one: one.on("framereceived", take))
    return told


def test_two_people_watch_with_rates_and_windows_of_their_own_on_a_laptop_and_a_phone(
    page: Page, browser: Browser, drive, car
):
    phone = signed_in(browser, drive, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    buckets = [told_buckets(one) for one in (page, phone)]
    page.goto(f"{drive.origin}/?vehicle=fs&rate=100&window=10")
    phone.goto(f"{drive.origin}/?vehicle=fs&rate=2&window=60")
    for one in (page, phone):
        expect(one.locator("header.top")).to_contain_text("LIVE")
        expect(one.locator("section.chart .value").first).to_have_text(re.compile(r"\d"))
        assert one.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert [told[-1] for told in buckets] == [10_000, 500_000]
    expect(page.get_by_label("Window", exact=True)).to_have_value("10")
    expect(phone.get_by_label("Window", exact=True)).to_have_value("60")
    phone.get_by_role("button", name="Pause").tap()
    expect(phone.locator(".time-bar")).to_contain_text("PAUSED")
    expect(page.locator(".time-bar")).not_to_contain_text("PAUSED")
    phone.context.close()


def test_nothing_serious_for_people_who_cannot_see_or_point(page: Page, drive, car):
    page.emulate_media(reduced_motion="reduce")  # Colours do not fade while they are measured.
    page.goto(f"{drive.origin}/?vehicle=fs&sheet=battery")
    expect(page.locator(".matrix li").first).to_be_visible()
    assert serious_faults(page) == []
    page.goto(f"{drive.origin}/?vehicle=fs")
    expect(page.locator("section.chart li").first).to_be_visible()
    for theme in ("light", "dark", "sunlight"):
        page.evaluate("(name) => { document.documentElement.dataset.theme = name; }", theme)
        assert serious_faults(page) == [], theme
    page.keyboard.press("?")
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name=re.compile("^Search"))).to_be_focused()
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.goto(f"{drive.origin}/?vehicle=fs&section=settings")
    expect(page.get_by_role("heading", name="Display units")).to_be_visible()
    assert serious_faults(page) == []


HOSTILE_DBC = """VERSION ""
BU_: X
BO_ 256 Evil: 8 X
 SG_ Markup : 0|8@1+ (1,0) [0|255] "<b>V</b>" X
 SG_ State : 8|8@1+ (1,0) [0|3] "" X
 SG_ LONG : 16|8@1+ (1,0) [0|255] "\u202e\u00b0C" X
CM_ SG_ 256 Markup "<img src=x onerror=document.title='hit'> 'quotes' & <script>document.title='hit'</script>";
VAL_ 256 State 1 "<svg onload=document.title='hit'>" 2 "it's &lt; \u202edesrever" ;
"""


def test_hostile_names_of_a_dbc_are_text(page: Page, drive, tmp_path):
    (tmp_path / "evil.dbc").write_text(HOSTILE_DBC.replace("LONG", "L" * 300), encoding="utf-8")
    lines = [f"({1_700_000_000 + i / 10:.6f}) can0 100#{i % 256:02X}0{1 + i % 2}{i % 200:02X}" for i in range(50)]
    (tmp_path / "evil.log").write_text("\n".join(lines) + "\n")
    done = drive.ved.run(
        "replay", str(tmp_path / "evil.log"), "--dbc", str(tmp_path / "evil.dbc"), "--vehicle", "evil",
        "--speed", "max", "--data", str(drive.ved.data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page.goto(f"{drive.origin}/?vehicle=evil&rate=10&window=60")
    expect(page.locator("section.chart li .unit").filter(has_text="<b>V</b>").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("option").filter(has_text="<img src=x onerror")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.get_by_role("button", name="State lamps").click()
    page.get_by_role("option").filter(has_text="Evil.State").click()
    expect(page.get_by_text(re.compile(r"<svg onload|it's &lt;")).first).to_be_visible()
    assert page.locator("main img, main script, main b:text-is('V')").count() == 0
    assert page.title() != "hit"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
