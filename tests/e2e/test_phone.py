"""The page on a phone: what a thumb needs is there, a wrong tap is taken back, a real alarm is acknowledged."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.e2e.conftest import signed_in_page

pytestmark = pytest.mark.slow

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULE = "Joulemeter is silent"
FINGER_PX = 44


@pytest.fixture(scope="module")
def car(served) -> Iterator[None]:
    """A prototype that drives, and whose joulemeter falls silent at once."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "simulate", "pe", "--minutes", "5", "--fault",
         "sensor_dropout:Joulemeter@3+290", "--data", str(served.ved.data)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield
    process.kill()  # What is still to send does not matter here.
    process.wait(60)


@pytest.fixture(scope="module")
def phone(browser: Browser, served, car) -> Iterator[Page]:
    """A signed-in page under a thumb; one for all tests here."""
    looks = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with signed_in_page(browser, served, **looks) as page:
        page.goto(f"{served.origin}/?vehicle=pe&workbook=tv&window=30")
        expect(page.get_by_text("LIVE", exact=True)).to_be_visible()
        yield page


def barriers(page: Page) -> list[str]:
    """What axe finds serious or critical on the page as it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def more(page: Page, name: str) -> Locator:
    """A button behind "more", which opens where it is not open."""
    sheet = page.get_by_role("dialog", name="More")
    if not sheet.is_visible():
        page.locator(".time-bar").get_by_role("button", name="More").tap()
    return sheet.get_by_role("button", name=name)


def is_for_a_finger(target: Locator) -> bool:
    box = target.bounding_box()
    return box is not None and box["width"] >= FINGER_PX and box["height"] >= FINGER_PX


def test_a_removed_panel_comes_back_by_the_message_and_by_more(phone: Page):
    panels = phone.locator("section.panel")
    laps = phone.get_by_role("region", name="Lap table", exact=True)
    remove = laps.get_by_role("button", name="Remove this panel")
    expect(remove).to_be_visible()
    count = panels.count()
    remove.tap()
    expect(panels).to_have_count(count - 1)
    said = phone.get_by_role("status").filter(has_text="Removed: Lap table")
    undo = said.get_by_role("button", name="Undo")
    assert is_for_a_finger(undo)
    undo.tap()  # before anything slow: the message goes by itself
    expect(panels).to_have_count(count)
    expect(said).to_be_hidden()
    remove.tap()
    expect(panels).to_have_count(count - 1)
    assert barriers(phone) == []
    more(phone, "Undo").tap()
    expect(panels).to_have_count(count)
    more(phone, "Redo").tap()
    expect(panels).to_have_count(count - 1)
    more(phone, "Undo").tap()
    expect(panels).to_have_count(count)
    assert barriers(phone) == []
    phone.get_by_role("dialog", name="More").get_by_role("button", name="Close").tap()


def test_a_real_alarm_stands_in_its_panel_and_is_acknowledged_there(phone: Page):
    panel = phone.get_by_role("region", name="Alarms", exact=True)
    row = panel.get_by_role("listitem").filter(has_text=RULE)
    expect(row).to_be_visible()
    acknowledge = row.get_by_role("button", name="Acknowledge")
    assert is_for_a_finger(acknowledge)
    acknowledge.tap()
    expect(row).to_contain_text("acknowledged by ")
    expect(acknowledge).to_be_hidden()
    assert barriers(phone) == []


def test_further_back_and_a_note_at_that_time(phone: Page):
    assert all(is_for_a_finger(more(phone, name)) for name in ("Further back in time", "Second cursor here"))
    more(phone, "Further back in time").tap()
    expect(phone).to_have_url(re.compile(r"from=\d+&to=\d+"))
    expect(phone.locator(".time-bar")).to_contain_text("PAUSED")
    more(phone, "Second cursor here").tap()
    expect(more(phone, "Remove the second cursor")).to_be_visible()
    more(phone, "Write a note at this time").tap()
    note = phone.get_by_role("dialog", name="Note")
    note.get_by_role("textbox").fill("seen from the stands")
    note.get_by_role("button", name="Save").tap()
    expect(note).to_be_hidden()
    mark = phone.locator(".time-bar").get_by_role("button", name="seen from the stands")
    expect(mark).to_be_attached()
    # A finger beside the mark, and above it, meets it.
    box = mark.bounding_box()
    lane = phone.locator(".time-bar .markers").bounding_box()
    assert box is not None
    assert lane is not None
    assert lane["height"] >= FINGER_PX
    phone.touchscreen.tap(box["x"] + box["width"] / 2 - 12, lane["y"] + 4)
    expect(note).to_be_visible()
    phone.keyboard.press("Escape")
    phone.locator(".time-bar").get_by_role("button", name="Go live").tap()
    expect(phone.locator(".time-bar")).not_to_contain_text("PAUSED")


def test_screen_mode_is_left_with_a_finger(phone: Page, served):
    phone.goto(f"{served.origin}/?vehicle=pe&workbook=tv&kiosk=1")
    expect(phone.get_by_role("toolbar")).to_be_hidden()
    row = phone.get_by_role("region", name="Alarms", exact=True).get_by_role("listitem").filter(has_text=RULE)
    expect(row).to_be_attached()
    expect(row.get_by_role("button")).to_have_count(0)
    leave = phone.get_by_role("button", name="Leave screen mode")
    assert is_for_a_finger(leave)
    assert barriers(phone) == []
    leave.tap()
    expect(phone.get_by_role("toolbar")).to_be_visible()
    expect(phone).not_to_have_url(re.compile("kiosk"))
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
