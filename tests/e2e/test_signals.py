"""The signals section in a real browser: upload, preview, put in force; history reads anew, no frame is rewritten."""

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.test_page import DRIVE

import ved as product

HOSTILE = "<img src=x onerror=document.title='owned'>.dbc"


def lake_files(data: Path) -> dict[str, str]:
    files = sorted((data / "lake" / "frames").rglob("*.parquet"))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def altitudes(data: Path, channel: str) -> list[float]:
    with product.open(data) as lake:
        return lake.sessions("survey")[-1].samples(channel).values.tolist()


def test_upload_preview_assign_and_history_changes(page: Page, served):
    data = served.ved.data
    done = served.ved.run(
        "replay", str(DRIVE / "drive-9min.MF4"), "--dbc", str(DRIVE / "canmod-gps.dbc"), "--vehicle", "survey",
        "--speed", "max", "--data", str(data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, files = altitudes(data, "gnss_altitude.Altitude"), lake_files(data)
    assert len(before) == 510
    text = (DRIVE / "canmod-gps.dbc").read_text()
    text = text.replace("SG_ Altitude : 1|18@1+ (0.1,-6000)", "SG_ Height : 1|18@1+ (0.2,-6000)")
    assert "Height" in text

    page.goto(f"{served.origin}/?vehicle=survey&section=signals")
    page.get_by_role("combobox", name=re.compile("^Bus")).select_option(label="CAN2")
    upload = {"name": HOSTILE, "mimeType": "text/plain", "buffer": text.encode()}
    page.locator("input[type=file]").set_input_files(upload)
    page.get_by_label("Why").fill("the scale was half")
    page.get_by_role("button", name="Preview", exact=True).click()
    preview = page.get_by_role("region", name="What this would do")
    expect(preview).to_contain_text("gnss_altitude.Altitude → gnss_altitude.Height")
    expect(preview).to_contain_text("510 of 510 samples differ")
    expect(preview).to_contain_text("<img src=x")
    assert page.title() != "owned"
    assert altitudes(data, "gnss_altitude.Altitude") == before  # nothing counts yet

    page.get_by_role("button", name="Put in force").click()
    expect(page.get_by_role("status").filter(has_text="In force")).to_be_visible()
    expect(page.get_by_role("region", name="History")).to_contain_text("the scale was half")
    for name in ("gnss_altitude.Altitude", "gnss_altitude.Height"):
        assert altitudes(data, name) == pytest.approx([2 * (value + 6000) - 6000 for value in before])
    assert lake_files(data) == files

    page.get_by_role("button", name="Compare", exact=True).click()
    side_by_side = page.get_by_role("region", name="Two versions side by side")
    expect(side_by_side).to_contain_text("Channels that differ: 1")
    side_by_side.get_by_role("button", name="Show the curve").click()
    expect(side_by_side.locator("svg path")).to_have_count(2)
    expect(side_by_side.locator("svg path.after")).to_have_attribute("d", re.compile("^M.*L"))
