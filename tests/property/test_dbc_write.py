"""What is written as DBC reads back as the same definitions, from real files and from made-up ones."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.config.vehicle import read_dbc
from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.parse import parse_dbc
from ved.dbc.write import write_dbc

DATA = Path(__file__).parents[1] / "data"
FILES = sorted(path for path in DATA.glob("*/*") if path.suffix.lower() == ".dbc")


def test_real_files_survive() -> None:
    survived = 0
    for path in FILES:
        messages = parse_dbc(path.name, read_dbc(path)).messages
        written = write_dbc(messages)
        again = parse_dbc("again.dbc", written.text)
        assert again.messages == messages, path.name
        assert written.losses == (), path.name
        survived += bool(messages)
    assert survived == 81


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=40)
names = st.one_of(
    st.sampled_from(["Speed", "A", "vitesse é", "x" * 40, "9to5", 'say "hi"']),
    texts.filter(lambda text: text and not text.endswith("\\")),
)  # `\` before a quote would be part of it


@settings(max_examples=60, deadline=None)
@given(names, st.lists(names, max_size=4, unique=True), texts.filter(lambda text: not text.endswith("\\")), st.data())
def test_any_names_and_numbers_survive(name: str, signals: list[str], text: str, data: st.DataObject) -> None:
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    made = tuple(
        SignalDef(
            one, 8 * index, 8, data.draw(st.booleans()), "signed", data.draw(numbers), data.draw(numbers), -1.5,
            data.draw(numbers), text, ((-3, text), (0, "")), text,
        )
        for index, one in enumerate(signals)
    )  # fmt: skip
    message = MessageDef(name, data.draw(st.integers(0, 0x7FF)), False, 8, data.draw(st.booleans()), None, "", "", made)
    for one in (message, replace(message, is_extended=True, comment=text)):
        assert parse_dbc("x", write_dbc([one]).text).messages == [one]


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        ({"unit": "a\nb"}, "line breaks"),
        ({"comment": "ends\\"}, "backslash"),
        ({"minimum": 0.0, "maximum": 0.0}, "limits 0 to 0"),
        ({"multiplexer": 0, "selectors": ()}, "nothing selects it"),
    ],
)
def test_what_a_dbc_cannot_say_is_told(change: dict[str, object], loss: str) -> None:
    root = SignalDef("M", 0, 8, True, "unsigned", 1, 0, None, None, "", is_multiplexer=True)
    signal = replace(SignalDef("S", 8, 8, True, "unsigned", 1, 0, None, None, ""), **change)
    written = write_dbc([MessageDef("A", 1, False, 8, False, None, "", "", (root, signal))])
    assert len(written.losses) == 1
    assert loss in written.losses[0]
    assert parse_dbc("x", written.text).problems == []


def test_two_buses_become_one() -> None:
    first = MessageDef("A", 1, False, 8, False, 0, "left", "", ())
    second = MessageDef("B", 1, False, 8, False, 1, "right", "", ())
    assert len(write_dbc([first, second]).losses) == 2
    assert write_dbc([first, replace(second, arbitration_id=2)]).losses == (
        "the buses (left, right) are left out: a DBC describes one bus",
    )
