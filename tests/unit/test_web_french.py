"""The server's sentences in French: none is missing, none is left over, and what is filled in stays as it is."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import _pydantic_core
from tests.fuzz import corpus
from tests.unit.web_sentences import HOLE, Sentence, of_source, sentences

from ved.analysis.alarms.binding import bind
from ved.analysis.maths.program import compile_expression
from ved.analysis.maths.syntax import ExpressionError
from ved.dbc.compare import compare
from ved.dbc.formats import read_definitions
from ved.dbc.intake import take_in
from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.model.alarmrule import rule_from
from ved.model.channel import Channel
from ved.web.language import language_of
from ved.web.words import alarms, definitions, maths, requests
from ved.web.words import lint as lint_words
from ved.web.words.catalogue import MAX_CHARS
from ved.web.words.catalogue import Sentence as Entry
from ved.web.words.french import french, french_catalogue

DATA = Path(__file__).parents[1] / "data" / "cantools-dbc"
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


def dbc_texts() -> Iterator[tuple[str, str]]:
    """Files in the wild, each whole and broken in a few ways; and what the fuzzer kept."""
    chance = random.Random(7)
    for path in sorted([*DATA.glob("*.dbc"), *DATA.glob("*.DBC")]):
        text = path.read_bytes().decode("cp1252", "replace")
        if len(text) > 30_000:
            continue
        lines = text.split("\n")
        yield path.name, text
        yield path.name, "\n".join(line[: chance.randrange(4, 80)] if chance.random() < 0.2 else line for line in lines)
        yield path.name, "\n".join(chance.choice(lines) if chance.random() < 0.2 else line for line in lines)
        yield path.name, re.sub(r"\d", lambda one: one[0] if chance.random() < 0.9 else str(chance.randrange(10)), text)
    for data in corpus.read("DBC"):
        yield "fuzz.dbc", data.decode("utf-8", "replace")


def said_of(name: str, text: str) -> tuple[list[str], list[str], set[str]]:
    """What lint finds in a text and advises, with the codes; or why the text is refused."""
    try:
        findings = lint([LintedFile.read(DbcSource(None, "", name, text))])
    except UserError as error:
        return [str(error)], [], set()
    return [one.what for one in findings], [one.advice for one in findings], {one.code for one in findings}


def test_no_finding_of_a_broken_file_stays_english() -> None:
    codes = set()
    for name, text in dbc_texts():
        what, advice, found = said_of(name, text)
        codes |= found
        assert [one for one in (*what, *advice) if french(one) == one] == [], name
    assert codes >= {
        *("faulty-line", "duplicate-id", "duplicate-name", "multiplexer", "unknown-name", "out-of-frame", "overlap"),
        *("unused-multiplexer", "unreachable-page", "scale-zero", "limits", "value-table", "length", "no-signals"),
    }


HEAD = "id,message,signal,start,length,order,sign,scale,unit,multiplexer,values\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"x"),
        ("a", b"x"),
        ("a.dbc", b"\0"),
        ("a.dbc", b"x" * (9 << 20)),
        ("a.dbc", b""),
        ("a.dbc", b"BO_ 1 A 8"),
        ("a.dbc", b"BO_ 1 " + b"A" * 251 + b": 8 X\n"),
        ("a.kcd", b"<x"),
        ("a.kcd", b'<NetworkDefinition xmlns="http://kayak.2codeornot2code.org/1.0"/>'),
        ("a.xlsx", b"PK"),
        ("a.csv", b""),
        ("a.csv", HEAD.encode() + b"0x1FFFFFFFF,A,S,0,8\n"),
        *(("a.csv", f"{HEAD}{row}\n".encode()) for row in (
            "id,A,S,0,8", "1,,S,0,8", "1,A,S,x,8", "1,A,S,0,99", "1,A,S,0,8,up", "1,A,S,0,8,,maybe",
            "1,A,S,0,8,,,much", "1,A,S,0,8,,,,,what", "1,A,S,0,8,,,,,,yes",
        )),
    ],
)  # fmt: skip
def test_no_refusal_of_a_file_stays_english(name: str, data: bytes) -> None:
    with pytest.raises(UserError) as refused:
        take_in(data, name, "main")
    assert french(str(refused.value)) != str(refused.value)


@pytest.mark.parametrize("kind", ["csv", "kcd", "sym", "xlsx"])
def test_nothing_that_is_said_of_a_fuzzed_file_stays_english(kind: str) -> None:
    inputs = corpus.read(kind)
    assert inputs
    for data in inputs:
        try:
            taken = take_in(data, f"fuzz.{kind}", "main")
        except UserError as error:
            said = [str(error)]
        else:
            said = [text for one in taken.findings for text in (one.what, one.advice)] + list(taken.losses)
        assert [one for one in said if french(one) == one] == []


def test_no_loss_of_another_format_stays_english() -> None:
    losses = [
        loss
        for path in sorted(DATA.iterdir())
        if path.suffix in {".kcd", ".sym", ".arxml"} and path.stat().st_size < 60_000
        for loss in read_definitions(path.read_bytes(), path.name).losses
    ]
    assert losses
    assert [loss for loss in losses if french(loss) == loss] == []


def test_no_effect_stays_english() -> None:
    texts = [(DATA / name).read_text("cp1252") for name in ("foobar.dbc", "motohawk.dbc", "floating_point.dbc")]
    sets = [load_set([DbcSource(0, "main", "a.dbc", text)]).messages for text in texts]
    turned = load_set([DbcSource(0, "main", "a.dbc", texts[0].replace("@1", "@0").replace("Foo", "Fou"))]).messages
    changes = [change for one in (*sets[1:], turned) for change in (*compare(sets[0], one), *compare(one, sets[0]))]
    assert len({change.effect for change in changes}) > 5
    assert [one.effect for one in changes if french(one.effect) == one.effect] == []


CHANNELS = [
    Channel(f"A.{name}", unit, "continuous", None, "A", name, 1, False)
    for name, unit in [("Speed", "km/h"), ("Torque", "Nm"), ("Speed2", ""), ("a", ""), ("b", ""), ("c", ""), ("d", "")]
] + [Channel("B.Torque", "Nm", "continuous", None, "B", "Torque", 2, False)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "(", "Speed +", "Speed Speed", "1 < 2 < 3", "max(Speed", "Speed & 1", 'x "', "x [", "x ? 1", "#"),
        *("-" * 99, "integral()", "(" * 99, "x" * 3000, "1 + 2", "*", "Torque", "Spee", "Zzz", "A.*", "Q.*", "sqr(Speed)"),
        *("zzz(Speed)", "Speed + A.Torque", "sqrt(Speed, 1)", "if(Speed, 1, 2)", "if()", "max()", "sin(Speed)"),
        *("lag(Speed)", "integral(1)", "lag(Speed, Speed)", "lag(Speed, 1 [V])", "lag(Speed, 0)", "2 ** Speed"),
    ],
)  # fmt: skip
def test_no_error_of_an_expression_stays_english(text: str) -> None:
    with pytest.raises(ExpressionError) as wrong:
        compile_expression(text, CHANNELS)
    error = wrong.value
    assert french(error.reason) != error.reason
    assert french(str(error)) == f"position {error.position}\xa0: {french(error.reason)}"


def test_nothing_that_is_said_of_a_fuzzed_expression_stays_english() -> None:
    inputs = corpus.read("maths")
    assert inputs
    for data in inputs:
        try:
            compile_expression(data.decode("utf-8", "replace"), CHANNELS, "m/s")
        except ExpressionError as error:
            assert french(error.reason) != error.reason  # noqa: PT017


RULE = {"id": "a", "kind": "above", "title_en": "A", "title_fr": "A", "channel": "A.Speed", "limit": 3}


@pytest.mark.parametrize(
    "values",
    [
        *({"colour": 1}, {"id": 3}, {"guard": 3}, {"guard": {"channel": "x"}}, {"values": 3}, {"id": "A b"}),
        *({"kind": "x"}, {"severity": "x"}, {"source": 3}, {"latch": 3}, {"limit": "x"}, {"hysteresis": -1}),
        *({"on_delay_ms": -1}, {"mask": -1}, {"limit": None}, {"low": 3}, {"kind": "rate", "limit": 0}),
        {"kind": "outside", "limit": None, "low": 3, "high": 2},
    ],
)  # fmt: skip
def test_no_refusal_of_a_rule_stays_english(values: dict[str, object]) -> None:
    with pytest.raises(UserError) as refused:
        rule_from({**RULE, **values})
    assert french(str(refused.value)) != str(refused.value)


def test_no_reason_of_an_idle_rule_stays_english() -> None:
    kinds: list[dict[str, object]] = [
        {"is_enabled": False},
        {"channel": "A.none"},
        {"guard": {"channel": "A.none", "above": 1}},
        {"kind": "no_data", "limit": None, "for_ms": 5},
        {"kind": "expression", "channel": "", "limit": None, "expression": "Zzz > 3"},
        {"kind": "expression", "channel": "", "limit": None, "expression": "lap_integral(A.a) > 3"},
    ]
    rules = [rule_from({**RULE, **one, "id": f"r{number}"}) for number, one in enumerate(kinds)]
    idle = bind(rules, CHANNELS, with_silence=False).idle
    assert len(idle) == len(kinds)
    assert [why for why in idle.values() if french(why) == why] == []


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
