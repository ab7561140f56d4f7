import re
import tomllib
from pathlib import Path

import pytest

from ved.config.settings import ServerSettings, load_settings
from ved.errors import UserError


def test_the_sample_shows_every_setting_and_loads(root: Path):
    sample = root / "docs" / "ved.sample.toml"
    assert set(tomllib.loads(sample.read_text())) == set(ServerSettings.model_fields)
    loaded = load_settings(sample, {})
    defaults = load_settings(None, {})
    different = {name for name in ServerSettings.model_fields if getattr(loaded, name) != getattr(defaults, name)}
    assert different == {"link_names"}  # all others are shown with their default


def test_the_command_line_goes_before_the_environment_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "ved.toml"
    file.write_text("web_port = 1\nlink_port = 1\ncommit_s = 1.0\n")
    monkeypatch.setenv("VED_WEB_PORT", "2")
    monkeypatch.setenv("VED_LINK_PORT", "2")
    settings = load_settings(file, {"web_port": 3, "link_port": None})
    assert (settings.web_port, settings.link_port, settings.commit_s) == (3, 2, 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web_prot = 1", r"unknown key 'web_prot'; known keys are .*web_port"),
        ("web_port = 99999", r"web_port = 99999: input should be less than or equal to 65535"),
        ('commit_s = "soon"', r"commit_s = 'soon': input should be a valid number"),
        ("web_port = = 1", r"not valid TOML.*line 1"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, text: str, expected: str):
    file = tmp_path / "ved.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_settings(file, {})
    assert re.search(expected, str(caught.value))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"nothing\.toml: no such settings file"):
        load_settings(tmp_path / "nothing.toml", {})
