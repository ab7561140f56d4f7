"""Secrets of a deployment: fresh, private, never overwritten, and the same wherever two programs must agree."""

import itertools
import os
import stat
from pathlib import Path

import pytest

from ved.cli.init import SECRETS, hand_over, make_secrets
from ved.config.settings import load_settings
from ved.errors import UserError

FILES = [name for secret in SECRETS for name, _ in secret.files]


def all_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_all_are_made_for_their_owner_alone_and_no_two_deployments_share_one(tmp_path: Path):
    assert sorted(make_secrets(tmp_path / "a")) == sorted(FILES)
    make_secrets(tmp_path / "b")
    for name, one in all_of(tmp_path / "a").items():
        assert stat.S_IMODE((tmp_path / "a" / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "a" / name).parent.stat().st_mode) == 0o700
        assert one != (tmp_path / "b" / name).read_bytes()
        assert one == one.strip()
        assert len(one) >= 22
    different = set()
    for secret in SECRETS:
        different.add((tmp_path / "a" / secret.files[0][0]).read_bytes())
    assert len(different) == len(SECRETS)


@pytest.mark.parametrize("kept", [*itertools.combinations(range(len(FILES)), 1), (), (0, 3), tuple(range(len(FILES)))])
def test_what_is_left_of_them_decides_what_is_made_again(tmp_path: Path, kept: tuple[int, ...]):
    """However a first start was cut short, or whichever volume was lost: readers of one secret agree afterwards."""
    make_secrets(tmp_path)
    before = all_of(tmp_path)
    for number, name in enumerate(FILES):
        if number not in kept:
            (tmp_path / name).unlink()
    made = make_secrets(tmp_path)
    after = all_of(tmp_path)
    assert {FILES.index(name) for name in made} == set(range(len(FILES))) - set(kept)
    for number in kept:
        assert after[FILES[number]] == before[FILES[number]]
    for secret in SECRETS:
        words = {
            after[name].decode().removeprefix(text.partition("{}")[0]).removesuffix(text.partition("{}")[2])
            for name, text in secret.files
        }
        assert len(words) == 1


def test_two_that_disagree_are_named_and_none_is_changed(tmp_path: Path):
    make_secrets(tmp_path / "a")
    make_secrets(tmp_path / "b")
    (tmp_path / "a/ved/ved_db_url").write_bytes((tmp_path / "b/ved/ved_db_url").read_bytes())
    before = all_of(tmp_path / "a")
    with pytest.raises(UserError, match="postgres/password and ved/ved_db_url hold different"):
        make_secrets(tmp_path / "a")
    assert all_of(tmp_path / "a") == before


@pytest.mark.parametrize("text", ["", "short", "a b c d e f g h i j k l m n", "x" * 200, "p\x00ssword" * 4])
def test_a_damaged_one_is_named(tmp_path: Path, text: str):
    make_secrets(tmp_path)
    (tmp_path / "grafana/secret_key").write_text(text)
    with pytest.raises(UserError, match="secret_key: this is not what"):
        make_secrets(tmp_path)


def test_the_roles_settings_come_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_secrets(tmp_path)
    monkeypatch.setenv("VED_SECRETS", str(tmp_path / "ved"))
    settings = load_settings(None, {})
    password = (tmp_path / "postgres/password").read_text()
    assert settings.db_url == f"postgresql+psycopg://ved:{password}@postgres:5432/ved"
    assert settings.metrics_token.get_secret_value() == (tmp_path / "ved/ved_metrics_token").read_text()
    file = tmp_path / "ved.toml"
    file.write_text('db_url = "sqlite:///file"\nmetrics_token = "file"\n')
    monkeypatch.setenv("VED_DB_URL", "sqlite:///environment")
    settings = load_settings(file, {})
    assert settings.db_url == "sqlite:///environment"
    assert settings.metrics_token.get_secret_value() != "file"
    monkeypatch.setenv("VED_SECRETS", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"VED_SECRETS: .*nothing is no folder"):
        load_settings(None, {})
    monkeypatch.setenv("VED_SECRETS", str(tmp_path))
    with pytest.raises(UserError, match=r"holds no secret of ved; .*FOLDER/ved"):
        load_settings(None, {})


@pytest.mark.parametrize("owner", ["", "ved", "=1", "ved=", "ved=root", "ved=-1", "nothing=1"])
def test_owners_that_are_none_are_refused(tmp_path: Path, owner: str):
    with pytest.raises(UserError, match="give FOLDER=UID"):
        hand_over([owner])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give files away")
def test_each_folder_goes_to_its_reader(tmp_path: Path):
    make_secrets(tmp_path)
    (tmp_path / "postgres" / "link").symlink_to(tmp_path / "grafana" / "secret_key")
    (tmp_path / "ved" / "deeper").mkdir()
    hand_over([f"{tmp_path}/postgres=70", f"{tmp_path}/ved=71"])
    assert (tmp_path / "ved" / "deeper").stat().st_uid == 71
    assert {(tmp_path / name).stat().st_uid for name in FILES if name.startswith("postgres/")} == {70}
    assert (tmp_path / "ved").stat().st_uid == 71
    assert (tmp_path / "grafana/secret_key").stat().st_uid == 0
    assert make_secrets(tmp_path) == []
