from collections import Counter

import numpy as np
import pytest

from ved.dbc.findings import Finding
from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSource
from ved.dbc.wire import Seen, WireId, lint_wire, tally
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag


def found(*lines: str) -> list[tuple[str, str, int, str]]:
    return [(one.severity, one.code, one.line, one.subject) for one in findings(*lines)]


def findings(*lines: str) -> list[Finding]:
    return lint([read("car.dbc", "\n".join(lines) + "\n")])


def read(name: str, text: str) -> LintedFile:
    return LintedFile.read(DbcSource(None, "", name, text))


def signal(name: str, bits: str = "0|8@1+", scale: str = "(1,0)", limits: str = "[0|0]", unit: str = "") -> str:
    return f' SG_ {name} : {bits} {scale} {limits} "{unit}" X'


def test_a_sound_file_gives_nothing() -> None:
    assert found("BO_ 1 A: 8 X", signal("S"), signal("T", "15|16@0-", "(0.1,0)", "[-100|100]", "°C")) == []


def test_a_finding_names_file_line_text_reason_and_what_to_do() -> None:
    (one,) = findings("BO_ 1 A: 8 X", signal("S"), signal("T", "7|4@1+"))
    assert (one.file, one.line, one.text) == ("car.dbc", 3, 'SG_ T : 7|4@1+ (1,0) [0|0] "" X')
    assert one.what == "T and S (line 2) of A share bit 7"
    assert "multiplexed" in one.advice


def test_overlaps_in_every_byte_order() -> None:
    assert found("BO_ 1 A: 8 X", signal("S", "0|12@1+"), signal("T", "15|4@0+"), signal("U", "7|4@0+")) == [
        ("warning", "overlap", 4, "A.U")
    ]
    (one,) = findings("BO_ 1 A: 8 X", signal("Little", "0|12@1+"), signal("Big", "11|8@0+"))
    assert (one.severity, one.code) == ("error", "overlap")
    assert "4 bits (8 to 11)" in one.what
    assert "byte order" in one.advice


def test_a_second_name_for_raw_bits_is_a_warning_and_a_scaled_one_an_error() -> None:
    assert found("BO_ 1 A: 8 X", signal("Flags"), signal("Bit", "3|1@1+")) == [("warning", "overlap", 3, "A.Bit")]
    assert found("BO_ 1 A: 8 X", signal("Speed", scale="(0.5,0)"), signal("Bit", "3|1@1+")) == [
        ("error", "overlap", 3, "A.Bit")
    ]


def test_pages_of_one_multiplexer_do_not_overlap_but_with_what_is_always_there_they_do() -> None:
    pages = (signal("P0 m0", "8|8@1+"), signal("P1 m1", "8|8@1+"))
    assert found("BO_ 1 A: 8 X", signal("Mux M"), *pages) == []
    together = found("BO_ 1 A: 8 X", signal("Mux M"), *pages, signal("Always", "12|8@1+"))
    assert [(code, subject) for _, code, _, subject in together] == [("overlap", "A.Always")] * 2
    assert found("BO_ 1 A: 8 X", signal("Mux M"), *pages, "SG_MUL_VAL_ 1 P0 Mux 0-3;", "SG_MUL_VAL_ 1 P1 Mux 3-4;") == [
        ("warning", "overlap", 4, "A.P1")
    ]


def test_multiplexers() -> None:
    assert found("BO_ 1 A: 8 X", signal("Mux M")) == [("warning", "unused-multiplexer", 2, "A.Mux")]
    assert found("BO_ 1 A: 8 X", signal("Mux M", "0|2@1+"), signal("P m4", "8|8@1+"), signal("Q m3", "16|8@1+")) == [
        ("error", "unreachable-page", 3, "A.P")
    ]


def test_faulty_lines_are_errors_with_their_kind() -> None:
    assert [(severity, code, line) for severity, code, line, _ in found(
        "BO_ 1 A: 2 X", signal("S"), signal("S", "8|8@1+"), signal("Far", "8|16@1+"), " SG_ Bad : 1 (", "BO_ 1 B: 8 X",
        signal("Lost m1"), "BO_ 3 C: 1 X", signal("Page m1"),
    )] == [
        ("error", "duplicate-name", 3),
        ("error", "out-of-frame", 4),
        ("error", "faulty-line", 5),
        ("error", "duplicate-id", 6),
        ("note", "no-signals", 8),
        ("error", "multiplexer", 9),
    ]  # fmt: skip


def test_one_name_for_two_ids() -> None:
    (one,) = findings("BO_ 16 A: 8 X", signal("S"), "BO_ 2147483664 A: 8 X", signal("S"))
    assert (one.code, one.line) == ("duplicate-name", 3)
    assert "10x" in one.what


def test_limits() -> None:
    cases = {
        ("0|8@1+", "(1,0)", "[0|255]"): None,
        ("0|8@1+", "(0.4,0)", "[0|102.2]"): None,
        ("0|8@1+", "(1,0)", "[0|1000]"): "warning",
        ("0|8@1+", "(1,0)", "[-10|100]"): "warning",
        ("0|8@1-", "(1,0)", "[-128|127]"): None,
        ("0|8@1+", "(-1,0)", "[-255|0]"): None,
        ("0|8@1+", "(0.1,0)", "[100|200]"): "error",
        ("0|8@1+", "(1,0)", "[10|5]"): "error",
    }
    for (bits, scale, limits), severity in cases.items():
        expected = [] if severity is None else [(severity, "limits", 2, "A.S")]
        assert found("BO_ 1 A: 8 X", signal("S", bits, scale, limits)) == expected, (bits, scale, limits)
    assert found("BO_ 1 A: 8 X", signal("S", scale="(0,5)")) == [("error", "scale-zero", 2, "A.S")]
    assert found("BO_ 1 A: 8 X", signal("S", "0|32@1-", "(1,0)", "[0|1e30]"), "SIG_VALTYPE_ 1 S : 1;") == []


def test_value_tables_name_raw_numbers_that_exist() -> None:
    assert found("BO_ 1 A: 8 X", signal("S", "0|2@1+"), 'VAL_ 1 S 0 "Off" 4 "Never" ;') == [
        ("warning", "value-table", 2, "A.S")
    ]
    assert found("BO_ 1 A: 8 X", signal("S", "0|2@1-"), 'VAL_ 1 S -2 "Off" 1 "On" ;') == []


def test_lengths_that_no_frame_has() -> None:
    assert found("BO_ 1 A: 9 X", signal("S")) == [("warning", "length", 1, "A")]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([signal("BatteryTemp", unit="V")], "unit-quantity"),
        ([signal("cell_voltage_1", unit="degC")], "unit-quantity"),
        ([signal("Temperature", unit="\ufffdC")], "unit-letters"),
        ([signal("SteeringAngle", "0|16@1-", "(0.0001,0)", "[-3.1416|3.1416]", "deg")], "unit-angle"),
        ([signal("Yaw", "0|16@1-", "(0.01,0)", "[-180|180]", "rad")], "unit-angle"),
        ([signal("Ta", unit="degC"), signal("Tb", "8|8@1+", unit="°C")], "unit-spelling"),
    ],
)
def test_units(lines: list[str], code: str) -> None:
    assert [one[:2] for one in found("BO_ 1 A: 8 X", *lines)] == [("warning", code)]


def test_units_that_are_right() -> None:
    lines = (
        signal("Template", unit="V"), signal("MotorTemp", "8|8@1+", unit="degC"), signal("Slip", "16|8@1+", unit="%"),
        signal("Roll", "24|16@1-", "(0.01,0)", "[-180|180]", "deg"), signal("Voltage", "40|8@1+", unit="mV"),
        signal("TempAlarm", "48|1@1+"),
    )  # fmt: skip
    assert found("BO_ 1 A: 8 X", *lines) == []


def test_ids_of_two_files() -> None:
    def source(name: str, bits: str) -> LintedFile:
        return read(name, f"BO_ 1 A: 8 X\n{signal('S', bits)}\n")

    assert [(one.code, one.file) for one in lint([source("a.dbc", "0|8@1+"), source("b.dbc", "8|8@1+")])] == [
        ("shared-id", "b.dbc")
    ]
    assert lint([source("a.dbc", "0|8@1+"), source("b.dbc", "0|8@1+")]) == []


def test_a_file_without_a_message_is_refused() -> None:
    with pytest.raises(UserError, match="no usable CAN message"):
        findings("hello")


def test_the_tally_counts_data_frames_by_bus_and_id() -> None:
    chunks = [frames([(1, 0, 8), (1, 1, 8), (1, 0, 4)], start=0), frames([(1, 0, 8), (1, FrameFlag.REMOTE, 8)], 1000)]
    seen = tally(chunks)
    assert seen == {
        WireId(2, 1, False): Seen(3, 0, 1000, Counter({8: 2, 4: 1})),
        WireId(2, 1, True): Seen(1, 10, 10, Counter({8: 1})),
    }
    assert seen[WireId(2, 1, False)].rate_hz == 2000.0


def frames(rows: list[tuple[int, int, int]], start: int) -> FrameColumns:
    count = len(rows)
    return FrameColumns(
        start + 10 * np.arange(count, dtype=np.int64),
        np.full(count, 2, np.uint8),
        np.array([row[0] for row in rows], np.uint32),
        np.array([row[1] for row in rows], np.uint8),
        np.array([row[2] for row in rows], np.uint8),
        np.zeros((count, 8), np.uint8),
    )


def test_against_the_wire() -> None:
    text = "\n".join(
        ["BO_ 1 Short: 8 X", signal("S"), signal("T", "56|8@1+"), "BO_ 2 Long: 2 X", signal("S"), "BO_ 3 Never: 1 X",
         signal("S"), "BO_ 4 Right: 8 X", signal("S"), ""]
    )  # fmt: skip
    rows = [(1, 0, 7), (2, 0, 8), (4, 0, 8), (9, 0, 3), (1, 1, 8)]
    got = lint_wire([read("car.dbc", text)], "drive.log", tally([frames(rows, 0)]))
    assert [(one.severity, one.code, one.file, one.line, one.subject) for one in got] == [
        ("error", "wire-length", "car.dbc", 1, "Short"),
        ("note", "wire-length", "car.dbc", 4, "Long"),
        ("note", "never-seen", "car.dbc", 6, "Never"),
        ("warning", "unknown-id", "drive.log", 0, "1x"),
        ("warning", "unknown-id", "drive.log", 0, "9"),
    ]
    assert "Too short for T" in got[0].advice


def test_a_j1939_message_of_another_sender_is_told() -> None:
    text = "".join(
        f"BO_ {0x80000000 | number} {name}: 8 X\n{signal('S')}\n"
        for number, name in ((0x0CF00400, "EEC1"), (0x0CEF1234, "Prop"))
    )
    rows = [(0x18F00431, 1, 8), (0x18EF5678, 1, 8), (0x18F00500, 1, 8), (0x0CF00400, 1, 8), (0x0CEF1234, 1, 8)]
    got = lint_wire([read("truck.dbc", text)], "drive.log", tally([frames(rows, 0)]))
    assert [(one.subject, "J1939" in one.advice) for one in got] == [
        ("18EF5678x", True),
        ("18F00431x", True),
        ("18F00500x", False),
    ]
    assert "it is EEC1 of another sender" in got[1].advice
