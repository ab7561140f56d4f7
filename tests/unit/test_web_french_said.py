"""What the program says of broken files, expressions and rules: none of it stays English."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import corpus

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
from ved.web.words.french import french

DATA = Path(__file__).parents[1] / "data" / "cantools-dbc"


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


NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-300, 300))
LINES = st.builds(
    ' SG_ {}{} : {}|{}@{} ({},{}) [{}|{}] "{}" X'.format,
    st.sampled_from(["a", "b", "Temp_1", "YawAngle", "Voltage", "Torque", "rpm"]),
    st.sampled_from(["", "", " M", " m0", " m7", " m0M", " m99999999999999999999"]),
    st.integers(0, 80),
    st.integers(0, 70),
    st.sampled_from(["1+", "1-", "0+", "0-"]),
    *[NUMBERS] * 4,
    st.sampled_from(["", "rad", "deg", "V", "°C", "degC", "Nm", "Â°C", "A", "%"]),
)
MORE = st.sampled_from(
    ['VAL_ 1 a 0 "x" 999 "y" ;', "SIG_VALTYPE_ 1 b : 1;", "SG_MUL_VAL_ 1 a b 3-9;", "BO_ 2 M: 9 X", "BO_ 1 N: 8 X", "x"]
)


@given(st.integers(0, 70), st.lists(st.one_of(LINES, LINES, LINES, MORE), max_size=8))
def test_no_finding_of_any_definition_stays_english(length: int, lines: list[str]) -> None:
    what, advice, _ = said_of("car.dbc", "\n".join([f"BO_ 1 M: {length} X", *lines, ""]))
    assert [one for one in (*what, *advice) if french(one) == one] == []


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
        "-" * 99,
        *("integral()", "(" * 99, "x" * 3000, "1 + 2", "*", "Torque", "Spee", "Zzz", "A.*", "Q.*", "sqr(Speed)"),
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
