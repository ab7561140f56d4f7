from pathlib import Path

import pytest

from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError

DATA = Path(__file__).parents[1] / "data"

HEAD = """VERSION ""
NS_ :
\tCM_
\tBA_DEF_
\tVAL_
BS_:
BU_: ECU LOG
BO_ 100 Engine: 8 ECU
 SG_ Speed : 0|16@1+ (0.25,0) [0|16000] "rpm" LOG
 SG_ Temp : 23|8@0- (1,-40) [0|0] "°C" LOG,ECU
BO_ 2566844926 Far: 3 Vector__XXX
 SG_ Flag : 0|1@1+ (1,0) [0|1] "" Vector__XXX
"""
TAIL = """VAL_ 100 Temp -1 "lost" 0 "cold; \\"very\\"" ;
CM_ SG_ 100 Speed "of the
crank; shaft";
CM_ BO_ 100 "what turns";
"""
GOOD = HEAD + TAIL


def load(*texts: str) -> DbcSet:
    return load_set([DbcSource(None, "", f"file{number}.dbc", text) for number, text in enumerate(texts)])


def problems(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.why) for problem in load(text).problems]


def with_lines(*lines: str) -> str:
    return GOOD + "\n".join(lines) + "\n"


def test_a_whole_file() -> None:
    dbc_set = load(GOOD)
    assert dbc_set.problems == ()
    engine, far = dbc_set.messages
    assert (engine.name, engine.arbitration_id, engine.is_extended, engine.length) == ("Engine", 100, False, 8)
    assert (far.arbitration_id, far.is_extended, far.is_fd) == (2566844926 & 0x1FFFFFFF, True, False)
    assert (engine.file, engine.comment) == ("file0.dbc", "what turns")
    speed, temp, flag = dbc_set.channels
    assert (speed.name, speed.unit, speed.minimum, speed.maximum) == ("Engine.Speed", "rpm", 0.0, 16000.0)
    assert speed.comment == "of the\ncrank; shaft"
    assert (temp.minimum, temp.maximum, temp.unit) == (None, None, "°C")
    assert temp.choices == ((-1, "lost"), (0, 'cold; "very"'))
    assert (flag.name, flag.is_extended, flag.bus) == ("Far.Flag", True, None)
    assert dbc_set.first_channels == (0, 2)
    assert [dbc_set.channel_index(name) for name in ("Engine.Temp", "Far.Flag", "Nope")] == [1, 2, None]


def test_line_ends_and_byte_order_mark_do_not_matter() -> None:
    changed = load("\ufeff" + GOOD.replace("\n", "\r\n"))
    assert changed.problems == ()
    assert [channel.name for channel in changed.channels] == ["Engine.Speed", "Engine.Temp", "Far.Flag"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (' SG_ Bad : 0|16@1+ (0.25,0 [0|1] "" X', "is not a well-formed SG_ statement"),
        (' SG_ Bad : 0|65@1+ (1,0) [0|1] "" X', "has 65 bits; a signal has 1 to 64"),
        (' SG_ Bad : 0|0@1+ (1,0) [0|1] "" X', "has 0 bits; a signal has 1 to 64"),
        (' SG_ Bad : 510|8@1+ (1,0) [0|1] "" X', "lies past the 64 bytes of the longest frame"),
        (' SG_ Bad : 504|9@0+ (1,0) [0|1] "" X', "lies past the 64 bytes of the longest frame"),
        (' SG_ Bad : 0|8@1+ (1e999,0) [0|1] "" X', "has a number that is too large"),
        (' SG_ Flag : 1|1@1+ (1,0) [0|1] "" X', "defines Flag a second time"),
        (' SG_ Bad m3 : 1|1@1+ (1,0) [0|1] "" X', "is multiplexed, but its multiplexer is not there"),
        ("BO_ 2048 Bad: 8 ECU", "has an id of more than 11 bits"),
        ("BO_ 3758096384 Bad: 8 ECU", "has an id of more than 29 bits"),
        ("BO_ 100 Bad: 8 ECU", "has the id of Engine, which stands first"),
        ("BO_ 101 Bad: 1785 ECU", "is longer than a frame (1785 bytes): it and its signals are set aside"),
        ("BO_ one Bad: 8 ECU", "is not a well-formed BO_ statement"),
        ('VAL_ 100 Temp 0 "cold ;', "is not a well-formed VAL_ statement"),
        ('CM_ SG_ 100 Speed "no end', "is not a well-formed CM_ statement"),
        ("SIG_VALTYPE_ 100 Speed 9;", "is not a well-formed SIG_VALTYPE_ statement"),
        ("SG_MUL_VAL_ 100 Speed Mux 1;", "is not a well-formed SG_MUL_VAL_ statement"),
        ('BA_ "x" BO_ 100', "is not a well-formed BA_ statement"),
        ("<html>", "is no DBC statement"),
    ],
)
def test_a_faulty_line_is_named_and_the_rest_loads(line: str, why: str) -> None:
    end = 'BO_ 102 Last: 1 ECU\n SG_ End : 0|8@1+ (1,0) [0|0] "" ECU\nCM_ SG_ 2566844926 Flag "still here";\n'
    dbc_set = load(f"{HEAD}{line}\n{TAIL}{end}")
    assert [(problem.line, problem.text, problem.why) for problem in dbc_set.problems] == [
        (HEAD.count("\n") + 1, line.strip(), why)
    ]
    assert [channel.name for channel in dbc_set.channels] == ["Engine.Speed", "Engine.Temp", "Far.Flag", "Last.End"]
    assert dbc_set.channels[2].comment == "still here"


def test_a_signal_of_a_faulty_message_never_joins_the_message_before() -> None:
    dbc_set = load(with_lines("BO_ 2048 Bad: 8 ECU", ' SG_ Lost : 8|8@1+ (1,0) [0|0] "" ECU'))
    assert [channel.name for channel in dbc_set.channels] == ["Engine.Speed", "Engine.Temp", "Far.Flag"]
    unreadable = load(with_lines("BO_ x Bad: 8 ECU", ' SG_ Lost : 8|8@1+ (1,0) [0|0] "" ECU'))
    assert [problem.why for problem in unreadable.problems][1:] == ["belongs to no message"]
    assert len(unreadable.channels) == 3


def test_a_signal_past_its_message_loads_but_is_named() -> None:
    assert problems(with_lines("BO_ 102 Short: 1 ECU", ' SG_ End : 8|8@1+ (1,0) [0|0] "" ECU')) == [
        (GOOD.count("\n") + 2, "lies past the 1 bytes of Short; only longer frames have it")
    ]


def test_a_float_of_odd_length_is_set_aside() -> None:
    dbc_set = load(with_lines("SIG_VALTYPE_ 100 Temp : 1;"))
    assert [problem.why for problem in dbc_set.problems] == ["makes a float of 8 bits; only 16, 32 and 64 exist"]
    assert [channel.name for channel in dbc_set.channels] == ["Engine.Speed", "Far.Flag"]


def test_multiplexers_that_depend_on_each_other_are_set_aside() -> None:
    dbc_set = load(
        with_lines(
            "BO_ 102 Loop: 8 ECU",
            ' SG_ A m0M : 0|8@1+ (1,0) [0|0] "" ECU',
            ' SG_ B m0M : 8|8@1+ (1,0) [0|0] "" ECU',
            ' SG_ C m0 : 16|8@1+ (1,0) [0|0] "" ECU',
            "SG_MUL_VAL_ 102 A B 0-0;",
            "SG_MUL_VAL_ 102 B A 0-0;",
            "SG_MUL_VAL_ 102 C A 0-0;",
        )
    )
    assert [problem.why for problem in dbc_set.problems] == [
        "depends on itself",
        "depends on itself",
        "depends on A, which was set aside",
    ]
    assert dbc_set.messages[-1].signals == ()


def test_a_selected_signal_goes_with_its_multiplexer() -> None:
    dbc_set = load(
        with_lines(
            "BO_ 102 Gone: 8 ECU",
            ' SG_ A M : 0|8@1+ (1,0) [0|0] "" ECU',
            ' SG_ B m1M : 8|8@1+ (1,0) [0|0] "" ECU',
            ' SG_ C m2 : 16|8@1+ (1,0) [0|0] "" ECU',
            "SIG_VALTYPE_ 102 B : 1;",
            "SG_MUL_VAL_ 102 B A 1-1;",
            "SG_MUL_VAL_ 102 C B 2-2;",
        )
    )
    assert "depends on B, which was set aside" in {problem.why for problem in dbc_set.problems}
    assert [signal.name for signal in dbc_set.messages[-1].signals] == ["A"]


def test_a_long_chain_of_multiplexers_loads() -> None:
    count = 5_000
    signals = [f' SG_ S{number} m0M : 0|8@1+ (1,0) [0|0] "" ECU' for number in range(1, count)]
    links = [f"SG_MUL_VAL_ 102 S{number} S{number - 1} 0-0;" for number in range(1, count)]
    chain = load(
        with_lines("BO_ 102 Chain: 8 ECU", *reversed(signals), ' SG_ S0 M : 0|8@1+ (1,0) [0|0] "" ECU', *links)
    )
    assert chain.problems == ()
    assert [signal.name for signal in chain.messages[-1].signals] == [f"S{number}" for number in range(count)]


def test_long_names_and_frame_format() -> None:
    dbc_set = load(
        with_lines(
            'BA_DEF_ BO_  "VFrameFormat" ENUM  "StandardCAN","ExtendedCAN","StandardCAN_FD","ExtendedCAN_FD";',
            'BA_ "VFrameFormat" BO_ 100 2;',
            'BA_ "SystemMessageLongSymbol" BO_ 100 "EngineWithALongName";',
            'BA_ "SystemSignalLongSymbol" SG_ 100 Speed "<b>Speed</b>\x1b of it";',
        )
    )
    assert dbc_set.problems == ()
    assert dbc_set.messages[0].is_fd
    assert dbc_set.channels[0].name == "EngineWithALongName.<b>Speed</b>\ufffd of it"


def test_an_unassigned_signal_is_no_problem() -> None:
    unassigned = ' SG_ Spare : 0|8@0+ (1,0) [0|0] "" Vector__XXX'
    dbc_set = load(with_lines("BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX", unassigned, unassigned))
    assert dbc_set.problems == ()
    assert len(dbc_set.messages) == 2


@pytest.mark.parametrize("text", ["", "garbage", "BO_ 1 ", "\x00\x01\xff", "%PDF-1.4\n%âãÏÓ", 'VERSION "only"'])
def test_a_file_without_messages_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^file1\.dbc: no .*CAN message in it") as caught:
        load(GOOD, text)
    assert "\n" not in str(caught.value)


def test_a_bus_that_no_frame_can_have_is_refused() -> None:
    with pytest.raises(UserError, match="bus 256"):
        load_set([DbcSource(256, "far", "x.dbc", GOOD)])


def test_no_source_is_an_empty_set() -> None:
    assert load_set([]).channels == ()


def test_the_digest_follows_texts_and_buses() -> None:
    sets = [
        load(GOOD),
        load(GOOD + " "),
        load(GOOD, GOOD),
        load_set([DbcSource(0, "", "file0.dbc", GOOD)]),
        load_set([DbcSource(0, "can", "file0.dbc", GOOD)]),
    ]
    assert len({each.digest for each in sets}) == len(sets)
    assert load(GOOD).digest == sets[0].digest


def test_of_two_definitions_of_an_id_on_one_bus_the_first_holds() -> None:
    other = 'BO_ 100 Other: 8 ECU\n SG_ X : 0|8@1+ (1,0) [0|0] "" ECU\n'
    dbc_set = load(GOOD, other)
    assert [message.name for message in dbc_set.messages] == ["Engine", "Far"]
    assert [(problem.file, problem.why) for problem in dbc_set.problems] == [
        ("file1.dbc", "id 64 is already Engine of file0.dbc, which stands first")
    ]
    assert load(GOOD, GOOD).problems == ()


def test_the_recorded_messy_file_loads_without_problems() -> None:
    dbc_set = load((DATA / "canedge-gnss-two-parts" / "gnss.dbc").read_text(encoding="utf-8"))
    assert dbc_set.problems == ()
    assert (len(dbc_set.messages), len(dbc_set.channels)) == (18, 78)


@pytest.mark.parametrize("piece", ["BA_DEF_\n", 'CM_ "\n', "VAL_ 1 a ", '"', "SG_ ", 'BA_DEF_ "\n', ' 0 "x"', "9", "("])
@pytest.mark.timeout(90)
def test_hostile_text_never_hangs(piece: str) -> None:
    dbc_set = load(GOOD + piece * 60_000)  # hours, where the time would grow with the square of the length
    assert len(dbc_set.messages) == 2
