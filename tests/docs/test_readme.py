"""The commands that the README shows are run as they stand; links lead somewhere; both languages show the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = (
    "README.md",
    "README.fr.md",
    "ARCHITECTURE.md",
    "docs/guide.md",
    "docs/guide.fr.md",
    "docs/benchmarks.md",
    "docs/api.md",
    "docs/deploy/compose.md",
    "docs/deploy/compose.fr.md",
    "docs/faults.md",
)


def commands(page: str) -> list[str]:
    """Lines of all sh blocks but the set-up commands, which CI runs."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("make ")]


def test_both_readmes_show_the_same_commands(root: Path):
    english = commands((root / "README.md").read_text())
    assert english == commands((root / "README.fr.md").read_text())
    assert len(english) >= 4


def test_the_commands_work(root: Path, tmp_path: Path):
    (tmp_path / "tests").symlink_to(root / "tests")
    for line in commands((root / "README.md").read_text()):
        program, *arguments = line.split()
        assert program == "ved"
        done = subprocess.run(
            [sys.executable, "-m", "ved.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=150,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if line == "ved lake stats":
            assert "65,296" in done.stdout  # the recording's frames, all of them


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(root: Path, name: str):
    page = root / name
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
