"""Maths channels: the same values, bit for bit, however the samples are cut into batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.maths.program import compile_expression
from ved.analysis.maths.syntax import ExpressionError
from ved.analysis.series import Series
from ved.model.channel import Channel


def channel(name, unit, kind="continuous"):
    message, signal = name.split(".")
    return Channel(name, unit, kind, None, message, signal, 1, is_extended=False)


CHANNELS = [channel("M.a", "V"), channel("M.b", "A"), channel("N.c", "m/s"), channel("N.d", "", "discrete")]
EXPRESSIONS = [
    "a * b",
    "if(d, a, -a) + 3",
    "derivative(a) / 2",
    "integral(a * b)",
    "integral(d)",
    "average(c, 0.3) + lag(c, 0.2)",
    "lap_integral(c)",
    "lap_integral(d) + lap_number(a)",
    "lap_max(a) - lap_min(a) + lap_mean(average(a, 1))",
    "last_lap(lap_integral(a * b)) / last_lap(lap_integral(c))",
    "lap_time(d)",
    "average(derivative(a * b), 0.5)",
    "a > 2 and d or b < 0",
]

values = st.one_of(st.integers(-5, 5).map(float), st.just(float("nan")), st.floats(-1e3, 1e3))
steps_us = st.integers(0, 30).map(lambda n: n * 50_000) | st.just(6_000_000)
series = st.lists(st.tuples(steps_us, values), max_size=30)
laps = st.lists(st.integers(1, 60).map(lambda n: n * 70_001), max_size=5)
cuts = st.lists(st.integers(0, 200).map(lambda n: n * 50_000), max_size=6)


def columns_of(drawn):
    t_us = np.cumsum([step for step, _ in drawn], dtype=np.int64) if drawn else np.empty(0, np.int64)
    return t_us, np.array([value for _, value in drawn], np.float64)


@pytest.mark.parametrize("text", EXPRESSIONS)
@settings(max_examples=15, deadline=None)
@given(drawn=st.tuples(series, series, series, series), lap_starts=laps, borders=cuts)
def test_any_cuts_give_the_whole(text, drawn, lap_starts, borders):
    program = compile_expression(text, CHANNELS)
    columns = {one.name: columns_of(samples) for one, samples in zip(CHANNELS, drawn, strict=True)}
    lap_times = np.array(sorted(set(lap_starts)), np.int64)
    numbers = np.arange(1, len(lap_times) + 1).astype(float)
    whole = program.evaluate(columns, program.start(), laps=Series(lap_times, numbers))

    state, parts, before = program.start(), [], -1
    for border in [*sorted(borders), None]:
        until = 1 << 60 if border is None else border
        # A batch that ends at the border holds frames up to it, also some of the border's own time.
        given_now = {}
        for name, (t_us, column) in columns.items():
            rows = (t_us > before) & (t_us <= until)
            given_now[name] = (t_us[rows], column[rows])
        is_now = (lap_times > before) & (lap_times <= until)
        begun = Series(lap_times[is_now], numbers[is_now])
        parts.append(program.evaluate(given_now, state, border, laps=begun))
        before = until
    np.testing.assert_array_equal(np.concatenate([part.t_us for part in parts]), whole.t_us)
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='ab.cd()+-*/<>=!,"[]0123 andornotifm', max_size=30))
def test_any_text_compiles_or_says_where_it_is_wrong(text):
    position = 1
    try:
        compile_expression(text, CHANNELS)
    except ExpressionError as error:
        position = error.position
    assert 1 <= position <= len(text) + 1
