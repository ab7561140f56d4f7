from ved.dbc.compare import Change, compare
from ved.dbc.load import DbcSource, load_set


def changes(before: str, after: str) -> list[Change]:
    sets = [load_set([DbcSource(None, "", "car.dbc", text)]) for text in (before, after)]
    return compare(sets[0].messages, sets[1].messages)


OLD = 'BO_ 1 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] "V" X\n SG_ T : 8|8@1+ (1,0) [0|0] "" X\n'


def test_nothing_changed() -> None:
    assert changes(OLD, "\n\n" + OLD) == []


def test_messages_come_and_go_by_id() -> None:
    assert [(one.kind, one.subject) for one in changes(OLD, OLD.replace("BO_ 1 ", "BO_ 2 "))] == [
        ("removed", "A (1)"),
        ("added", "A (2)"),
    ]


def test_a_scale_changes_history_and_a_unit_does_not() -> None:
    (scaled,) = changes(OLD, OLD.replace('(1,0) [0|0] "V"', '(0.5,0) [0|0] "V"'))
    assert (scaled.subject, scaled.details) == ("A.S", (("scale", "1", "0.5"),))
    assert scaled.effect == "channel A.S has other values, in all of history"
    (unit,) = changes(OLD, OLD.replace('"V"', '"mV"'))
    assert (unit.details, unit.effect) == ((("unit", "'V'", "'mV'"),), "values stay")


def test_a_signal_with_the_same_bits_is_renamed() -> None:
    (one,) = changes(OLD, OLD.replace("SG_ T", "SG_ U"))
    assert (one.kind, one.details, one.effect) == ("changed", (("name", "T", "U"),), "channel A.T is now A.U")


def test_other_bits_are_another_signal() -> None:
    kinds = [(one.kind, one.effect) for one in changes(OLD, OLD.replace("SG_ T : 8|8", "SG_ U : 9|7"))]
    assert kinds == [("removed", "channel A.T ends"), ("added", "new channel A.U")]


def test_a_renamed_message_renames_its_channels() -> None:
    (one,) = changes(OLD, OLD.replace(" A:", " B:"))
    assert (one.details, one.effect) == ((("name", "'A'", "'B'"),), "its channels get new names")


def test_multiplexers_are_compared_by_name() -> None:
    old = 'BO_ 1 A: 8 X\n SG_ M M : 0|8@1+ (1,0) [0|0] "" X\n SG_ P m0 : 8|8@1+ (1,0) [0|0] "" X\n'
    assert changes(old, old) == []
    (one,) = changes(old, old.replace("P m0", "P m1"))
    assert one.details == (("selectors", "0 0", "1 1"),)
