"""`ved dbc`: what a person sees, and the exit codes that scripts rely on."""

import json
from pathlib import Path

import pytest

from ved.cli.main import app
from ved.errors import UserError

DBC = 'BO_ 256 Engine: 8 ECU\n SG_ Speed : 0|16@1+ (1,0) [0|0] "rpm" X\n SG_ Gear : 16|4@1+ (1,0) [0|6] "" X\n'
LOG = "".join(f"({number}.000000) can0 {text}\n" for number, text in enumerate(["100#0102", "100#0102", "101#00"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "car.dbc").write_text(DBC)
    (tmp_path / "wrong.dbc").write_text(DBC.replace("16|4", "12|8"))
    (tmp_path / "no.dbc").write_text("this is no DBC\n")
    (tmp_path / "drive.log").write_text(LOG)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    code = app([str(argument) for argument in arguments], standalone_mode=False)
    return code or 0, capsys.readouterr().out


def test_lint_of_a_sound_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dbc", "lint", folder / "car.dbc") == (0, "1 file checked: nothing to say\n")


def test_lint_explains_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "dbc", "lint", folder / "wrong.dbc")
    assert code == 1
    assert out.startswith("error[overlap]: Gear and Speed (line 2) of Engine share 4 bits (12 to 15)\n")
    assert f"--> {folder / 'wrong.dbc'}:3\n   | SG_ Gear" in out
    assert out.endswith("1 error, 0 warnings, 0 notes in 1 file\n")


def test_lint_with_a_recording_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "dbc", "lint", folder / "car.dbc", "--log", folder / "drive.log", "--json")
    found = json.loads(out)
    assert (code, found["counts"]) == (1, {"error": 1, "warning": 1, "note": 0})
    assert [(one["code"], one["subject"]) for one in found["findings"]] == [
        ("wire-length", "Engine"),
        ("unknown-id", "101"),
    ]


def test_many_findings_of_a_kind_are_cut_but_no_error_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "".join(f"BO_ {number} M{number}: 8 X\n" for number in range(30)) + "SG_ : \n" * 30
    (folder / "many.dbc").write_text(many)
    code, out = run(capsys, "dbc", "lint", folder / "many.dbc")
    assert (code, out.count("note[no-signals]"), out.count("error[faulty-line]")) == (1, 10, 30)
    assert "… and 20 more of no-signals (--all shows them)" in out
    assert run(capsys, "dbc", "lint", "--all", folder / "many.dbc")[1].count("note[no-signals]") == 30


def test_markup_in_names_is_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "markup.dbc").write_text(DBC.replace("Engine", "[bold]E[/nothing]"))
    assert "[bold]E[/nothing]" in run(capsys, "dbc", "show", folder / "markup.dbc")[1]


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "100  Engine   8      2" in run(capsys, "dbc", "show", folder / "car.dbc")[1]
    for name in ("Engine", "100", "0x100"):
        out = run(capsys, "dbc", "show", folder / "car.dbc", "--message", name)[1]
        assert "Engine: id 100, 8 bytes" in out
        assert "Gear    16|4 Intel  unsigned  × 1          0 to 6" in out
    shown = json.loads(run(capsys, "dbc", "show", folder / "car.dbc", "--json")[1])
    assert [signal["name"] for signal in shown[0]["signals"]] == ["Speed", "Gear"]
    with pytest.raises(UserError, match="no message 'Motor'"):
        run(capsys, "dbc", "show", folder / "car.dbc", "--message", "Motor")


def test_diff(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dbc", "diff", folder / "car.dbc", folder / "car.dbc") == (0, "no difference\n")
    code, out = run(capsys, "dbc", "diff", folder / "car.dbc", folder / "wrong.dbc")
    assert code == 1
    assert "~ Engine.Gear  (channel Engine.Gear has other values, in all of history)\n    start_bit: 16 -> 12\n" in out
    assert json.loads(run(capsys, "dbc", "diff", folder / "car.dbc", folder / "wrong.dbc", "--json")[1])


@pytest.mark.parametrize("command", ["lint", "show"])
@pytest.mark.parametrize(("file", "reason"), [("none.dbc", "none.dbc"), ("no.dbc", "no usable CAN message")])
def test_bad_input_is_one_line(folder: Path, command: str, file: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        app(["dbc", command, str(folder / file)], standalone_mode=False)
    assert "\n" not in str(caught.value)


def test_convert_to_a_table_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dbc", "convert", folder / "car.dbc", folder / "car.csv")[0] == 0
    code, out = run(capsys, "dbc", "convert", folder / "car.csv", folder / "again.dbc")
    assert (code, out) == (0, f"{folder / 'again.dbc'}: 1 messages, 2 signals\n")
    assert run(capsys, "dbc", "diff", folder / "car.dbc", folder / "again.dbc") == (0, "no difference\n")
    assert run(capsys, "dbc", "lint", folder / "car.csv")[0] == 0
    with pytest.raises(UserError, match="--force"):
        run(capsys, "dbc", "convert", folder / "car.csv", folder / "again.dbc")
    assert run(capsys, "dbc", "convert", "--force", folder / "car.csv", folder / "again.dbc")[0] == 0


def test_convert_one_bus_and_say_what_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.csv").write_text("bus,id,message,signal,start,length\na,1,A,S,0,8\nb,1,B,S,8,8\n1F0,no,S,0,8\n")
    app(["dbc", "convert", str(folder / "two.csv"), str(folder / "all.dbc")], standalone_mode=False)
    told = capsys.readouterr().err
    assert "two.csv:4: has " in told
    assert "lost: B is left out: A has its id" in told
    app(["dbc", "convert", str(folder / "two.csv"), str(folder / "b.dbc"), "--bus", "b"], standalone_mode=False)
    assert "lost" not in capsys.readouterr().err
    assert "BO_ 1 B: 8" in (folder / "b.dbc").read_text()
    with pytest.raises(UserError, match="a, b"):
        app(["dbc", "convert", str(folder / "two.csv"), str(folder / "c.dbc"), "--bus", "c"], standalone_mode=False)


def test_guess_writes_a_file_to_edit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"({number / 10:.6f}) can0 200#{number % 256:02X}55\n(1.0) can0 100#01\n" for number in range(1, 300)]
    (folder / "count.log").write_text("".join(lines))
    code, out = run(
        capsys, "dbc", "guess", folder / "count.log", "--dbc", folder / "car.dbc", "--out", folder / "guess.dbc"
    )
    assert code == 0
    assert "200 on bus 0, 2 bytes: Guessed from 10 Hz, 299 frames. Constant: byte 1 = 0x55." in out
    assert "Counter_0  0|8 Intel  unsigned  Guess, confidence 100%: counter, goes up by 1" in out
    assert "1 messages to edit" in out
    text = (folder / "guess.dbc").read_text()
    assert "BO_ 512 Unknown_200: 2" in text
    assert "confidence 100%" in text
    assert run(capsys, "dbc", "lint", folder / "guess.dbc")[0] == 0
    with pytest.raises(UserError, match="--force"):
        run(capsys, "dbc", "guess", folder / "count.log", "--out", folder / "guess.dbc")
    with pytest.raises(UserError, match=r"\.dbc or \.csv"):
        run(capsys, "dbc", "guess", folder / "count.log", "--out", folder / "guess.txt")
    _, out = run(
        capsys, "dbc", "guess", folder / "count.log", "--dbc", folder / "guess.dbc", "--dbc", folder / "car.dbc"
    )
    assert out.endswith("no unknown id in it\n")
