"""The file of lives: kept twice, and a damaged one is never believed."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from ved.agent.life import FILE_NAMES, Life, read_lives, save_lives

LIVES = [Life("fs", bytes([number]) * 16, 5, "boot", 70, 900, number and 40) for number in (1, 0)]


def test_what_is_over_and_trimmed_is_forgotten(tmp_path: Path) -> None:
    save_lives(tmp_path, LIVES)
    assert read_lives(tmp_path, 0) == LIVES
    assert read_lives(tmp_path, 40) == LIVES[1:]
    assert read_lives(tmp_path / "nowhere", 0) is None


@pytest.mark.parametrize("name", FILE_NAMES)
def test_any_flipped_bit_of_one_file_costs_nothing(tmp_path: Path, name: str) -> None:
    save_lives(tmp_path, LIVES)
    whole = (tmp_path / name).read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        (tmp_path / name).write_bytes(changed)
        assert read_lives(tmp_path, 0) == LIVES
    (tmp_path / name).write_bytes(b"")
    assert read_lives(tmp_path, 0) == LIVES
    (tmp_path / name).unlink()
    assert read_lives(tmp_path, 0) == LIVES


def test_two_damaged_files_say_nothing(tmp_path: Path) -> None:
    save_lives(tmp_path, LIVES)
    for name in FILE_NAMES:
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace('"seq": 70', '"seq": 79'))
    assert read_lives(tmp_path, 0) is None


def test_the_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    told = [asdict(life) | {"epoch": life.epoch.hex()} for life in LIVES]
    (tmp_path / FILE_NAMES[0]).write_text(json.dumps(told))
    assert read_lives(tmp_path, 0) == LIVES
