"""The threat table cannot lie: every test that it names is there, and no threat is without one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(test_\w+\.py)(?:::(\w+))?`")
FILES = {path.name: path for path in TESTS.rglob("test_*.py")}


@cache
def collected(file: str) -> frozenset[str]:
    """What pytest finds in it: functions at its top (and methods of classes) that are named test_…"""
    body = ast.parse(FILES[file].read_text()).body
    classes = [inner for one in body if isinstance(one, ast.ClassDef) for inner in one.body]
    functions = [one for one in [*body, *classes] if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(one.name for one in functions if one.name.startswith("test_"))


def threats() -> list[str]:
    """The lines of all tables whose last column names tests."""
    lines, is_table = [], False
    for line in TEXT.splitlines():
        if line.startswith("| threat |"):
            is_table = True
        elif not line.startswith("|"):
            is_table = False
        elif is_table and not line.startswith("|---"):
            lines.append(line)
    return lines


def test_there_are_threats():
    assert len(threats()) > 40


@pytest.mark.parametrize("line", threats(), ids=lambda line: line.split("|")[1].strip()[:40])
def test_a_threat_has_tests_that_exist(line):
    named = NAMED.findall(line.rstrip(" |").rpartition("|")[2])
    assert named, line
    for file, function in named:
        assert file in FILES, file
        assert collected(file), f"{file} has no test"
        assert not function or function in collected(file), f"{file}::{function}"


def test_names_elsewhere_in_the_text_exist_too():
    for file, function in NAMED.findall(TEXT):
        assert file in FILES, file
        assert not function or function in collected(file)
