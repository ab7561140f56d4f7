"""Line protocol and JSON values: what was written comes back, and nothing that comes can do harm."""

import json
import math
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.errors import CorruptDataError, UserError
from ved.model.samples import SampleRows
from ved.sensors.jsonvalues import TopicPattern, add_json_value
from ved.sensors.lineprotocol import parse_lines
from ved.sensors.values import FUTURE_US, MAX_CHANNELS, NO_TIME, PAST_US, Placer, ValueList, channel_of

DEFAULT = settings(max_examples=40, deadline=None)
LONG = settings(max_examples=5_000, deadline=None)
NOW_US = 1_780_000_000_000_000

names = st.text(st.sampled_from(string.ascii_letters + string.digits + "_-. ,=é°/[]"), min_size=1, max_size=12)


@st.composite
def fields(draw: st.DrawFn) -> tuple[str, str, float | None]:
    """(key, text of the value, what it is; None: a text)."""
    key = draw(names)
    kind = draw(st.sampled_from(["float", "int", "unsigned", "bool", "text"]))
    if kind == "float":
        value = draw(st.floats(allow_nan=False, allow_infinity=False))
        text = draw(st.sampled_from([repr(value), f"{value:e}", f"{value:+.3f}"]))
        return key, text, float(text)
    if kind == "bool":
        text = draw(st.sampled_from(["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"]))
        return key, text, float(text[0] in "tT")
    if kind == "text":
        content = draw(st.text(st.sampled_from("ab ,=\\\"' é"), max_size=10))
        return key, '"' + content.replace("\\", "\\\\").replace('"', '\\"') + '"', None
    number = draw(st.integers(-(2**63) if kind == "int" else 0, 2**63 - 1))
    return key, f"{number}{'i' if kind == 'int' else 'u'}", float(number)


def escaped(text: str, letters: str = ",= ") -> str:
    return "".join(f"\\{letter}" if letter in letters else letter for letter in text)


@DEFAULT
@given(
    names,
    st.dictionaries(names, names, max_size=3),
    st.lists(fields(), min_size=1, max_size=5, unique_by=lambda field: field[0]),
    st.none() | st.integers(-(2**62) + 1, 2**62 - 1),
)
def test_a_point_comes_back(
    measurement: str,
    tags: dict[str, str],
    written: list[tuple[str, str, float | None]],
    time_ns: int | None,
) -> None:
    line = escaped(measurement, ", ") + "".join(f",{escaped(key)}={escaped(value)}" for key, value in tags.items())
    line += " " + ",".join(f"{escaped(key)}={text}" for key, text, _ in written)
    line += "" if time_ns is None else f" {time_ns}"
    found = parse_lines(f"# comment\n\n{line}\r\n".encode())
    assert (found.points, found.refused) == (1, 0), line
    told = ",".join(f"{key}={value}" for key, value in sorted(tags.items()))
    prefix = f"{measurement}[{told}]" if told else measurement
    expected = [(f"{prefix}.{key}", value) for key, _, value in written if value is not None]
    values = found.values
    got = [values.channels[number].name for number in values.channel.tolist()]
    assert list(zip(got, values.value.tolist(), strict=True)) == expected
    assert set(values.utc_us.tolist()) <= {NO_TIME if time_ns is None else time_ns // 1000}


@pytest.mark.parametrize(
    ("precision_ns", "time", "utc_us"),
    [(1, "1780000000123456789", 1_780_000_000_123_456), (1_000_000, "1780000000123", 1_780_000_000_123_000)],
)
def test_times_in_other_units(precision_ns: int, time: str, utc_us: int) -> None:
    assert parse_lines(f"a b=1 {time}".encode(), precision_ns).values.utc_us.tolist() == [utc_us]


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        b"a b",
        b"a b=",
        b"a b=1 2 3",
        b"a b=nan",
        b"a b=inf",
        b"a b=1e999",
        b"a b=1_0",
        b"a b=0x10",
        b"a b=1 1e9",
        b",t=1 b=1",
        b"a,t= b=1",
        b'a b="open',
        b"a b=1i2",
        b"\xff b=1",
        b"a\x00 b=1",
        b"a b=1 99999999999999999999",
        b"a" * 600 + b" b=1",
    ],
)
def test_a_line_that_is_none_costs_itself(line: bytes) -> None:
    found = parse_lines(b"good x=1\n" + line + b"\ngood x=2")
    assert (found.points, found.refused, found.first_refused) == (2, 1, 2), line
    assert found.values.value.tolist() == [1.0, 2.0]


def check_anything(data: bytes) -> None:
    for one in (data, b"a,b=c d=1 " + data, b"a,b=" + data + b" d=1", b'a b="' + data + b'",c=1'):
        found = parse_lines(one)
        assert np.isfinite(found.values.value).all()
        assert all(channel.name.isprintable() for channel in found.values.channels)
    for one in (data, b'{"value": 1, "t": ' + data + b"}", b'{"value": ' + data + b"}"):
        listed = ValueList()
        try:
            add_json_value(one, "a.b", listed)
        except CorruptDataError:
            assert len(listed) == 0
            continue
        assert math.isfinite(listed.values().value[0])


@DEFAULT
@given(st.binary(max_size=100))
def test_nothing_upsets_a_parser(data: bytes) -> None:
    check_anything(data)


@pytest.mark.slow
@LONG
@given(st.binary(max_size=1_000) | st.text(max_size=1_000).map(str.encode))
def test_nothing_upsets_a_parser_long(data: bytes) -> None:
    check_anything(data)


def test_a_long_line_of_escapes_takes_no_long_time() -> None:
    for body in (b"\\," * 30_000, b"a " + b"b=1," * 16_000, b"a b=" + b'"' + b"\\" * 60_001, b"a,b=" * 16_000):
        assert parse_lines(body).refused == 1


@DEFAULT
@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60) | st.booleans(),
    st.none() | st.floats(0, 9e10),
    st.none() | st.sampled_from(["", "V", "°C"]),
)
def test_a_json_value_comes_back(value: float, seconds: float | None, unit: str | None) -> None:
    listed = ValueList()
    table = {"value": value} | ({} if seconds is None else {"t": seconds}) | ({} if unit is None else {"unit": unit})
    add_json_value(json.dumps(table).encode(), "a.b", listed)
    if seconds is None and unit is None:
        add_json_value(json.dumps(value).encode(), "a.b", listed)
    values = listed.values()
    assert values.value[0] == float(value)
    assert values.utc_us[0] == (NO_TIME if seconds is None else round(seconds * 1e6))
    assert values.channels[0].kind == ("discrete" if isinstance(value, bool) else "continuous")
    assert values.channels[0].unit == (unit or "")


def test_topics_and_their_channels() -> None:
    pattern = TopicPattern("sensors/{board}/raw/{name}", "{board}.{name}")
    assert pattern.filter == "sensors/+/raw/+"
    assert pattern.channel("sensors/front/raw/temperature") == "front.temperature"
    assert TopicPattern("a/{x}/{y}").channel("a/b/c") == "b.c"
    assert TopicPattern("speed").channel("speed") == "mqtt.speed"
    for wrong, template in (
        ("a/+/b", ""),
        ("a/#", ""),
        ("a//b", ""),
        ("a/{x}b", ""),
        ("a/{x}", "{y}"),
        ("a/{x}/{x}", "{x}"),
        ("a/{x}", "{x"),
    ):
        with pytest.raises(UserError) as caught:
            TopicPattern(wrong, template)
        assert "\n" not in str(caught.value)


def rows_of(rows: SampleRows) -> list[tuple[str, int, float]]:
    names = [rows.channels[number].name for number in rows.samples.channel.tolist()]
    return list(zip(names, rows.t_us.tolist(), rows.samples.value.tolist(), strict=True))


@DEFAULT
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.none() | st.integers(-2 * PAST_US, 2 * FUTURE_US) | st.sampled_from([0, -5, 7])
        ),
        max_size=30,
    )
)
def test_values_are_placed_where_they_belong(sent: list[tuple[str, int | None]]) -> None:
    """Against a model that goes value by value."""
    placer, seen = Placer(), set[tuple[str, int]]()
    listed, expected, refused = ValueList(), [], 0
    for number, (name, after_us) in enumerate(sent):
        listed.age_us = number
        listed.add(
            channel_of(f"x.{name}", "", "continuous"), number, NO_TIME if after_us is None else NOW_US + after_us
        )
        if after_us is None:
            expected.append((f"x.{name}", 50 - number, float(number)))
        elif -PAST_US <= after_us <= FUTURE_US and (name, after_us) not in seen:
            seen.add((name, after_us))
            expected.append((f"x.{name}", 50 + after_us, float(number)))
        else:
            refused += 1
    rows, count = placer.place(listed.values(), 50, NOW_US)
    assert (rows_of(rows), count) == (expected, refused)


def test_ever_new_names_are_refused_and_known_ones_go_on() -> None:
    placer = Placer()
    listed = ValueList()
    for number in range(MAX_CHANNELS + 100):
        listed.add(channel_of(f"x.{number}", "", "continuous"), 1.0)
    rows, refused = placer.place(listed.values(), 0, NOW_US)
    assert (len(rows), refused) == (MAX_CHANNELS, 100)
    again = ValueList()
    again.add(channel_of("x.5", "", "continuous"), 2.0)
    again.add(channel_of("y.5", "", "continuous"), 2.0)
    rows, refused = placer.place(again.values(), 0, NOW_US)
    assert ([name for name, _, _ in rows_of(rows)], refused) == (["x.5"], 1)


@DEFAULT
@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(allow_nan=False)), max_size=8), max_size=5))
def test_rows_put_together_are_the_rows(parts: list[list[tuple[str, float]]]) -> None:
    made = []
    for part in parts:
        listed = ValueList()
        for name, value in part:
            listed.add(channel_of(name, "", "continuous"), value)
        made.append(Placer().place(listed.values(), 0, NOW_US)[0])
    whole = SampleRows.concatenate(made)
    flat = [one for part in parts for one in part]
    assert [(name, value) for name, _, value in rows_of(whole)] == flat
    some = whole.take(slice(1, 4)).without_unused()
    assert [(name, value) for name, _, value in rows_of(some)] == flat[1:4]
    assert {one.name for one in some.channels} == {name for name, _ in flat[1:4]}
