"""The Dockerfiles: linted, pinned, and of the same packages as the rest."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.deploy.composefile import ROOT, load

FILES = ("deploy/Dockerfile", "deploy/wireguard/Dockerfile")
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;]+)[^\\\n]*\\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def pins(file: Path) -> dict[tuple[str, str], frozenset[str]]:
    """(name, version) -> hashes; a package may stand there in several versions, for several Pythons."""
    found = PIN.findall(file.read_text() + "\n")
    assert len(found) == len(re.findall(r"^[a-z0-9]", file.read_text(), re.MULTILINE))
    return {(name, version): frozenset(re.findall(r"--hash=([^\s\\]+)", hashes)) for name, version, hashes in found}


@pytest.mark.parametrize("file", FILES)
def test_hadolint_has_nothing_to_say(file: str):
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hadolint"), "--no-color", file],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES)
def test_every_image_is_pinned_to_a_patch(file: str):
    for image in re.findall(r"^FROM (\S+)", (ROOT / file).read_text(), re.MULTILINE):
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-[a-z]+)*", image), image


@pytest.mark.parametrize("lock", ["deploy/requirements.lock", "deploy/build.lock"])
def test_the_image_holds_the_packages_that_are_tested(lock: str):
    tested, shipped = pins(ROOT / "requirements.lock"), pins(ROOT / lock)
    assert len(shipped) >= 5
    for package, hashes in shipped.items():
        assert tested.get(package) == hashes, package


def test_what_the_program_needs_is_in_the_image():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    left_out = {"grafana"}  # dashboards are built in a checkout
    wanted = [*project["dependencies"], *(
        one for extra, those in project["optional-dependencies"].items() if extra not in left_out for one in those
    )]  # fmt: skip
    names = {re.split(r"[\[><=; ]", one)[0].lower() for one in wanted}
    assert names <= {name for name, _ in pins(ROOT / "deploy/requirements.lock")}


def test_the_image_gets_nothing_else_than_what_it_copies():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for words in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE):
        for source in words.split()[:-1]:
            assert (ROOT / source).exists()
            assert source in allowed or source.split("/")[0] in allowed, source


def test_the_image_and_compose_agree():
    text = (ROOT / "deploy/Dockerfile").read_text()
    for name, service in load()["services"].items():
        if service["image"].startswith("ved:") and name != "init":
            assert f"USER {service['user']}\n" in text
    assert 'ENTRYPOINT ["ved"]' in text
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert load()["services"]["init"]["image"] == f"ved:{version}"
