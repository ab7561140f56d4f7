"""People in a real browser: invitations, passwords, the first admin, and a guest of one run."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update
from tests.e2e.conftest import WAIT_MS, signed_in_client

from ved.db.database import Database
from ved.db.tables import sessions


def test_invited_named_and_back_with_a_password(browser: Browser, served):
    admin = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
    admin.goto(served.ved.run("signin", "--data", str(served.ved.data)).stdout.strip())
    admin.goto(f"{served.origin}/?section=people")
    links = admin.get_by_role("region", name="Invitations and guest links")
    links.get_by_role("combobox", name="For").first.select_option("engineer")
    links.get_by_role("button", name="Make the link").click()
    url = links.locator("code").text_content()
    assert re.fullmatch(re.escape(served.origin) + r"/join\?token=\S{20,}", url)
    expect(links.get_by_alt_text("QR")).to_have_js_property("complete", True)
    assert links.get_by_alt_text("QR").evaluate("image => image.naturalWidth") > 100

    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="fr-FR")
    guest = context.new_page()
    guest.goto(url)
    guest.get_by_label("Nom").fill("Zoé <b>")
    guest.get_by_label("Mot de passe").fill("correct horse 12")
    guest.get_by_role("button", name="Entrer").click()
    guest.wait_for_url(f"{served.origin}/**")
    assert guest.request.get(f"{served.origin}/api/me").json()["role"] == "engineer"
    again = browser.new_context(locale="fr-FR").new_page()
    again.goto(url)
    expect(again.get_by_role("alert")).to_contain_text("déjà servi")
    again.get_by_role("link", name="Se connecter").click()
    again.get_by_label("Nom").fill("zoé <b>")
    again.get_by_label("Mot de passe").fill("wrong horse 123")
    again.get_by_role("button", name="Se connecter").click()
    expect(again.get_by_role("alert")).to_contain_text("incorrect")
    again.get_by_label("Nom").fill("zoé <b>")
    again.get_by_label("Mot de passe").fill("correct horse 12")
    again.get_by_role("button", name="Se connecter").click()
    again.wait_for_url(f"{served.origin}/**")
    assert again.request.get(f"{served.origin}/api/me").json()["name"] == "Zoé <b>"

    admin.reload()
    line = admin.get_by_role("region", name="People").get_by_role("listitem").filter(has_text="Zoé <b>")
    expect(line).to_contain_text("signed in on 2 devices")
    line.get_by_role("button", name="Sign out").click()
    expect(line).to_contain_text("signed in on 0 devices")
    assert guest.request.get(f"{served.origin}/api/me").status == 401


@pytest.mark.slow
def test_the_first_admin_says_who_they_are_before_anything_else(browser: Browser, ved):
    with ved.serving() as serving:
        page = browser.new_context(locale="en-GB").new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(serving.signin_link)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=WAIT_MS)
        page.goto(f"{serving.origin}/?section=people")
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=WAIT_MS)
        page.get_by_label("Name").fill("   ")
        page.get_by_label("New password").fill("too short")
        page.get_by_role("button", name="Begin").click()
        assert page.request.get(f"{serving.origin}/api/me").json()["is_first_admin"]
        page.get_by_label("Name").fill("Ada")
        page.get_by_label("New password").fill("correct horse 12")
        page.get_by_role("button", name="Begin").click()
        expect(page.get_by_role("region", name="People")).to_contain_text("Ada", timeout=WAIT_MS)
        me = page.request.get(f"{serving.origin}/api/me").json()
        assert me == {"id": me["id"], "name": "Ada", "role": "admin", "is_named": True, "has_password": True}
        page.context.close()


def test_a_guest_link_opens_a_run_that_is_over_without_its_map(browser: Browser, served, eventually, tmp_path: Path):
    log = tmp_path / "drive.log"
    for command in (
        ("simulate", "ps", "--speed", "max", "--minutes", "2", "--out", str(log)),
        ("import", str(log), "--vehicle", "ps", "--data", str(served.ved.data)),
    ):
        done = served.ved.run(*command)
        assert done.returncode == 0, done.stderr
    with signed_in_client(served) as admin:
        eventually(lambda: admin.get("/api/vehicles/ps/sessions").json(), "the drive is a session")
        session = admin.get("/api/vehicles/ps/sessions").json()[0]["id"]
        database = Database(f"sqlite:///{served.ved.data / 'db.sqlite'}")
        with database.engine.begin() as connection:  # it would be over some minutes after its last frame
            connection.execute(update(sessions).where(sessions.c.id == session).values(is_open=False))
        database.close()
        told = {"name": "Evening <b>run</b>", "driver": "Zoé", "notes": "secret"}
        assert admin.patch(f"/api/sessions/{session}", json=told).is_success
        link = admin.post("/api/invitations", json={"role": "guest", "session": session}).json()
        guest = browser.new_context(viewport={"width": 390, "height": 844}, locale="fr-FR").new_page()
        guest.set_default_timeout(WAIT_MS)
        refused: list[str] = []
        guest.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        guest.goto(link["url"])
        guest.get_by_role("button", name="Entrer").click()
        expect(guest.get_by_role("heading", name="Evening <b>run</b>")).to_be_visible(timeout=WAIT_MS)
        shown = guest.locator(".legend .value").filter(has_text=re.compile(r"\d"))
        expect(shown.first).to_be_visible(timeout=WAIT_MS)
        for hidden in ("Zoé", "secret", "Carte", "Pause"):
            expect(guest.get_by_text(hidden, exact=True)).to_have_count(0)
        assert refused == []
        assert admin.delete(f"/api/invitations/{link['id']}").is_success
        expect(guest.get_by_role("heading", name="Ce lien n’est plus valable")).to_be_visible(timeout=WAIT_MS)
        guest.goto(link["url"])
        expect(guest.get_by_role("alert")).to_contain_text("retiré")
        guest.context.close()
