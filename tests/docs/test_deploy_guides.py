"""The guides for setting up: commands, options and settings that they show exist; links lead somewhere; both languages
agree."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from ved.cli.main import app
from ved.config.settings import ServerSettings

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "deploy").glob("*.md"))
OWN = [page for page in GUIDES if not page.name.startswith("compose.")]
ENGLISH = [page for page in OWN if not page.name.endswith(".fr.md")]


def french(page: Path) -> Path:
    return page.with_name(page.name.replace(".md", ".fr.md"))


def shown(page: Path) -> list[str]:
    """Every `ved …` in a block or in running text, without what a shell does around it."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [re.search(r"(?:^|[\s/:])ved ([a-z].*)", line) for line in lines]
    return [re.split(r"\s[|>&]+\s?", one[1])[0].strip() for one in found if one]


def check(words: list[str]) -> None:
    """Walk down to the command, then look each option up; raises AssertionError."""
    command = typer.main.get_command(app)
    rest = list(words)
    while (group := getattr(command, "commands", None)) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in group, f"there is no command 'ved {' '.join(words)}'"
        command = group[name]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    used = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert used <= known, f"ved {' '.join(words)}: no option {', '.join(sorted(used - known))}"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path):
    for line in shown(page):
        check(shlex.split(line.replace("…", "").rstrip("'\".,;:")))


def test_a_command_that_is_not_there_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("Then `ved vpn bring-up` and\n```\nVED_X=1 /opt/ved/bin/ved serve --rolls web | tee log\n```\n")
    wrong = shown(page)
    assert wrong == ["serve --rolls web", "vpn bring-up"]
    with pytest.raises(AssertionError, match="no option --rolls"):
        check(shlex.split(wrong[0]))
    with pytest.raises(AssertionError, match="no command"):
        check(shlex.split(wrong[1]))


def test_the_guides_show_the_commands_of_this_part():
    text = "\n".join(line for page in OWN for line in shown(page))
    for command in (
        "vpn init",
        "vpn add",
        "vpn list",
        "vpn remove",
        "doctor --car",
        "backup",
        "restore",
        "agent enrol",
    ):
        assert command in text
    assert len(text.splitlines()) > 60


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.name)
def test_both_languages_show_the_same(page: Path):
    other = french(page)
    assert sorted(shown(page)) == sorted(shown(other))
    for pattern in (r"(?m)^#+ ", r"(?m)^\|", r"(?m)^```", r"(?m)^\d+\. "):
        assert len(re.findall(pattern, page.read_text("utf-8"))) == len(re.findall(pattern, other.read_text("utf-8")))


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert targets
    assert [one for one in targets if "://" not in one and not (page.parent / one).exists()] == []


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path):
    text = page.read_text("utf-8")
    variables = set(re.findall(r"VED_([A-Z_]+)=", text)) - {"VPN_ADDRESS", "SECRETS"}  # compose.yaml; a folder
    assert {one.lower() for one in variables} <= set(ServerSettings.model_fields)
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        assert set(tomllib.loads(block)) <= set(ServerSettings.model_fields)
