"""cantools' own collection of DBC files: each loads or is explained, and values equal cantools' on random frames."""

import logging
from collections import Counter
from pathlib import Path

import cantools
import pytest
from tests.integration.dbc_judge import compare

from ved.config.vehicle import read_dbc
from ved.dbc.formats import read_definitions, to_dbc_text
from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.dbc.wire import lint_wire, tally
from ved.errors import UserError
from ved.logfiles.open_log import open_log

FOLDER = Path(__file__).parents[1] / "data" / "cantools-dbc"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix.lower() == ".dbc")
WITHOUT_MESSAGES = {
    "BU_EV_REL_.dbc", "bus_comment_bare.dbc", "bus_comment_bare_out.dbc", "cp1252.dbc", "empty_ns.dbc",
    "environment_variable_data.dbc", "environment_variable_multiple_access_nodes.dbc", "issue_62.dbc",
}  # fmt: skip
WITHOUT_USABLE_MESSAGES = {"issue_199.dbc": "line 45 has an id", "issue_199_extended.dbc": "line 45 has an id"}
LOADED_WITH_PROBLEMS = {
    "bad_message_length.dbc": [(40, "out-of-frame")],
    "incorrect-sig_valtype.dbc": [(45, "unknown-name")],
    "incorrect-val.dbc": [(45, "unknown-name")],
}
NOT_FOR_CANTOOLS = {"incorrect-sig_valtype.dbc", "incorrect-val.dbc", *WITHOUT_USABLE_MESSAGES}

logging.getLogger("cantools").setLevel(logging.CRITICAL)


def load(path: Path) -> DbcSet:
    return load_set([DbcSource(None, "", path.name, read_dbc(path))])


def test_every_file_loads_or_is_explained() -> None:
    reasons: dict[str, str] = {}
    for path in FILES:
        try:
            loaded = load(path)
        except UserError as error:
            reasons[path.name] = str(error)
            continue
        found = [(problem.line, problem.code) for problem in loaded.problems]
        assert found == LOADED_WITH_PROBLEMS.get(path.name, []), path.name
    assert (len(FILES), len(reasons)) == (89, 10)
    expected = dict.fromkeys(WITHOUT_MESSAGES, "no CAN message in it") | WITHOUT_USABLE_MESSAGES
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in reasons.items())


def test_no_check_fails_on_any_file() -> None:
    checked = 0
    for path in FILES:
        if path.name in WITHOUT_MESSAGES | WITHOUT_USABLE_MESSAGES.keys():
            continue
        text = read_dbc(path)
        for finding in lint([LintedFile.read(DbcSource(None, "", path.name, text))]):
            assert finding.text == text.split("\n")[finding.line - 1].strip()[:200]
            assert finding.what
            assert finding.advice
        checked += 1
    assert checked == 79


def compare_file(path: Path, frames_each: int) -> Counter[str]:
    """Decode the same random frames with both; how much was compared. Empty where cantools refuses the file."""
    database = cantools.database.can.Database(strict=False)
    counts: Counter[str] = Counter()
    try:
        database.add_dbc_string(read_dbc(path))
    except (cantools.database.errors.Error, ValueError):
        assert path.name in NOT_FOR_CANTOOLS
        return counts
    if not database.messages:
        assert path.name in WITHOUT_MESSAGES
        return counts
    return compare(database, load(path), path.name, frames_each)


def compare_all(frames_each: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in FILES:
        counts += compare_file(path, frames_each)
    return counts


def test_values_equal_cantools() -> None:
    counts = compare_all(16)
    assert (counts["files"], counts["messages"], counts["signals"]) == (77, 418, 1107)
    assert counts["messages with a line set aside"] == 0
    assert counts["j1939"] >= 2
    assert counts["values"] > 10_000


@pytest.mark.slow
def test_values_equal_cantools_on_many_frames() -> None:
    counts = compare_all(1_000)
    print("\n" + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    assert counts["values"] > 700_000


@pytest.mark.parametrize("name", ["tester.kcd", "vehicle.kcd", "signal-types-6.0.sym", "jopp-6.0.sym",
                                  "multiplexed_variables.sym", "comments_hex_and_motorola.sym", "system-3.2.3.arxml",
                                  "system-4.2.arxml"])  # fmt: skip
def test_other_formats_as_dbc_decode_as_cantools_does(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    found = read_definitions(data, name)
    dbc_set = load_set([DbcSource(None, "", name, to_dbc_text(data, Path(name).suffix, name))])
    assert [message.signals for message in dbc_set.messages] == [message.signals for message in found.messages]
    encoding = "cp1252" if name.endswith(".sym") else "utf-8"
    database = cantools.database.load_file(FOLDER / name, strict=False, encoding=encoding)
    assert compare(database, dbc_set, name, 8)["messages"] == len(found.messages) > 0


def test_what_other_formats_say_and_we_cannot_is_named() -> None:
    def losses(name: str) -> str:
        return " ".join(read_definitions((FOLDER / name).read_bytes(), name).losses)

    assert "Radio.StationId7 is there twice" in losses("the_homer.kcd")
    assert "Message7.Signal1 has 128 bits" in losses("message_layout.kcd")
    assert "OneToContainThemAll is a container" in losses("system-4.2.arxml")


def test_the_shipped_vehicles_are_clean_and_the_recordings_have_what_they_have() -> None:
    root = FOLDER.parents[2]
    shipped = sorted((root / "vehicles").glob("*/*.dbc"))
    assert len(shipped) >= 6
    for path in shipped:
        assert lint([LintedFile.read(DbcSource(None, "", path.name, read_dbc(path)))]) == [], path
    messy = FOLDER.parent / "canedge-gnss-two-parts"
    files = [LintedFile.read(DbcSource(None, "", "gnss.dbc", read_dbc(messy / "gnss.dbc")))]
    assert Counter(finding.code for finding in lint(files)) == {"duplicate-name": 9}
    seen = tally(open_log(messy / "part-1.MF4").chunks())
    codes = Counter(finding.code for finding in lint_wire(files, "part-1.MF4", seen))
    assert codes == {"never-seen": 9, "unknown-id": 6}
