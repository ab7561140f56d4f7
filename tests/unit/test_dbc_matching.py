"""Which channel is which after a DBC changed."""

from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.dbc.matching import find_renames, match_channels


def dbc(*signals: str, bus: int = 0, head: str = "BO_ 100 Motor: 8 A") -> DbcSet:
    lines = "\n".join(f" SG_ {one}" for one in signals)
    return load_set([DbcSource(bus, f"can{bus}", "a.dbc", f'VERSION ""\nBU_: A\n{head}\n{lines}\n')])


def line(name: str, start: int = 0, scale: str = "1", order: int = 1, mark: str = "") -> str:
    return f'{name} {mark}: {start}|8@{order}+ ({scale},0) [0|0] "" A'


def pairs(before: DbcSet, after: DbcSet) -> list[tuple[str, str, bool]]:
    def name(dbc_set: DbcSet, number: int | None) -> str:
        return "-" if number is None else dbc_set.channels[number].signal

    return [
        (name(before, one.before), name(after, one.after), one.has_other_values)
        for one in match_channels(before, after)
    ]


def test_names_come_first_then_bits():
    before = dbc(line("A"), line("B", 8), line("C", 16))
    after = dbc(line("A", scale="2"), line("B2", 8), line("D", 24))
    assert pairs(before, after) == [("A", "A", True), ("B", "B2", False), ("C", "-", False), ("-", "D", False)]
    assert find_renames(before, after) == [("Motor.B", "Motor.B2")]


def test_names_that_changed_places_are_other_values_and_no_renames():
    before, after = dbc(line("A"), line("B", 8)), dbc(line("B"), line("A", 8))
    assert pairs(before, after) == [("A", "A", True), ("B", "B", True)]
    assert find_renames(before, after) == []


def test_a_renamed_message_renames_its_channels():
    before, after = dbc(line("A"), line("B", 8)), dbc(line("A"), line("B", 8), head="BO_ 100 Drive: 8 A")
    assert find_renames(before, after) == [("Motor.A", "Drive.A"), ("Motor.B", "Drive.B")]


def test_other_bits_bus_id_or_order_are_other_channels():
    before = dbc(line("A", 8))
    for after in (
        dbc(line("Z", 9)),
        dbc(line("Z", 8), bus=1),
        dbc(line("Z", 8), head="BO_ 101 Motor: 8 A"),
        dbc(line("Z", 8), head=f"BO_ {(1 << 31) + 100} Motor: 8 A"),
        dbc(line("Z", 15, order=0)),
    ):
        assert find_renames(before, after) == []


def test_what_a_multiplexer_selects_keeps_apart():
    before = dbc(line("Page", mark="M "), line("One", 8, mark="m1 "), line("Two", 8, mark="m2 "))
    after = dbc(line("Page", mark="M "), line("Uno", 8, mark="m1 "), line("Due", 8, mark="m2 "))
    assert find_renames(before, after) == [("Motor.One", "Motor.Uno"), ("Motor.Two", "Motor.Due")]
    moved = dbc(line("Page", mark="M "), line("Uno", 8, mark="m3 "), line("Two", 8, mark="m2 "))
    assert find_renames(before, moved) == []


def test_texts_and_limits_change_no_value():
    before = dbc('A : 0|8@1+ (1,0) [0|5] "V" A')
    after = dbc('A : 0|8@1+ (1,0) [0|9] "mV" A')
    assert pairs(before, after) == [("A", "A", False)]
