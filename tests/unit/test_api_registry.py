"""The registry over time: DBCs hold from-to, corrections reach into history, renamed channels answer to both names."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.recorded_helpers import Folder

import ved
from ved.analysis.alarms.binding import bind
from ved.api.history import History
from ved.api.registry import EVER_FROM_US, EVER_TO_US, Registry
from ved.db.database import Database
from ved.db.dbcs import Assignment, AssignmentDraft, DbcFile, add_aliases, assign_dbc, put_dbc
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.model.alarmrule import Rule
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.frames import FrameColumns
from ved.model.records import BusDescription

UTC0 = 1_700_000_000_000_000
HEAD = 'VERSION ""\nBU_: A\n'
OLD = HEAD + (
    'BO_ 100 Motor: 8 A\n SG_ Torque : 0|16@1- (0.5,0) [0|0] "N·m" A\n SG_ Speed : 16|16@1+ (1,0) [0|0] "rpm" A\n'
)
SCALED = OLD.replace("(0.5,0)", "(5,0)")
RENAMED = OLD.replace("Torque", "MotorTorque")
S = 1_000_000


def frames(seconds: int = 10) -> FrameColumns:
    """Ten frames a second; torque raw and speed raw are the frame's number."""
    n = 10 * seconds
    payload = np.zeros((n, 8), np.uint8)
    payload[:, :2] = payload[:, 2:4] = np.arange(n, dtype="<u2").view(np.uint8).reshape(n, 2)
    zero = np.zeros(n, np.uint8)
    ids = np.full(n, 100, np.uint32)
    return FrameColumns(np.arange(n, dtype=np.int64) * 100_000, zero, ids, zero, np.full(n, 8, np.uint8), payload)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "data")
    made.add("fs", [(frames(), UTC0)], {0: ("can0", OLD)})
    return made


def assign(db: Database, text: str, valid_from_us: int | None = None, valid_to_us: int | None = None) -> int:
    file = DbcFile(put_dbc(db, "fix.dbc", text), "fix.dbc")
    return assign_dbc(db, AssignmentDraft("fs", 0, "can0", (file,), "engineer", "", valid_from_us, valid_to_us))


def lake_files(folder: Folder) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder.path / "lake").rglob("*"))
        if path.is_file()
    }


def test_a_corrected_dbc_reads_history_anew_and_rewrites_no_frame(folder: Folder):
    before = lake_files(folder)
    first = assign(folder.db, OLD)
    second = assign(folder.db, SCALED)
    with ved.open(folder.path) as lake:
        session = lake.sessions()[0]
        np.testing.assert_allclose(session.samples("Torque").values, 5.0 * np.arange(100))
        for dbc in ("recorded", first, 0):
            np.testing.assert_allclose(session.frame(["Torque"], 10, dbc=dbc)["Torque"], 0.5 * np.arange(100))
        np.testing.assert_allclose(session.frame(["Torque"], 10, dbc=second)["Torque"], 5.0 * np.arange(100))
        with pytest.raises(UserError, match="number of an assignment"):
            session.frame(["Torque"], 10, dbc=99)
    assert lake_files(folder) == before


def test_a_session_over_a_change_is_read_in_pieces(folder: Folder):
    assign(folder.db, OLD)
    assign(folder.db, SCALED, valid_from_us=UTC0 + 4 * S, valid_to_us=UTC0 + 6 * S)
    scale = np.where((np.arange(100) >= 40) & (np.arange(100) < 60), 5.0, 0.5)
    with ved.open(folder.path) as lake:
        session = lake.sessions()[0]
        np.testing.assert_allclose(session.samples("Torque").values, scale * np.arange(100))
        assert sum(len(part) for part in session.raw_frames()) == 100
    history = History(Lake(str(folder.path / "lake")), folder.db)
    found = history.samples("fs", "Motor.Torque", UTC0 + 3 * S, UTC0 + 7 * S)
    np.testing.assert_allclose(found.values, (scale * np.arange(100))[30:70])
    bounds = [(UTC0 + at * S, UTC0 + (at + 1) * S) for at in range(10)]
    pieces = [history.samples("fs", "Motor.Torque", *one).values for one in bounds]
    np.testing.assert_allclose(np.concatenate(pieces), scale * np.arange(100))


def test_a_renamed_channel_answers_to_both_names_on_both_sides(folder: Folder):
    assign(folder.db, OLD)
    assign(folder.db, RENAMED, valid_from_us=UTC0 + 5 * S)
    with ved.open(folder.path) as lake:
        assert len(lake.sessions()[0].samples("Motor.MotorTorque").values) == 50
    add_aliases(folder.db, "fs", [("Motor.Torque", "Motor.MotorTorque")], "engineer")
    history = History(Lake(str(folder.path / "lake")), folder.db)
    with ved.open(folder.path) as lake:
        session = lake.sessions()[0]
        assert [one.name for one in session.channels] == ["Motor.MotorTorque", "Motor.Speed"]
        for name in ("Motor.MotorTorque", "Motor.Torque"):
            np.testing.assert_allclose(session.samples(name).values, 0.5 * np.arange(100))
            assert len(history.samples("fs", name, UTC0, UTC0 + 10 * S).values) == 100
    assert sorted(one.name for one in history.channels("fs")) == ["Motor.MotorTorque", "Motor.Speed"]


def test_both_versions_side_by_side(folder: Folder):
    assign(folder.db, RENAMED.replace("16|16@1+ (1,0)", "16|16@1+ (2,1)"), valid_from_us=UTC0 + 5 * S)
    with ved.open(folder.path) as lake:
        found = {one.name: one for one in lake.sessions()[0].compare()}
    assert {name: one.kind for name, one in found.items()} == {
        "Motor.MotorTorque": "renamed",
        "Motor.Speed": "changed",
    }
    speed, torque = found["Motor.Speed"], found["Motor.MotorTorque"]
    assert (speed.samples, speed.differing, speed.largest) == (50, 50, 100.0)
    assert (torque.former, torque.samples, torque.has_other_samples) == ("Motor.Torque", 50, False)
    first = speed.examples[0]
    assert (first.utc_us, first.payload.hex(), first.before, first.after) == (
        UTC0 + 5 * S,
        "3200320000000000",
        50.0,
        101.0,
    )
    assert [one.utc_us for one in speed.examples] == sorted(one.utc_us for one in speed.examples)


def test_new_and_gone_channels_show_what_they_give(folder: Folder):
    assign(folder.db, HEAD + 'BO_ 100 Motor: 8 A\n SG_ Late : 8|8@1+ (1,0) [0|0] "" A\n')
    with ved.open(folder.path) as lake:
        found = {one.name: one for one in lake.sessions()[0].compare()}
    assert {name: one.kind for name, one in found.items()} == {
        "Motor.Late": "new",
        "Motor.Speed": "gone",
        "Motor.Torque": "gone",
    }
    assert (found["Motor.Late"].only_after, found["Motor.Speed"].only_before) == (100, 100)
    assert found["Motor.Late"].examples[-1].after == 0.0
    assert found["Motor.Speed"].examples[-1].before == 99.0


def test_no_files_means_the_epochs_own_dbcs(folder: Folder):
    assign(folder.db, SCALED)
    assign_dbc(folder.db, AssignmentDraft("fs", 0, "can0", (), "engineer", "as the car had it"))
    with ved.open(folder.path) as lake:
        np.testing.assert_allclose(lake.sessions()[0].samples("Torque").values, 0.5 * np.arange(100))


times = st.one_of(st.none(), st.integers(-5, 15))


@given(st.lists(st.tuples(times, times, st.integers(0, 3)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_at_every_time_the_newest_assignment_that_covers_it_holds(rows: list[tuple[int | None, int | None, int]]):
    texts = {str(number): f"text {number}" for number in range(4)}
    history = tuple(
        Assignment(at, "fs", 0, "can0", (DbcFile(str(number), "a.dbc"),) if number else (), "", "", low, high, 0)
        for at, (low, high, number) in enumerate(rows, 1)
    )
    own = (BusDescription(0, "can0", ("own",)),)
    stretches = Registry("fs", (0, 0), history, texts, NO_ALIASES).stretches(own)
    assert (stretches[0].utc_from_us, stretches[-1].utc_to_us) == (EVER_FROM_US, EVER_TO_US)
    assert all(one.utc_to_us == two.utc_from_us for one, two in itertools.pairwise(stretches))
    for utc_us in range(-6, 17):
        covering = [one for one in rows if (one[0] is None or one[0] <= utc_us) and (one[1] is None or utc_us < one[1])]
        wanted = f"text {covering[-1][2]}" if covering and covering[-1][2] else "own"
        (found,) = [one for one in stretches if one.utc_from_us <= utc_us < one.utc_to_us]
        assert [source.text for source in found.sources] == [wanted]


def test_names_are_followed_to_what_is_known():
    aliases = Aliases([("a", "b"), ("b", "c"), ("x", "c")])
    assert aliases.others("a") == ["b", "c", "x"]
    assert aliases.index({"c": 7}, "a") == 7
    assert aliases.index({"a": 1, "c": 7}, "a") == 1
    assert aliases.index({"a": 1}, "c") == 1
    assert aliases.current("x", {"a"}) == "a"
    assert aliases.index({"y": 1}, "a") is None
    assert [aliases.is_former(name, {"a", "c"}) for name in ("a", "c", "x")] == [True, False, True]


def test_a_circle_of_names_ends():
    aliases = Aliases([("a", "b"), ("b", "a")])
    assert aliases.others("a") == ["b"]
    assert not aliases.is_former("a", {"a"})
    assert aliases.is_former("a", {"b"})


def test_a_rule_finds_its_channel_under_a_former_name():
    channels = load_set([DbcSource(0, "can0", "a.dbc", RENAMED)]).channels
    rules = [
        Rule("r1", "above", "High", "Haut", channel="Motor.Torque", limit=1.0),
        Rule("r2", "expression", "High", "Haut", expression="Motor.Torque > 3"),
    ]
    assert set(bind(rules, channels).idle) == {"r1", "r2"}
    bound = bind(rules, channels, Aliases([("Motor.Torque", "Motor.MotorTorque")]))
    assert bound.idle == {}
    assert {one.inputs for one in bound.conditions} == {(0,)}


def test_numbers_are_found_under_all_names():
    aliases = Aliases([("a", "b"), ("x", "y")])
    assert aliases.extend({"b": 3, "c": 4}) == {"a": 3, "b": 3, "c": 4}
    assert aliases.extend({"a": 1, "b": 3}) == {"a": 1, "b": 3}


def test_sql_knows_both_names(folder: Folder):
    assign(folder.db, RENAMED.replace("Motor: 8", "Drive: 8"))
    add_aliases(folder.db, "fs", [("Motor.Torque", "Drive.MotorTorque"), ("Motor.Speed", "Drive.Speed")], "engineer")
    with ved.open(folder.path) as lake:
        for query in (
            "SELECT max(MotorTorque), max(Speed) FROM fs.Drive",
            "SELECT max(Torque), max(Speed) FROM fs.Motor",
        ):
            assert [tuple(row.values()) for row in lake.sql(query).to_dicts()] == [(49.5, 99.0)]
