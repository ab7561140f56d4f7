"""The server's sentences in French: none is missing, none is left over, and what is filled in stays as it is."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import _pydantic_core
from tests.unit.web_sentences import HOLE, Sentence, of_source, sentences

from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSource
from ved.web.language import language_of
from ved.web.words import alarms, definitions, maths, requests
from ved.web.words import lint as lint_words
from ved.web.words.catalogue import MAX_CHARS
from ved.web.words.catalogue import Sentence as Entry
from ved.web.words.french import french, french_catalogue

ENTRIES = french_catalogue().sentences
TABLES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": table
    for module in (alarms, definitions, lint_words, maths, requests)
    for name, table in [
        *((name, value) for name, value in vars(module).items() if name.isupper() and name != "PHRASES"),
        *getattr(module, "PHRASES", {}).items(),
    ]
}
PYDANTIC = TABLES["requests.invalid"]

ELSEWHERE = {
    "analysis/maths/syntax.py: if(condition, then, else)": "to be written just so",
    "analysis/maths/units.py: deg ": "a unit",
    "analysis/maths/units.py: degree C": "a unit",
    "analysis/maths/units.py: no unit": "never said: what has no unit fits all",
    "dbc/checksums.py": "a kind of checksum",
    "dbc/decode.py": "a mistake of the program",
    "dbc/encode.py": "ved simulate",
    "dbc/guess.py": "ved dbc guess",
    "dbc/wire.py": "ved dbc lint over a recording",
    "dbc/formats.py: cannot write ": "ved dbc convert",
    "dbc/formats.py: a signal": "never said: every signal has a name",
    "dbc/lint_units.py: deg C": "a unit",
    "dbc/lint_units.py: degree C": "a unit",
    "dbc/lint_units.py: Deg C": "a unit",
    "dbc/load.py: id {} is already ": "ved dbc lint and the log",
    "dbc/sheet.py: {} is a CAN FD message ": "ved dbc convert",
    "dbc/sheet.py: {} stands for its whole J1939 group": "ved dbc convert",
    "dbc/sheet.py: {} is a multiplexer that selects nothing": "ved dbc convert",
    "dbc/sheet.py: {}: spaces around texts": "ved dbc convert",
    "dbc/write.py:  SG_ ": "a line of a DBC",
    "api/frame.py": "the Python API",
    "api/opened.py": "the Python API",
    "api/play.py": "the Python API",
    "api/sql.py": "the Python API",
    "api/export.py: {}: cannot be written: there is no folder": "web writes into a folder of its own",
    "api/export.py: {}: is there already": "web writes into a folder of its own",
    "api/recorded.py: channels: ": "the Python API",
    "db/database.py": "at the start",
    "web/role.py": "at the start",
    "web/passwords.py: nobody has this password": "a password",
    "web/routes/metrics.py": "for Prometheus",
}
"""What stands in the modules that are looked at, and never reaches the page."""


SINGLE_WORDS = (
    "itself",
    "none",
    "maths",
    "viewer",
    "engineer",
    "unsigned",
    "signed",
    ".kcd",
    ".sym",
    ".arxml",
    ".xlsx",
    "KCD",
    "SYM",
    "ARXML",
)
"""Parts of sentences that are one word in the source, and so no prose there."""


def in_order(parts: list[str], text: str, *, is_whole: bool) -> bool:
    """The parts stand in the text one after the other; from its begin to its end where it is the whole."""
    at = 0
    for one in parts:
        at = text.find(one, at)
        if at < 0:
            return False
        at += len(one)
    return not is_whole or (text.startswith(parts[0]) and text.endswith(parts[-1]))


def missing(found: list[Sentence]) -> list[str]:
    """Those that no entry has."""
    known = [one.english for one in ENTRIES]
    return [
        f"{one.where}: {one.text.replace(HOLE, '{}')!r}"
        for one in found
        if not place_of(one).startswith(tuple(ELSEWHERE))
        and not any(in_order(one.parts, text, is_whole=one.is_told) for text in known)
        and (HOLE in one.text or french(one.text) == one.text)
    ]


def place_of(one: Sentence) -> str:
    """As ELSEWHERE names it."""
    return f"{one.where.removeprefix('src/ved/').rpartition(':')[0]}: {one.text.replace(HOLE, '{}')}"


def test_every_sentence_that_can_reach_the_page_has_its_french() -> None:
    found = sentences()
    assert len(found) > 300
    assert missing(found) == [], "add these to src/ved/web/words (or to ELSEWHERE, with the reason)"


@pytest.mark.parametrize(
    "source",
    [
        'raise UserError(f"{name}: is much too blue")',
        'raise ExpressionError(3, "give it " + ("a red hat" if is_red else "an end"))',
        'yield Finding("code", "error", f"{name} is of no colour at all", advice)',
        'what += f"; {count} of them are blue"',
        'return denied(404, "unknown", "no colour has this name")',
        'raise HTTPException(400, {"code": "x", "message": f"{where}: no colour"})',
        'self.problem(at, f"has the colour of {name}")',
    ],
)
def test_a_new_sentence_is_found(source: str) -> None:
    assert missing(of_source(source)) != []


def test_whatever_stands_in_elsewhere_is_there() -> None:
    places = [place_of(one) for one in sentences()]
    assert [one for one in ELSEWHERE if not any(place.startswith(one) for place in places)] == []


def test_no_entry_is_left_over() -> None:
    """Every word of an entry stands in a text of the source, or of pydantic."""
    texts = [part for one in sentences() for part in one.parts]
    texts += [part for text in pydantic_sentences() for part in text.split(HOLE)]
    parts = {part for part in texts if re.search("[A-Za-z]{2}", part)} | {*SINGLE_WORDS}
    left = {}
    for entry in ENTRIES:
        rest = [*entry.english]
        for part in parts:
            at = entry.english.find(part)
            while at >= 0:
                rest[at : at + len(part)] = " " * len(part)
                at = entry.english.find(part, at + 1)
        if re.search("[A-Za-z]{2}", "".join(rest)):
            left[entry.english.replace(HOLE, "{}")] = "".join(rest).split()
    assert left == {}


def pydantic_sentences() -> Iterator[str]:
    for error in _pydantic_core.list_all_errors():
        for plural in ("", "s"):
            text = error["message_template_python"].replace("{expected_plural}", plural)
            yield re.sub(r"\{\w+\}", HOLE, text)
    yield from ("Input should be '", "JSON decode error", "not more")


def parts_for(entry: Entry) -> list[str]:
    of = {"": "Motor_1.speed", "n": "-17.5", "t": "20,001", "l": "A.b, C.d", "d": "0 main, 1 sensor"}
    return [of[kind] for kind in entry.kinds]


def english_of(entry: Entry, parts: list[str]) -> str:
    out = entry.texts[0]
    for part, text in zip(parts, entry.texts[1:], strict=True):
        out += part + text
    return out


def test_every_entry_is_understood() -> None:
    for entry in ENTRIES:
        parts = parts_for(entry)
        english = english_of(entry, parts)
        assert french(english) == entry.filled(parts), english
        assert french(english) != english


def test_every_part_is_in_both() -> None:
    for name, table in TABLES.items():
        for english, other in table.items():
            numbers = [set(re.findall(r"\{[^}]*\}", text)) for text in (english, other)]
            assert numbers[1] <= numbers[0], english
            assert numbers[1] == numbers[0] or name == "requests.invalid", english


def test_french_is_written_as_french() -> None:
    for entry in ENTRIES:
        text = entry.filled(parts_for(entry))
        assert not re.search(r" [:;?!»]|« |[a-zé]'[a-zéè]", text), text


words = st.sampled_from(sorted({text for entry in ENTRIES for text in entry.texts if text}))
names = st.lists(st.one_of(words, st.text(max_size=5)), max_size=4).map("".join)


@given(st.sampled_from(ENTRIES), st.data())
def test_what_is_filled_in_stays_as_it_is(entry: Entry, data: st.DataObject) -> None:
    """Names made of the catalogue's own words: the sentence is said with them untouched, or not at all."""
    parts = [data.draw(names) if kind == "" else part for kind, part in zip(entry.kinds, parts_for(entry), strict=True)]
    english = english_of(entry, parts)
    assert french(english) in (english, entry.filled(parts))


@pytest.mark.parametrize(
    "name", ["X has scale 0: its value is always 1", "switched off", "A and B (line 3) of C share bit 4"]
)
def test_a_hostile_name_is_not_translated(name: str) -> None:
    text = f'BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (0,0) [0|0] "" X\nBA_ "SystemSignalLongSymbol" SG_ 1 S "{name}";\n'
    (one,) = lint([LintedFile.read(DbcSource(None, "", "car.dbc", text))])
    assert one.what == f"{name} has scale 0: its value is always 0"
    assert french(one.what) in (one.what, f"{name} a l’échelle 0\xa0: sa valeur est toujours 0")


@pytest.mark.parametrize("unit", ["a", ": ", " is ", " has ", "'", "{0}", "this line ", HOLE, ", and in line ", "« "])
def test_long_texts_stay_as_they_are(unit: str) -> None:
    for length in (MAX_CHARS, 1 << 20):
        text = (unit * (length // len(unit) + 1))[:length]
        assert french(text) == text


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("en", "en"),
        ("FR-fr", "fr"),
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("en;q=0.3, fr ; q=0.7", "fr"),
        ("fr, en", "fr"),
        ("en, fr", "en"),
        ("de", "en"),
        ("de, fr;q=0.5", "fr"),
        ("*", "en"),
        ("fr;q=0", "en"),
        ("fr;q=0.5, *", "en"),
        ("*;q=0.1, fr", "fr"),
        ("en;q=0, *", "fr"),
        ("fr;q=2", "en"),
        ("français", "en"),
        (";;,,=", "en"),
        ("x" * 100_000 + ",fr", "en"),
        ("en;q=0," * 100_000, "en"),
    ],
)
def test_the_language_that_a_browser_asks_for(header: str, language: str) -> None:
    assert language_of(header) == language
