"""Workbooks in real browsers: no change is lost, and a link shows to another person what the first one sees."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import WAIT_MS

from ved.db.database import Database
from ved.db.vehicles import ensure_vehicle_name

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def garage(served):
    """A vehicle that has never sent anything."""
    db = Database(f"sqlite:///{served.ved.data / 'db.sqlite'}")
    try:
        ensure_vehicle_name(db, "books")
    finally:
        db.close()
    return served


def add(page: Page, kind: str) -> int:
    """Add a panel; how many there are then."""
    panels = page.locator("section.panel:not(.empty)")
    before = panels.count()
    page.keyboard.press("a")
    page.get_by_role("button", name=kind).click()
    expect(panels).to_have_count(before + 1)
    page.keyboard.press("Escape")
    return before + 1


def menu(page: Page) -> None:
    page.get_by_role("button", name="Workbook and sheets").click()


def test_a_change_that_another_workbook_or_a_reload_follows_at_once_is_there(page: Page, garage):
    page.goto(f"{garage.origin}/?vehicle=books")
    menu(page)
    page.get_by_label("Save as a workbook of mine").fill("Quick")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Quick")).to_be_visible()
    page.keyboard.press("Escape")
    chooser = page.get_by_label("Workbook", exact=True)
    expect(chooser).to_have_value(re.compile("^[0-9a-f]{32}$"))
    mine = chooser.input_value()
    count = add(page, "Gauge")
    chooser.select_option("tv")
    expect(chooser).to_have_value("tv")
    page.reload()
    chooser.select_option(mine)
    panels = page.locator("section.panel:not(.empty)")
    expect(panels).to_have_count(count)
    count = add(page, "Histogram")
    page.reload()
    expect(panels).to_have_count(count)
    expect(page.locator(".save-notice")).to_have_count(0)


def test_the_link_of_a_changed_preset_shows_a_second_person_what_the_first_one_sees(
    page: Page, browser: Browser, garage
):
    page.goto(f"{garage.origin}/?vehicle=books&workbook=driver")
    expect(page.get_by_label("Workbook", exact=True)).to_have_value("driver")
    count = add(page, "Gauge")
    menu(page)
    page.get_by_role("button", name="Save as mine, share and copy the link").click()
    expect(page.get_by_role("status").filter(has_text="shared with everybody")).to_be_visible()
    expect(page).to_have_url(re.compile("workbook=[0-9a-f]{32}"))
    other = browser.new_context(locale="en-GB").new_page()
    other.set_default_timeout(WAIT_MS)
    other.goto(garage.ved.run("signin", "--data", str(garage.ved.data), "--role", "viewer").stdout.strip())
    other.goto(page.url)
    expect(other.locator("section.panel:not(.empty)")).to_have_count(count)
    expect(other.get_by_label("Workbook", exact=True)).to_have_value(re.search("workbook=([0-9a-f]{32})", page.url)[1])
    other.context.close()
