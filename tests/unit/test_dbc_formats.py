import csv
import io
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest
from cantools.database.can.formats import kcd

from ved.config.vehicle import read_dbc
from ved.dbc.formats import read_definitions, to_dbc_text, write_definitions
from ved.dbc.load import DbcSource, load_set
from ved.dbc.parse import parse_dbc
from ved.dbc.sheet import read_sheet, write_sheet
from ved.errors import UserError

DATA = Path(__file__).parents[1] / "data"
KCD = f"""<NetworkDefinition xmlns="{kcd.NAMESPACE}"><Document name="d"/>
<Bus name="Motor"><Message id="0x100" name="Engine" length="8">
<Signal name="Speed" offset="8" length="16" endianess="big">
<Value slope="0.5" intercept="-10" unit="rpm" max="100"/></Signal>
</Message></Bus></NetworkDefinition>""".encode()
HEAD = "id,message,signal,start,length"


def test_every_dbc_survives_as_a_table() -> None:
    survived = 0
    for path in sorted(DATA.glob("*/*")):
        if path.suffix.lower() != ".dbc":
            continue
        messages = parse_dbc(path.name, read_dbc(path)).messages
        text, losses = write_sheet(messages)
        again = read_sheet("again.csv", text)
        if messages and not losses:
            assert again.messages == messages, path.name
            survived += 1
        assert {problem.code for problem in again.problems} <= {"out-of-frame"}, path.name
    assert survived > 60


@pytest.mark.parametrize("suffix", [".dbc", ".csv", ".sym"])
def test_no_text_of_a_dbc_has_a_zero_byte(tmp_path: Path, suffix: str) -> None:
    """No record could carry it."""
    data = {
        ".dbc": b'VERSION ""\nBO_ 256 A: 8 ECU\n SG_ B : 0|8@1+ (1,0) [0|0] "V\0" ECU\nCM_ BO_ 256 "a\0b";\n',
        ".csv": f'{HEAD},comment\n256,A,B,0,8,"a\0b"\n'.encode(),
        ".sym": b"FormatVersion=6.0 // x\n{SENDRECEIVE}\n\n[A]\nID=100h // a\0b\nLen=8\nVar=B unsigned 0,8\n",
    }[suffix]
    text = to_dbc_text(data, suffix)
    assert "a\ufffdb" in text
    assert "\0" not in text
    file = tmp_path / "car.dbc"
    file.write_bytes(data)
    assert "\0" not in read_dbc(file)


def test_a_sheet_from_a_french_spreadsheet() -> None:
    text = (
        "\ufeffID;Message;Signal;Start;Length;Order;Sign;Scale;Offset;Unit;Values;Bus\r\n"
        '0x1F0;Moteur;Température;0;8;intel;unsigned;0,5;-40;°C;"255=Défaut; 254=""x"" \\; y";principal\r\n'
        ";;Couple;15;16;Motorola;signed;0,1;;Nm;;\r\n"
        ";;;;;;;;;;;\r\n"
        "0x10x;Autre;Etat;0;1;;;;;;0=Non; 1=Oui\r\n".replace("0=Non; 1=Oui", '"0=Non; 1=Oui"')
    )
    first, second = read_definitions(text.encode(), "car.csv").messages
    assert (first.name, first.arbitration_id, first.is_extended, first.length, first.bus_name, first.line) == (
        "Moteur", 0x1F0, False, 8, "principal", 2,
    )  # fmt: skip
    temperature, torque = first.signals
    assert (temperature.scale, temperature.offset, temperature.unit) == (0.5, -40.0, "°C")
    assert temperature.choices == ((255, "Défaut"), (254, '"x" ; y'))
    assert (torque.scale, torque.raw_type, torque.is_little_endian, torque.line) == (0.1, "signed", False, 3)
    assert (second.arbitration_id, second.is_extended, second.signals[0].choices) == (
        16,
        True,
        ((0, "Non"), (1, "Oui")),
    )


def test_multiplexers_in_a_sheet() -> None:
    text = f'{HEAD},multiplexer\n1,A,Mode,0,8,\n1,A,Low,8,8,Mode=0\n1,A,High,8,8,"Mode=1,4-7"\n'
    (message,) = read_sheet("car.csv", text).messages
    mode, low, high = message.signals
    assert (mode.is_multiplexer, low.multiplexer, low.selectors) == (True, 0, ((0, 0),))
    assert high.selectors == ((1, 1), (4, 7))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1F0,A,S,0,8", "write it in hex as 0x1F0"),
        ("1,A,S,0,65", "has 65 bits"),
        ("1,A,S,zero,8", "as start; write a whole number"),
        ("0x20000000,A,S,0,8", "more than 29 bits"),
        ("1,A,S,600,8", "past the 64 bytes"),
        ("5,Other,S,0,8", "has the id of Good"),
        ("5,Good,G,8,8", "defines G a second time"),
        (",,,,", ""),
    ],
)
def test_faulty_rows_are_set_aside_with_their_line(row: str, why: str) -> None:
    parsed = read_sheet("car.csv", f"{HEAD}\n5,Good,G,0,8\n{row}\n6,Last,S,0,8\n")
    assert [message.name for message in parsed.messages] == ["Good", "Last"]
    assert [(problem.line, problem.text) for problem in parsed.problems] == ([(3, row)] if why else [])
    assert all(why in problem.why for problem in parsed.problems)


def test_a_sheet_without_its_columns_is_refused() -> None:
    with pytest.raises(UserError, match="missing: start, length"):
        read_definitions(b"id,message,signal\n", "car.csv")
    with pytest.raises(UserError, match="no usable CAN message"):
        read_definitions(HEAD.encode(), "car.csv")


def test_kcd_by_cantools() -> None:
    found = read_definitions(KCD, "car.kcd")
    (message,) = found.messages
    (signal,) = message.signals
    assert (message.name, message.arbitration_id, message.bus_name) == ("Engine", 256, "Motor")
    assert (signal.scale, signal.offset, signal.unit, signal.maximum) == (0.5, -10, "rpm", 100)
    assert signal.minimum == -10
    again = load_set([DbcSource(None, "", "x", to_dbc_text(KCD, ".kcd"))])
    assert again.messages[0].signals == message.signals


def test_what_has_no_name_in_a_kcd_is_left_out_and_told() -> None:
    nameless = KCD.replace(b' name="Speed"', b"").replace(b"</Bus>", b'<Message id="0x1"/></Bus>')
    found = read_definitions(nameless, "car.kcd")
    assert [(message.name, message.signals) for message in found.messages] == [("Engine", ())]
    assert sorted(found.losses) == [
        "a message without a name: left out",
        "a signal of Engine without a name: left out",
    ]


def test_a_sheet_whose_lines_end_in_carriage_returns() -> None:
    text = f"{HEAD}\r1,A,x,0,8\r\r\r\r2,B,wrong\r3,C,y,0,8"
    parsed = read_sheet("old.csv", text)
    assert [message.name for message in parsed.messages] == ["A", "C"]
    assert [problem.line for problem in parsed.problems] == [6]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cantools", None)
    with pytest.raises(UserError, match=r"ved\[formats\]"):
        read_definitions(KCD, "car.kcd")


@pytest.mark.parametrize("name", ["car.kcd", "car.sym", "car.arxml"])
@pytest.mark.parametrize("data", [b"", b"hello", b"<a>", b"\xff\xfe\x00", KCD[:200]])
def test_what_is_no_such_file_is_refused_in_one_line(name: str, data: bytes) -> None:
    with pytest.raises(UserError) as caught:
        read_definitions(data, name)
    assert "\n" not in str(caught.value)


def test_a_dbc_stays_what_it_is_and_unknown_kinds_are_refused() -> None:
    assert to_dbc_text("unité".encode("cp1252"), ".DBC") == "unité"
    with pytest.raises(UserError, match="known are"):
        to_dbc_text(b"", ".ods")
    with pytest.raises(UserError, match=r"\.dbc or \.csv"):
        write_definitions([], ".kcd")


def workbook(*sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_an_excel_workbook_says_what_the_same_table_says() -> None:
    compared = 0
    for path in sorted(DATA.glob("*/*.dbc"))[:30]:
        messages = parse_dbc(path.name, read_dbc(path)).messages
        text, _ = write_sheet(messages)
        rows = [[number_or_text(cell) for cell in row] for row in csv.reader(io.StringIO(text))]
        if not messages or any("\x00" <= char < " " for row in rows for cell in row for char in str(cell)):
            continue  # a workbook cannot hold control characters
        expected, got = read_sheet("a.xlsx", text), read_definitions(workbook([["notes"]], rows), "a.xlsx")
        assert list(got.messages) == expected.messages, path.name
        compared += 1
    assert compared > 15


def number_or_text(cell: str) -> object:
    for kind in (int, float):
        try:
            number = kind(cell)
        except ValueError:
            continue
        return number if abs(number) < 1e15 else cell
    return cell


def test_a_faulty_row_of_a_workbook_is_named_with_its_row() -> None:
    rows = [HEAD.split(","), [256, "Engine", "Speed", 0, 16], [], ["0x1G0", "Bad", "X", 0, 8]]
    found = read_definitions(workbook(rows), "car.xlsx")
    assert [message.name for message in found.messages] == ["Engine"]
    assert [(problem.line, problem.text) for problem in found.problems] == [(4, "0x1G0, Bad, X, 0, 8")]


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"no workbook", workbook([["a", "b"]])[:-40]], ids=["nothing", "a head", "text", "cut"]
)
def test_what_is_no_workbook_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match=r"car\.xlsx: is no Excel workbook"):
        read_definitions(data, "car.xlsx")


def test_a_workbook_that_unpacks_to_a_flood_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (65 << 20))
    with pytest.raises(UserError, match="65 MiB unpacked"):
        read_definitions(out.getvalue(), "bomb.xlsx")
