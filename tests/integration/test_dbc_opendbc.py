"""The files of the opendbc package: each loads or is explained, and values equal cantools' on random frames."""

from collections import Counter
from pathlib import Path

import cantools
import opendbc
import textparser
from tests.integration.dbc_judge import compare

from ved.config.vehicle import read_dbc
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError

ROOT = Path(opendbc.__file__).parent
FILES = sorted(ROOT.rglob("*.dbc"))


def load(path: Path) -> DbcSet:
    return load_set([DbcSource(None, "", path.name, read_dbc(path))])


def test_every_file_loads_or_is_explained() -> None:
    loaded, refused = Counter[str](), []
    for path in FILES:
        try:
            dbc_set = load(path)
        except UserError as error:
            refused.append((path, str(error)))
            continue
        loaded.update(files=1, messages=len(dbc_set.messages), channels=len(dbc_set.channels))
        text = read_dbc(path).split("\n")
        for problem in dbc_set.problems:
            assert problem.text == text[problem.line - 1].strip()[:200]
    print("\n", dict(loaded), "refused", len(refused))
    assert loaded["files"] + len(refused) == len(FILES) > 90
    for path, why in refused:  # parts of a generator without any message, or 29-bit ids without their mark
        has_message = any(line.startswith("BO_ ") for line in read_dbc(path).split("\n"))
        assert ("id of more than 11 bits" if has_message else "no CAN message in it") in why, path


def compare_all(frames_each: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in FILES:
        database = cantools.database.can.Database(strict=False)
        try:
            database.add_dbc_string(read_dbc(path))
        except (cantools.database.errors.Error, textparser.ParseError, ValueError):
            counts["refused by cantools"] += 1
            continue
        if database.messages:
            counts += compare(database, load(path), path.name, frames_each)
    return counts


def test_values_equal_cantools_in_every_file() -> None:
    counts = compare_all(4)
    print("\n", dict(counts))
    assert counts["files"] > 60
    assert counts["values"] > 50_000
