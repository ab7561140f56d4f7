"""What tests share: services that may be absent, a browser, and temporary servers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests of a group share a server or a broker; where xdist does not know of it, each worker has its own."""
    if session.config.getoption("loadgroup", default=False):
        lost = [one.nodeid for one in session.items if one.get_closest_marker("xdist_group") and "@" not in one.nodeid]
        assert not lost, f"xdist does not see the groups of {len(lost)} tests"


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def service_missing() -> Callable[[str], NoReturn]:
    """Call it when a service that the test needs is absent: a skip, or a failure where services are required."""

    def missing(reason: str) -> NoReturn:
        if os.environ.get("VED_REQUIRE_SERVICES") == "1":
            pytest.fail(f"required service is missing: {reason}")
        pytest.skip(reason)

    return missing


@pytest.fixture(scope="session")
def chromium(service_missing: Callable[[str], NoReturn]) -> str:
    """Path of the browser for end-to-end tests."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    return path or service_missing("chromium is not installed (Debian: apt install chromium)")
