from pathlib import Path

import numpy as np
import pytest

from ved.cli.describe import describe_buses, ids_by_bus, read_dbc_option
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag

ENGINE = 'BO_ 256 Engine: 8 ECU\n SG_ Speed : 0|16@1+ (1,0) [0|0] "rpm" X\n'
EXTENDED = 'BO_ 2147483904 Charger: 8 ECU\n SG_ Volts : 0|16@1+ (1,0) [0|0] "V" X\n'


def frames(*rows: tuple[int, int, bool]) -> FrameColumns:
    n = len(rows)
    return FrameColumns(
        np.arange(n, dtype=np.int64),
        np.array([row[0] for row in rows], np.uint8),
        np.array([row[1] for row in rows], np.uint32),
        np.array([FrameFlag.EXTENDED if row[2] else 0 for row in rows], np.uint8),
        np.zeros(n, np.uint8),
        np.zeros((n, 8), np.uint8),
    )


def option(tmp_path: Path, text: str, bus: str = ""):
    (tmp_path / "x.dbc").write_text(text)
    return read_dbc_option(f"{bus}{tmp_path / 'x.dbc'}")[0]


def test_a_dbc_without_a_bus_goes_where_its_ids_are_seen(tmp_path: Path):
    seen = ids_by_bus([frames((1, 256, False), (2, 256, True)), frames((2, 7, False))])
    plain = option(tmp_path, ENGINE)
    assert [bus.dbc_texts for bus in describe_buses({1: "a", 2: "b"}, [plain], seen)] == [(ENGINE,), ()]
    extended = option(tmp_path, EXTENDED)
    assert [bus.dbc_texts for bus in describe_buses({1: "a", 2: "b"}, [extended], seen)] == [(), (EXTENDED,)]


def test_a_dbc_that_matches_nothing_goes_to_every_bus(tmp_path: Path):
    buses = describe_buses({1: "a", 2: "b"}, [option(tmp_path, ENGINE)], ids_by_bus([frames((1, 9, False))]))
    assert [bus.dbc_texts for bus in buses] == [(ENGINE,), (ENGINE,)]


@pytest.mark.parametrize("bus", ["b=", "2="])
def test_a_bus_is_named_or_numbered(tmp_path: Path, bus: str):
    buses = describe_buses({1: "a", 2: "b"}, [option(tmp_path, ENGINE, bus)], {})
    assert [one.dbc_texts for one in buses] == [(), (ENGINE,)]


def test_an_unknown_bus_is_named_with_the_known_ones(tmp_path: Path):
    with pytest.raises(UserError, match=r"no bus 'c'; it has a \(1\), b \(2\)"):
        describe_buses({1: "a", 2: "b"}, [option(tmp_path, ENGINE, "c=")], {})


def test_a_file_name_may_hold_an_equals_sign(tmp_path: Path):
    file = tmp_path / "run=1.dbc"
    file.write_text(ENGINE)
    assert read_dbc_option(str(file))[0].bus is None


def test_a_faulty_line_is_named_and_the_rest_holds(tmp_path: Path):
    (tmp_path / "x.dbc").write_text(ENGINE + " SG_ Broken : nonsense\n")
    found, problems = read_dbc_option(str(tmp_path / "x.dbc"))
    assert len(found.ids) == 1
    assert len(problems) == 1
    assert "x.dbc:3: " in problems[0]


def test_what_is_no_dbc_at_all_is_refused(tmp_path: Path):
    (tmp_path / "x.dbc").write_text("hello")
    with pytest.raises(UserError, match=r"x\.dbc"):
        read_dbc_option(str(tmp_path / "x.dbc"))
    with pytest.raises(UserError, match="cannot read this DBC file"):
        read_dbc_option(str(tmp_path / "none.dbc"))


def test_a_windows_code_page_is_read(tmp_path: Path):
    (tmp_path / "x.dbc").write_bytes(ENGINE.replace("rpm", "°C").encode("cp1252"))
    assert "°C" in read_dbc_option(str(tmp_path / "x.dbc"))[0].text


def test_a_sheet_of_signals_serves_as_well(tmp_path: Path):
    (tmp_path / "x.csv").write_text(
        "bus,id,message,signal,start,length,order,sign,scale,offset,unit\n,0x100,Engine,Speed,0,16,little,unsigned,1,0,rpm\n"
    )
    found, problems = read_dbc_option(str(tmp_path / "x.csv"))
    assert (found.ids, problems) == (frozenset({256}), [])
    assert "Engine" in found.text


def test_a_format_that_nobody_knows_is_refused(tmp_path: Path):
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    with pytest.raises(UserError, match=r"pdf"):
        read_dbc_option(str(tmp_path / "x.pdf"))
