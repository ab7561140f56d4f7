"""The rules that ship: silent on a healthy drive, loud on a faulty one, each with its source."""

import pytest
from tests.unit.simulated import NAMES, Log, vehicle

from ved.analysis.alarms.batches import Columns
from ved.analysis.alarms.engine import Engine
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set

SECONDS = 45.0


def raised(name: str, *faults: str) -> set[str]:
    drive = Log(name, SECONDS, 3, *faults)
    sources = [
        DbcSource(bus.index, bus.name, file, text)
        for bus in drive.vehicle.buses
        for file, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
    ]
    decoder = Decoder(load_set(sources))
    engine = Engine(drive.vehicle.rules, decoder.channels)
    assert engine.idle == {}
    decoded = decoder.decode(drive.frames)
    changes = engine.take(drive.frames.t_us, Columns(decoded.starts, decoded.values, decoded.rows))
    return {engine.rules[change.rule].id for change in changes if change.is_raised}


@pytest.mark.parametrize("name", NAMES)
def test_each_value_says_where_it_comes_from(name):
    rules = vehicle(name).rules
    assert len(rules) >= 15
    for rule in rules:
        assert len(rule.source) > 20, rule.id
        assert rule.title_en != rule.title_fr, rule.id


@pytest.mark.parametrize("name", NAMES)
def test_a_healthy_drive_raises_nothing(name):
    assert raised(name) == set()


@pytest.mark.parametrize(
    ("name", "faults", "expected"),
    [
        (
            "fs",
            ("over_temperature@12+30", "cell_sag@12+30", "sensor_dropout:BrakePressures@20+5"),
            {
                "coolant-flow-low",
                "cell-voltage-low",
                "cell-voltage-critical",
                "cell-voltage-spread",
                "battery-warning",
                "brake-pressure-silent",
            },
        ),
        (
            "pe",
            ("cell_sag@12+30", "sensor_dropout:Joulemeter@20+5"),
            {"battery-warning", "cell-voltage-spread", "cell-voltage-low", "joulemeter-silent"},
        ),
        (
            "ps",
            ("cell_sag@12+30", "string_loss@12+30"),
            {"battery-warning", "cell-voltage-spread", "string-middle-off"},
        ),
    ],
)
def test_simulated_faults_raise_what_they_should(name, faults, expected):
    assert raised(name, *faults) == expected
