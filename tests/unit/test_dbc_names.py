import pytest

from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.dbc.names import readable, unit_in_french

SIGNAL = ' SG_ Value : 0|8@1+ (1,0) [0|0] "" X\n'


def message(dbc_id: int, name: str = "Status", signals: str = SIGNAL) -> str:
    return f"BO_ {dbc_id} {name}: 8 X\n{signals}"


def names(*sources: DbcSource) -> list[str]:
    return [channel.name for channel in load_set(sources).channels]


def one(text: str, bus: int | None = None, bus_name: str = "") -> DbcSource:
    return DbcSource(bus, bus_name, f"{bus_name or 'any'}.dbc", text)


def test_a_name_that_is_unique_stays_plain() -> None:
    assert names(one(message(0x1F0) + message(0x1F1, "Other"))) == ["Status.Value", "Other.Value"]


def test_a_name_of_several_ids_carries_the_id() -> None:
    both = message(0x1F0) + message(0x80000000 | 0x18FF0001)
    assert names(one(both)) == ["Status@1F0.Value", "Status@18FF0001.Value"]


def test_the_same_number_with_11_and_29_bits_is_told_apart() -> None:
    assert names(one(message(0x1F0) + message(0x800001F0))) == ["Status@1F0.Value", "Status@1F0x.Value"]


def test_a_name_on_several_buses_carries_the_bus() -> None:
    text = message(0x1F0)
    assert names(one(text, 0, "power"), one(text, 2, "chassis")) == ["power.Status.Value", "chassis.Status.Value"]


def test_a_bus_without_a_name_is_numbered() -> None:
    text = message(0x1F0)
    assert names(one(text, 0), one(text, 2, "chassis")) == ["bus0.Status.Value", "chassis.Status.Value"]


def test_ids_are_told_apart_on_the_bus_that_needs_it() -> None:
    twice, once = message(0x10) + message(0x11), message(0x10)
    assert names(one(twice, 0, "a"), one(once, 1, "b")) == [
        "a.Status@10.Value",
        "a.Status@11.Value",
        "b.Status.Value",
    ]


def test_what_holds_on_any_bus_stays_plain_beside_a_bus_of_its_own() -> None:
    text = message(0x1F0)
    assert names(one(text), one(text, 1, "aux")) == ["Status.Value", "aux.Status.Value"]


def test_hostile_names_stay_unique() -> None:
    dotted = message(1, "A", ' SG_ B.C : 0|8@1+ (1,0) [0|0] "" X\n') + message(
        2, "A.B", ' SG_ C : 0|8@1+ (1,0) [0|0] "" X\n'
    )
    assert names(one(dotted)) == ["A.B.C", "A.B.C#2"]
    longer = dotted + 'BA_ "SystemSignalLongSymbol" SG_ 1 B.C "B.C#2";\n'
    assert len(set(names(one(longer)))) == 2


def test_two_long_names_that_are_equal_stay_two_channels() -> None:
    text = message(1, "A", SIGNAL + SIGNAL.replace("Value", "Second").replace("0|8", "8|8"))
    text += 'BA_ "SystemSignalLongSymbol" SG_ 1 Second "Value";\n'
    assert names(one(text)) == ["A.Value", "A.Value#2"]


def channels(signal: str, *lines: str) -> DbcSet:
    return load_set([one(message(1, "A", f" SG_ {signal} X\n") + "\n".join(lines))])


@pytest.mark.parametrize(
    ("signal", "lines", "kind"),
    [
        ('V : 0|16@1+ (0.1,0) [0|0] "V"', (), "continuous"),
        ('V : 0|16@1+ (1,0) [0|0] ""', (), "continuous"),
        ('V : 0|1@1+ (1,0) [0|0] ""', (), "discrete"),
        ('V M : 0|8@1+ (1,0) [0|0] ""', (), "discrete"),
        ('V : 0|8@1+ (1,0) [0|0] ""', ('VAL_ 1 V 0 "Off" 1 "On" ;',), "discrete"),
        ('V : 0|8@1+ (1,-40) [0|0] "°C"', ('VAL_ 1 V 255 "not available" ;',), "continuous"),
        ('V : 0|32@1- (1,0) [0|0] ""', ("SIG_VALTYPE_ 1 V : 1;", 'VAL_ 1 V 0 "zero" ;'), "continuous"),
    ],
)
def test_kind(signal: str, lines: tuple[str, ...], kind: str) -> None:
    assert channels(signal, *lines).channels[0].kind == kind


@pytest.mark.parametrize(
    ("signal", "lines", "wide"),
    [
        ('V : 0|24@1+ (0.001,0) [0|0] ""', (), False),
        ('V : 0|25@1+ (0.001,0) [0|0] ""', (), True),
        ('V : 0|25@1- (0.001,0) [0|0] ""', (), False),
        ('V : 0|26@1- (0.001,0) [0|0] ""', (), True),
        ('V : 0|8@1+ (1,1577840400) [0|0] "s"', (), True),
        ('V : 0|8@1+ (0,5) [0|0] ""', (), False),
        ('V : 0|32@1- (1,0) [0|0] ""', ("SIG_VALTYPE_ 1 V : 1;",), False),
        ('V : 0|64@1- (1,0) [0|0] ""', ("SIG_VALTYPE_ 1 V : 2;",), True),
    ],
)
def test_wide(signal: str, lines: tuple[str, ...], wide: bool) -> None:
    assert channels(signal, *lines).channels[0].is_wide is wide


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BatteryPack.StateOfCharge", "Battery pack · State of charge"),
        ("gnss_pos.Latitude", "Gnss pos · Latitude"),
        ("powertrain.GPSStatus.FIX", "Powertrain · GPS status · FIX"),
        ("Motor@1F0.RPM", "Motor @1F0 · RPM"),
        ("EngineÉtat.Régime#2", "Engine état · Régime #2"),
        ("<b>x</b>._", "<b>x</b>"),
    ],
)
def test_a_name_in_words(name: str, words: str):
    assert readable(name) == words


def test_units_in_french():
    assert [unit_in_french(unit) for unit in ("rpm", "V", "deg", "")] == ["tr/min", "V", "°", ""]
