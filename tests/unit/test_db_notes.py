"""What people do with sessions: notes, splitting and merging, kept beside what watch writes."""

import pytest

from ved.db.database import Database
from ved.db.edits import list_edits
from ved.db.maths import list_maths, put_maths, remove_maths, seed_maths
from ved.db.notes import get_notes, merge_sessions, put_notes, split_session
from ved.db.sessions import found_sessions, list_sessions, save_sessions
from ved.db.tracks import list_tracks, put_track, remove_track, write_learned
from ved.errors import UserError
from ved.model.maths import MathsDef
from ved.model.session import Notes, Session, SessionPart
from ved.model.track import Track, TrackLine

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000


@pytest.fixture
def db(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/db.sqlite")
    made.migrate()
    yield made
    made.close()


def found(name, epoch, t_from_s, t_to_s, vehicle="fs"):
    part = SessionPart(epoch, t_from_s * SECOND, t_to_s * SECOND)
    return Session(name, vehicle, part.t_from_us, part.t_to_us, is_open=False, parts=(part,), moved_us=(5, 9))


def spans(db):
    return [(one.id, one.utc_from_us // SECOND, one.utc_to_us // SECOND) for one in list_sessions(db)]


def test_split_and_merge_survive_what_watch_writes(db):
    save_sessions(db, [found("one", A, 0, 100), found("two", B, 500, 600)])
    assert list_sessions(db) == found_sessions(db)
    new = split_session(db, "one", 40 * SECOND, "ada")
    assert spans(db) == [("one", 0, 39), (new, 40, 100), ("two", 500, 600)]
    assert merge_sessions(db, "two", new, "ada") == new
    assert spans(db) == [("one", 0, 39), (new, 40, 600)]
    save_sessions(db, [found("two", B, 500, 700)])  # watch goes on
    assert spans(db) == [("one", 0, 39), (new, 40, 700)]
    again = split_session(db, new, 450 * SECOND, "bob")  # in the pause between the two
    assert again == "two"
    assert spans(db) == [("one", 0, 39), (new, 40, 100), ("two", 500, 700)]
    assert merge_sessions(db, "one", new, "bob") == "one"
    assert spans(db) == [("one", 0, 100), ("two", 500, 700)]
    assert [edit.who for edit in list_edits(db, "session", "one")] == ["ada", "bob"]


def test_a_cut_in_a_merged_session_takes_what_follows_along(db):
    save_sessions(db, [found("one", A, 0, 100), found("two", B, 200, 300), found("three", b"c" * 16, 400, 500)])
    merge_sessions(db, "one", "two", "ada")
    merge_sessions(db, "one", "three", "ada")
    assert spans(db) == [("one", 0, 500)]
    new = split_session(db, "one", 250 * SECOND, "ada")
    assert spans(db) == [("one", 0, 249), (new, 250, 500)]
    last = split_session(db, new, 400 * SECOND, "ada")
    assert spans(db) == [("one", 0, 249), (new, 250, 300), (last, 400, 500)]


def test_what_cannot_be_split_or_merged_is_said(db):
    save_sessions(db, [found("a", A, 0, 100), found("b", B, 200, 300), found("c", b"c" * 16, 400, 500)])
    save_sessions(db, [found("p", b"p" * 16, 0, 10, "pe")])
    for where in (0, 101):
        with pytest.raises(UserError, match="must lie inside"):
            split_session(db, "a", where * SECOND, "ada")
    with pytest.raises(UserError, match="'x': there is none"):
        split_session(db, "x", 5, "ada")
    with pytest.raises(UserError, match="session b: lies between a and c"):
        merge_sessions(db, "a", "c", "ada")
    with pytest.raises(UserError, match="with itself"):
        merge_sessions(db, "a", "a", "ada")
    with pytest.raises(UserError, match="is of"):
        merge_sessions(db, "a", "p", "ada")


def test_notes_are_kept_and_joined(db):
    save_sessions(db, [found("a", A, 0, 100), found("b", B, 200, 300)])
    put_notes(db, "a", Notes(name="Morning", tags=("rain",), notes="wet"), "ada")
    put_notes(db, "b", Notes(name="Noon", driver="Léa", tags=("rain", "fast"), notes="dry"), "bob")
    put_notes(db, "b", get_notes(db, "b"), "bob")
    merge_sessions(db, "a", "b", "ada")
    assert get_notes(db, "a") == Notes("Morning", "Léa", "", "", "wet\ndry", ("rain", "fast"))
    (edit,) = list_edits(db, "session", "b")
    assert (edit.who, edit.before["name"], edit.after["name"]) == ("bob", "", "Noon")
    put_notes(db, "b", Notes(), "bob")
    assert get_notes(db, "b") == Notes()


def test_maths_channels_are_seeded_once_and_then_belong_to_people(db):
    power, other = MathsDef("Power", "V * I", "kW", "of the pack"), MathsDef("Other", "V")
    seed_maths(db, "fs", [power])
    seed_maths(db, "fs", [power, other])
    assert list_maths(db, "fs") == [power]
    assert remove_maths(db, "fs", "Power", "ada")
    assert not remove_maths(db, "fs", "Power", "ada")
    seed_maths(db, "fs", [power])
    assert list_maths(db, "fs") == []
    put_maths(db, "fs", other, "ada")
    put_maths(db, "fs", other, "ada")
    assert list_maths(db, "fs") == [other]
    assert [(one.before is None, one.after is None) for one in list_edits(db, "maths", "fs/Power")] == [(False, True)]
    assert len(list_edits(db, "maths", "fs/Other")) == 1


def test_a_track_that_people_changed_stands_in_place_of_the_learned_one(db):
    line = TrackLine((48.0, 2.0), (48.0, 2.001), is_one_way=True)
    learned = Track("t1", "48, 2", (line,), ((48.0, 2.0), (48.1, 2.0), (48.1, 2.1)))
    with db.engine.begin() as connection:
        write_learned(connection, learned)
        write_learned(connection, learned)
    assert list_tracks(db) == [learned]
    renamed = Track("t1", "Home", (line,), learned.reference)
    put_track(db, renamed, "ada")
    put_track(db, Track("t2", "Away", (line,)), "ada")
    assert list_tracks(db) == [Track("t2", "Away", (line,)), renamed]
    assert remove_track(db, "t1", "ada")
    assert not remove_track(db, "t1", "ada")
    assert [one.id for one in list_tracks(db)] == ["t2"]
