"""A whole server as a person would start it: `ved serve` in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

START_S = 90
WAIT_MS = 60_000
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Ved:
    """Runs `ved` commands on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data.with_suffix(".log")

    def run(self, *arguments: str, timeout_s: float = 120, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run to the end; output as text."""
        return subprocess.run(
            [sys.executable, "-m", "ved.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=cwd or self.data.parent,
        )

    def stats(self) -> dict[str, int]:
        done = self.run("lake", "stats", "--data", str(self.data), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def serving(self, *, is_killed: bool = False) -> Iterator["Serving"]:
        """A server that runs for the length of the block and must stop cleanly (unless the block kills it)."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ved.cli", "serve", "--data", str(self.data), "--web-port", "0",
                 "--link-port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                cwd=self.data.parent,
            )  # fmt: skip
        try:
            yield Serving(process, self)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
            code = process.wait(timeout=60)
            process.stdout.close()
        assert is_killed or code == 0, self.log.read_text()


class Serving:
    """A running server: where it is, and its processes."""

    def __init__(self, process: subprocess.Popen[str], ved: Ved) -> None:
        self.process = process
        self.ved = ved
        self.signin_link = ""
        assert process.stdout is not None
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            line = process.stdout.readline()
            if not line:
                break
            if found := re.search(r"http://\S+/signin\?token=\S+", line):
                self.signin_link = found[0]
                self.origin = found[0].split("/signin")[0]
                return
        raise AssertionError(f"the server printed no sign-in link:\n{ved.log.read_text()}")

    def role_pid(self, role: str) -> int:
        """Process id of a role."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    stat = (folder / "stat").read_text()
                except OSError:
                    continue
                if b"ved.cli.role" in words and words[words.index(b"ved.cli.role") + 1] == role.encode():
                    parent = int(stat.rsplit(")", 1)[1].split()[1])
                    if parent == self.process.pid:
                        return int(folder.name)
        raise LookupError(role)


@pytest.fixture
def ved(tmp_path: Path) -> Ved:
    """Commands on an empty data folder."""
    return Ved(tmp_path / "ved-data")


@pytest.hookimpl(tryfirst=True)  # xdist must see the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the server run in one worker."""
    for item in items:
        if "served" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("served"))


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium. Not for the whole run: its event loop would stand in the way of tests that bring one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def signed_in_page(browser: Browser, served: "Serving", **looks: Any) -> Iterator[Page]:
    """A page in a context that `looks` so; anything that the browser complains about fails at the end."""
    context = browser.new_context(locale="en-GB", **looks)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(served.ved.run("signin", "--data", str(served.ved.data)).stdout.strip())
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(browser: Browser, served: "Serving") -> Iterator[Page]:
    """A signed-in page."""
    with signed_in_page(browser, served, viewport={"width": 1440, "height": 1000}) as page:
        yield page


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Serving"]:
    """The running server that all tests share which ask for it: each uses vehicles, or epochs, of its own."""
    ved = Ved(tmp_path_factory.mktemp("served") / "ved-data")
    with ved.serving() as serving:
        with signed_in_client(serving) as client:
            for method, path, body in (
                ("PATCH", "/api/me", {"name": "First"}), ("PUT", "/api/me/password", {"password": "first of all"}),
            ):  # fmt: skip
                assert client.request(method, path, json=body).is_success
        yield serving


@contextmanager
def signed_in_client(serving: Serving) -> Iterator[httpx.Client]:
    """A program that came in by a new sign-in link."""
    with httpx.Client(base_url=serving.origin, headers={"Origin": serving.origin}, timeout=60) as client:
        client.get(serving.ved.run("signin", "--data", str(serving.ved.data)).stdout.strip())
        yield client


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds (bounded)."""

    def wait(holds: Callable[[], object], what: str, limit_s: float = 60) -> None:
        until = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < until, f"not within {limit_s:.0f} s: {what}"
            time.sleep(0.2)

    return wait
