"""Alarms in a real browser: a rule edited, a simulated fault that raises it, watch killed, the alarm acknowledged."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ved.db.alarms import list_alarms
from ved.db.database import Database
from ved.model.alarm import Alarm

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULE = "joulemeter-silent"


@pytest.fixture
def alarms_page(page: Page, served) -> Page:
    page.goto(f"{served.origin}/?vehicle=pe&section=alarms")
    return page


def barriers(page: Page) -> list[str]:
    """What axe finds serious or critical in the section as it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run('main', { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def alarms_of(served) -> list[Alarm]:
    db = Database(f"sqlite:///{served.ved.data / 'db.sqlite'}")
    try:
        return [alarm for alarm in list_alarms(db, "pe", (0, 1 << 62)) if alarm.rule == RULE]
    finally:
        db.close()


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_simulated_fault_raises_and_is_acknowledged_though_watch_was_killed(
    alarms_page: Page, served, eventually: Callable
):
    page = alarms_page
    page.get_by_role("tab", name="Rules").click()
    rule = page.locator(f'[data-rule="{RULE}"]')
    rule.get_by_role("button", name="Edit").click()
    assert barriers(page) == []
    page.get_by_label("Severity").select_option("critical")
    page.get_by_label("Clear after (ms)").fill("100")
    page.get_by_role("button", name="Save").click()
    expect(rule.get_by_role("img", name="Critical")).to_be_visible()
    car = subprocess.Popen(
        [sys.executable, "-m", "ved.cli", "simulate", "pe", "--minutes", "0.7", "--fault",
         "sensor_dropout:Joulemeter@4+30", "--data", str(served.ved.data)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        banner = page.get_by_role("alert").filter(has_text="Joulemeter is silent")
        expect(banner).to_be_visible()
        expect(page).to_have_title(re.compile("‼ Joulemeter is silent ‼"))
        page.get_by_role("tab", name=re.compile("^Open")).click()
        row = page.locator(f'li[data-rule="{RULE}"]')
        expect(row).to_be_visible()
        assert barriers(page) == []
        os.kill(served.role_pid("watch"), signal.SIGKILL)
        banner.get_by_role("button", name="Acknowledge").click()
        expect(row).to_contain_text("acknowledged by ")  # told by watch, which is back
        expect(banner).to_be_hidden()
        expect(page).not_to_have_title(re.compile("‼"))
        expect(row).to_be_hidden()  # the meter speaks again
        output, _ = car.communicate(timeout=120)
    finally:
        car.kill()
        car.wait()
    assert car.returncode == 0, output
    eventually(lambda: not any(one.is_active for one in alarms_of(served)), "the end of the alarm is saved")
    (alarm,) = alarms_of(served)
    assert alarm.acked_by
    assert 28_500_000 < alarm.utc_cleared_us - alarm.utc_raised_us < 31_000_000
    page.get_by_role("tab", name="History").click()
    expect(page.locator(f'li[data-rule="{RULE}"]')).to_contain_text("acknowledged by ")
    page.get_by_role("button", name="Check with today").click()
    found = page.get_by_role("region", name="What today’s rules find in this session")
    expect(found.get_by_role("listitem").filter(has_text="Joulemeter is silent")).to_have_count(1)
    assert barriers(page) == []
