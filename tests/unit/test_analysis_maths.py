"""Maths expressions: what they compute, how units go through, and errors that name the place."""

import numpy as np
import pytest

from ved.analysis.maths.program import Program, compile_expression
from ved.analysis.maths.syntax import ExpressionError
from ved.analysis.maths.units import parse_unit
from ved.analysis.series import Series
from ved.model.channel import Channel


def channel(name, unit="", kind="continuous"):
    message, signal = name.split(".")
    return Channel(name, unit, kind, None, message, signal, 1, is_extended=False)


CHANNELS = [
    channel("Motion.Speed", "km/h"),
    channel("Wheels.RearLeft", "km/h"),
    channel("Gps.Speed", "m/s"),
    channel("Pack.Voltage", "V"),
    channel("Pack.Current", "A"),
    channel("Motor.Torque", "Nm"),
    channel("Motor.Rpm", "rpm"),
    channel("Motor.Angle", "deg"),
    channel("Motor.Temperature", "degC"),
    channel("Coolant.Temperature", "degF"),
    channel("Pack.Charge", "%"),
    channel("Odd.Counts", "blobs"),
    channel("Odd.Plain"),
    channel("Safety.Closed", "", "discrete"),
]


TEMPERATURES = {"Motor_Temperature": 20, "Coolant_Temperature": 50}


def run(text, columns=None, unit=None, laps=None, **series):
    """Values of an expression over columns at 10 Hz from t = 0, or over given series."""
    program = compile_expression(text, CHANNELS, unit)
    given = {
        name: (np.arange(len(values)) * 100_000, np.array(values, float)) for name, values in (columns or {}).items()
    }
    given.update({name: (np.array(t), np.array(v, float)) for name, (t, v) in series.items()})
    return program, program.evaluate(given, program.start(), laps=laps)


def value(text, unit=None, **numbers):
    """The one value of an expression, over one sample of each channel (Message_Signal)."""
    program, out = run(text, {name.replace("_", "."): [number] for name, number in numbers.items()}, unit)
    assert out.t_us.tolist() == [0]
    return program.unit, float(out.values[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain + 2 * 3 - 1", 15),
        ("(Plain + 2) * 3", 36),
        ("-Plain ** 2", -100),
        ("2 ** 3 ** 2 * Plain / Plain", 512),
        ("Plain % 4", 2),
        ("Plain > 5 and not Plain > 20 or Plain == 3", 1),
        ("if(Plain >= 10, 1, 2)", 1),
        ("if(Plain < 10, 1, 2)", 2),
        ("min(Plain, 3, 7) + max(Plain, 3)", 13),
        ("clamp(Plain, 0, 4)", 4),
        ("abs(-Plain) + sign(-Plain) + floor(2.7) + ceil(2.1) + round(2.4)", 16),
        ("sqrt(Plain * Plain) + hypot(3, 4) + exp(0) + ln(1) + log10(100)", 18),
        ("sin(90 [deg]) + cos(0) + tan(0) + Plain", 12),
        ("known(Plain) + fallback(0 / 0 * Plain, 5)", 6),
        ("Plain != 10", 0),
        ('"Odd.Plain" * 1e0 + .5', 10.5),
    ],
)
def test_what_is_computed(text, expected):
    assert value(text, Odd_Plain=10)[1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "declared", "numbers", "unit", "expected"),
    [
        ("Voltage * Current", None, {"Pack_Voltage": 400, "Pack_Current": 50}, "W", 20_000),
        ("Voltage * Current", "kW", {"Pack_Voltage": 400, "Pack_Current": 50}, "kW", 20),
        ("Torque * Rpm", "kW", {"Motor_Torque": 100, "Motor_Rpm": 3000}, "kW", 31.4159265),
        ("Motion.Speed + Gps.Speed", None, {"Motion_Speed": 36, "Gps_Speed": 10}, "km/h", 72),
        ("Motion.Speed > 35", None, {"Motion_Speed": 36}, "", 1),
        ("Motion.Speed > 11 [m/s]", None, {"Motion_Speed": 36}, "", 0),
        ("Motion.Speed + 4", None, {"Motion_Speed": 36}, "km/h", 40),
        ("RearLeft / Motion.Speed - 1", "%", {"Wheels_RearLeft": 44, "Motion_Speed": 40}, "%", 10),
        ("RearLeft / Gps.Speed - 1", None, {"Wheels_RearLeft": 39.6, "Gps_Speed": 10}, "", 0.1),
        ("sin(Angle)", None, {"Motor_Angle": 30}, "", 0.5),
        ("atan2(Voltage, Voltage)", "deg", {"Pack_Voltage": 3}, "deg", 45),
        ("(Motor.Temperature + Coolant.Temperature) / 2", None, TEMPERATURES, "degC", 15),
        ("Motor.Temperature - Coolant.Temperature", None, TEMPERATURES, "K", 10),
        ("Motor.Temperature > 60", None, {"Motor_Temperature": 61}, "", 1),
        ("Charge * Voltage", None, {"Pack_Charge": 50, "Pack_Voltage": 400}, "V", 200),
        ("Charge * 2", None, {"Pack_Charge": 50}, "%", 100),
        ("sqrt(Voltage * Voltage)", None, {"Pack_Voltage": 400}, "V", 400),
        ("Voltage ** 2 / (Voltage / Current)", "W", {"Pack_Voltage": 10, "Pack_Current": 2}, "W", 20),
        ("Gps.Speed ** 2 / 2 [m]", "g", {"Gps_Speed": 9.80665}, "g", 9.80665 / 2),
        ("Counts * 2", None, {"Odd_Counts": 3}, "blobs", 6),
        ("Plain", "Nm", {"Odd_Plain": 3}, "Nm", 3),
    ],
)  # fmt: skip
def test_units_go_through(text, declared, numbers, unit, expected):
    got_unit, got = value(text, declared, **numbers)
    assert (got_unit, got) == (unit, pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "same_as", "factor"),
    [
        ("km/h", "m/s", 1 / 3.6), ("m/s^2", "m/s²", 1), ("m/s2", "m/s/s", 1), ("mV", "V", 1e-3), ("kWh", "J", 3.6e6),
        ("Wh/km", "N", 3.6), ("km/kWh", "1/N", 1e3 / 3.6e6), ("L/min", "m³/s", 1e-3 / 60), ("1/min", "rpm", 1),
        ("kOhm", "V/A", 1e3), ("hPa", "Pa", 100), ("deg/s", "rad/s", np.pi / 180), ("kg·m²", "kg*m^2", 1),
    ],
)  # fmt: skip
def test_units_are_read_as_they_are_written(text, same_as, factor):
    unit, same = parse_unit(text), parse_unit(same_as)
    assert unit.dimension == same.dimension
    assert unit.factor / same.factor == pytest.approx(factor)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 1, "expected a number, a channel, a function or '(', not the end"),
        ("Speed +", 8, "not the end"),
        ("(Plain", 7, "expected an operator or ')', not the end"),
        ("Plain Plain", 7, "expected an operator or the end, not 'Plain'"),
        ("Plain & 1", 7, "write and"),
        ("Plain = 1", 7, "write =="),
        ("Plain + 'x'", 9, "has no meaning here"),
        ('Plain + "Odd', 9, 'the closing " is missing'),
        ("1 < Plain < 3", 11, "'and' between two comparisons"),
        ("Plain + Voltag", 9, "did you mean Pack.Voltage?"),
        ("Plain + Speed", 9, "could be Motion.Speed, Gps.Speed"),
        ("1 + Voltage + Motion.Speed", 13, "'+' of V and km/h: not the same measure"),
        ("averge(Plain, 1)", 1, "did you mean average?"),
        ("average(Plain)", 1, "takes a value and a time"),
        ("average(Plain, Plain)", 16, "a time that does not change"),
        ("average(Plain, 2 [V])", 16, "expected a time"),
        ("average(Plain, 2 [h])", 16, "at most 600 s"),
        ("sqrt(Plain, 2)", 1, "takes 1 argument(s), not 2"),
        ("Closed and Voltage", 12, "expected a condition"),
        ("sin(Voltage)", 5, "expected a number or an angle, not V"),
        ("derivative(4)", 12, "needs a channel"),
        ("4 + 5", 3, "a number alone has no samples"),
        ("not (Plain > 3", 15, "expected an operator or ')'"),
        ("Odd.*", 4, "has no meaning here"),
        ("(" * 100 + "Plain", 31, "nested more than"),
        ("__import__('os')", 12, "has no meaning here"),
    ],
)
def test_an_error_names_the_position(text, position, said):
    with pytest.raises(ExpressionError, match=f"position {position}: ") as caught:
        compile_expression(text, CHANNELS)
    assert caught.value.position == position
    assert said in caught.value.reason


def test_the_declared_unit_must_measure_the_same():
    with pytest.raises(ExpressionError, match="the result is in W, which is no measure in A"):
        compile_expression("Voltage * Current", CHANNELS, "A")


def test_a_value_at_every_sample_of_any_channel_with_the_others_held():
    _, out = run(
        "Voltage * Current",
        **{
            "Pack.Voltage": ([0, 100_000, 200_000], [1, 2, 3]),
            "Pack.Current": ([50_000, 100_000, 250_000], [10, 20, 30]),
        },
    )
    assert out.t_us.tolist() == [0, 50_000, 100_000, 200_000, 250_000]
    np.testing.assert_array_equal(out.values, [np.nan, 10, 40, 60, 90])


def test_a_value_is_held_no_longer_than_its_kind_allows():
    late = [0, 4_900_000, 5_100_000, 59_000_000, 61_000_000]
    _, out = run("Plain + Voltage", **{"Odd.Plain": ([0], [1]), "Pack.Voltage": (late, [1] * 5)})
    np.testing.assert_array_equal(out.values, [2, 2, np.nan, np.nan, np.nan])
    _, out = run("if(Closed, Voltage, 0)", **{"Safety.Closed": ([0], [1]), "Pack.Voltage": (late, [1] * 5)})
    np.testing.assert_array_equal(out.values, [1, 1, 1, 1, np.nan])


def test_functions_with_a_memory():
    plain = {"Odd.Plain": [0, 1, 4, 9, 16]}
    np.testing.assert_allclose(run("derivative(Plain)", plain)[1].values, [np.nan, 10, 30, 50, 70])
    np.testing.assert_allclose(run("integral(Plain)", plain)[1].values, [0, 0.05, 0.3, 0.95, 2.2])
    np.testing.assert_allclose(run("average(Plain, 0.2)", plain)[1].values, [0, 0.5, 2.5, 6.5, 12.5])
    np.testing.assert_allclose(run("lag(Plain, 0.25)", plain)[1].values, [np.nan, np.nan, np.nan, 0, 1])
    assert run("integral(Motion.Speed)", {"Motion.Speed": [36, 36]}, "m")[1].values[-1] == pytest.approx(1.0)
    assert run("integral(Voltage * Current)", {"Pack.Voltage": [360] * 11, "Pack.Current": [10] * 11}, "Wh")[1].values[
        -1
    ] == pytest.approx(1.0)
    assert run("derivative(Gps.Speed)", {"Gps.Speed": [0, 0.980665]}, "g")[1].values[-1] == pytest.approx(1.0)


def test_a_discrete_channel_is_integrated_in_steps_and_a_long_pause_counts_for_nothing():
    _, out = run("integral(Closed)", **{"Safety.Closed": ([0, 1_000_000, 3_000_000, 9_000_000], [1, 0, 1, 1])})
    np.testing.assert_allclose(out.values, [0, 1, 1, 1])


def test_laps():
    laps = Series(np.array([250_000, 450_000]), np.array([1.0, 2.0]))
    columns = {"Odd.Plain": [0, 1, 2, 3, 4, 5, 6]}

    def of(text):
        return run(text, columns, laps=laps)[1].values

    np.testing.assert_array_equal(of("lap_number(Plain)"), [0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(of("lap_time(Plain)"), [np.nan, np.nan, np.nan, 0.05, 0.15, 0.05, 0.15])
    np.testing.assert_array_equal(of("lap_max(-Plain)"), [0, 0, 0, -3, -3, -5, -5])
    np.testing.assert_array_equal(of("lap_min(Plain)"), [0, 0, 0, 3, 3, 5, 5])
    np.testing.assert_array_equal(of("lap_mean(Plain)"), [0, 0.5, 1, 3, 3.5, 5, 5.5])
    np.testing.assert_array_equal(of("last_lap(Plain)"), [np.nan] * 5 + [4, 4])
    # From 2.5 at 0.25 s to 3 at 0.3 s: 0.1375; and so on.
    np.testing.assert_allclose(of("lap_integral(Plain)"), [0, 0.05, 0.2, 0.1375, 0.4875, 0.2375, 0.7875])


def test_a_sample_that_comes_too_late_is_left_out():
    program = compile_expression("Plain", CHANNELS)
    state = program.start()
    program.evaluate({"Odd.Plain": (np.array([10, 20]), np.array([1.0, 2.0]))}, state, until_us=15)
    out = program.evaluate({"Odd.Plain": (np.array([12, 17]), np.array([9.0, 3.0]))}, state, until_us=30)
    assert out.t_us.tolist() == [17, 20]


def test_how_far_back_samples_count():
    def memory(text):
        return compile_expression(text, CHANNELS).memory_us

    assert memory("Plain * 2") == 0
    assert memory("Plain + Voltage") == 5_000_000
    assert memory("if(Closed, Voltage, 0)") == 60_000_000
    assert memory("average(Plain, 2)") == 7_000_000
    assert memory("integral(Plain)") is None
    assert memory("1 + lap_max(Plain)") is None


def test_what_a_program_says_of_itself():
    program = compile_expression("if(closed, lap_max(rpm * torque), 0)", [CHANNELS[6], CHANNELS[5], CHANNELS[-1]], "kW")
    assert isinstance(program, Program)
    assert set(program.inputs) == {"Motor.Rpm", "Motor.Torque", "Safety.Closed"}
    assert program.needs_laps
    assert (program.unit, program.kind) == ("kW", "discrete")
