"""`ved import` of several recordings: what one lacks stops no other, and is told."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ved.cli import importing
from ved.cli.arrival import Expected
from ved.cli.importing import Target, import_logs
from ved.codec.records import decode_record
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.model.records import Description

ENGINE = 'BO_ 256 Engine: 8 ECU\n SG_ Speed : 0|16@1+ (1,0) [0|0] "rpm" X\n'


class Far:
    """A server that takes all; `brought`: title of a recording -> bus -> its DBC texts."""

    def __init__(self) -> None:
        self.brought: dict[str, dict[str, tuple[str, ...]]] = {}

    async def bring(self, expected: Expected, records: Iterator[bytes]) -> None:
        described, *rest = [decode_record(one) for one in records]
        assert isinstance(described, Description)
        assert rest
        assert expected.rows == 2
        self.brought[described.title] = {bus.name: bus.dbc_texts for bus in described.buses}


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    far = Far()
    monkeypatch.setattr(importing, "delivery_to", lambda _: contextlib.nullcontext(far))
    return far


@pytest.fixture
def season(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chassis.dbc").write_text(ENGINE)
    for number, name in enumerate(("a", "b", "c")):
        bus = "can1" if name == "b" else "can0"
        lines = [f"({1_700_000_000 + number}.{k:06d}) {bus} 100#0102\n" for k in range(2)]
        (tmp_path / f"{name}.log").write_text("".join(lines))
    return tmp_path


def run(season: Path, *dbcs: str) -> None:
    target = Target("car", ServerSettings(data=season / "data"), "wss://far:1", season / "state")
    import_logs(("*.log", *(str(one) for one in season.glob("*.trc"))), dbcs, target)


def test_a_log_without_the_bus_of_a_dbc_is_imported_without_it(far: Far, season: Path, capsys: pytest.CaptureFixture):
    run(season, "can1=chassis.dbc")
    assert far.brought == {"b": {"can1": (ENGINE,)}, "a": {"can0": ()}, "c": {"can0": ()}}
    said = capsys.readouterr()
    assert said.err == ("ved: --dbc can1=chassis.dbc: 2 of 3 logs have no bus 'can1'; they are imported without it\n")
    assert said.out.count("2 frames are in") == 3


def test_a_bus_that_no_log_has_is_an_error_before_anything_is_sent(far: Far, season: Path):
    with pytest.raises(UserError, match=r"no log has the bus 'can2'; there are can0 \(0\), can1 \(1\)$"):
        run(season, "can1=chassis.dbc", "can2=chassis.dbc")
    assert far.brought == {}


def test_a_recording_without_a_date_is_told_and_stops_no_other(
    far: Far, season: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    (season / "aa.log").write_text("(3.000000) can0 100#0102\n(3.000001) can0 100#0102\n")
    (season / "old.trc").write_text("".join(f"  {k}) {k}.0  0100  1  0{k}\n" for k in range(1, 3)))
    with pytest.raises(UserError, match=r"aa\.log: does not say when .*\(2 of 5 files could not be imported\)$"):
        run(season)
    assert far.brought.keys() == {"a", "b", "c"}
    said = capsys.readouterr()
    assert said.out.count("2 frames are in") == 3
    assert "old.trc: does not say when it was recorded" in said.err
    assert len(said.err.splitlines()) == 2


def test_a_recording_that_changes_meanwhile_stops_no_other(far: Far, season: Path, monkeypatch: pytest.MonkeyPatch):
    look = importing.look_through

    def look_and_cut(path: Path):
        found = look(path)
        if path.name == "a.log":
            path.write_text(path.read_text().splitlines(keepends=True)[0])
        return found

    monkeypatch.setattr(importing, "look_through", look_and_cut)
    with pytest.raises(UserError, match=r"a\.log: changed while it was read; .*\(1 of 3 files could not be"):
        run(season)
    assert far.brought.keys() == {"b", "c"}
