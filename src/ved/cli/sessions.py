"""`ved sessions`: list, show, describe, split, merge."""

import datetime as dt
import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from ved.api.choosing import Wanted, choose_sessions, laps_of, track_ids
from ved.api.opened import OpenedLake
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.db.edits import list_edits
from ved.db.laps import list_laps
from ved.db.notes import NO_NOTES, SUBJECT, get_notes, list_notes, merge_sessions, put_notes, split_session
from ved.db.sessions import find_session, list_sessions
from ved.db.tracks import list_tracks
from ved.db.vehicles import get_vehicle
from ved.errors import UserError
from ved.model.session import Session

console = Console(highlight=False, soft_wrap=True, markup=False)


@dataclass(frozen=True, slots=True)
class NotesOrder:
    """New texts by field, tags to add and tags to take away."""

    texts: dict[str, str]
    tags: list[str]
    no_tags: list[str]


def print_sessions(settings: ServerSettings, vehicle: str | None, wanted: Wanted, *, as_json: bool) -> None:
    """Print the sessions as a table or as JSON."""
    db = _open(settings)
    try:
        if vehicle is not None and get_vehicle(db, vehicle) is None:
            raise UserError(f"vehicle '{vehicle}': there is none")
        lines = _lines(db, choose_sessions(db, list_sessions(db, vehicle), wanted))
    finally:
        db.close()
    if as_json:
        print(json.dumps(lines, ensure_ascii=False))
        return
    table = Table(box=None)
    for head, width in (("id", 16), ("vehicle", 7), ("begin (UTC)", 16), ("min", 4), ("laps", 4), ("best", 7)):
        table.add_column(head, no_wrap=True, min_width=width)
    table.add_column("name, driver, track, tags", overflow="fold")
    for line in lines:
        best = "" if line["best_lap_s"] is None else f"{line['best_lap_s']:.3f}"
        minutes = f"{line['duration_s'] / 60:.1f}" + ("+" if line["is_open"] else "")
        about = "; ".join(text for text in (line["name"], line["driver"], line["track"], *line["tags"]) if text)
        table.add_row(line["id"], line["vehicle"], line["begin"][:16], minutes, str(line["laps"]), best, about)
    console.print(table if lines else "no sessions")


def print_session(settings: ServerSettings, name: str) -> None:
    """Print one session with its laps and changes."""
    with OpenedLake.of(settings) as lake:
        session = lake.session(name)
        console.print(repr(session))
        for field, value in asdict(session.notes).items():
            if value and field != "track":
                console.print(f"  {field}: {', '.join(value) if field == 'tags' else value}")
        track = session.track or (session.laps[0].track if session.laps else None)
        if track is not None:
            console.print(f"  track: {track.name} ({track.id})")
        table = Table("lap", "time", "length", "sectors", box=None)
        for lap in session.laps:
            sectors = "  ".join("–" if one != one else f"{one:.3f}" for one in lap.sectors_s)  # noqa: PLR0124
            note = "" if lap.is_whole else " (positions missing)"
            table.add_row(str(lap.number), f"{lap.time_s:.3f} s{note}", f"{lap.length_m:.0f} m", sectors)
        console.print(table if session.laps else "  no laps")
    db = _open(settings)
    try:
        for edit in list_edits(db, SUBJECT, session.id):
            console.print(f"  {_when(edit.utc_us)} {edit.who}: {_change(edit.before, edit.after)}")
    finally:
        db.close()


def edit_session(settings: ServerSettings, name: str, order: NotesOrder) -> None:
    """Write what is given."""
    db = _open(settings)
    try:
        session = _find(db, name)
        texts = dict(order.texts)
        if texts.get("track"):
            texts["track"] = _track(db, texts["track"])
        notes = get_notes(db, session.id)
        tags = [tag for tag in dict.fromkeys((*notes.tags, *order.tags)) if tag not in order.no_tags]
        put_notes(db, session.id, replace(notes, **texts, tags=tuple(tags)), getpass.getuser())
        console.print(f"session {session.id}: written")
    finally:
        db.close()


def split_at(settings: ServerSettings, name: str, at: str) -> None:
    """Cut the session there."""
    db = _open(settings)
    try:
        session = _find(db, name)
        new = split_session(db, session.id, _moment(at, session), getpass.getuser())
        console.print(f"session {session.id}: what comes from {at} on is session {new}")
    finally:
        db.close()


def merge_two(settings: ServerSettings, name: str, other: str) -> None:
    """Join the two."""
    db = _open(settings)
    try:
        kept = merge_sessions(db, _find(db, name).id, _find(db, other).id, getpass.getuser())
        console.print(f"session {kept}: is one with the other now")
    finally:
        db.close()


def _open(settings: ServerSettings) -> Database:
    if not settings.db_url and not (settings.data / "db.sqlite").is_file():
        raise UserError(f"{settings.data}: no data of ved here; name the folder that 'ved serve' was given with --data")
    return open_database(settings)


def _find(db: Database, name: str) -> Session:
    exact = find_session(db, name)
    found = [one for one in list_sessions(db) if one.id.startswith(name)] if exact is None else [exact]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"session '{name}': could be {', '.join(one.id for one in found)}; give more of its id")
    raise UserError(f"session '{name}': there is none; see 'ved sessions list'")


def _track(db: Database, name: str) -> str:
    known = list_tracks(db)
    found = [one for one in known if name in (one.id, one.name)]
    if len(found) != 1:
        names = ", ".join(f"{one.name} ({one.id})" for one in known) or "none yet"
        raise UserError(f"track '{name}': {'several are called so' if found else 'there is none'}; known are {names}")
    return found[0].id


def _moment(text: str, session: Session) -> int:
    try:
        return session.utc_from_us + round(float(text) * 1e6)
    except (ValueError, OverflowError):
        pass
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--at {text}: give seconds after the start, or a UTC time like 2026-07-04T14:30:00") from None
    return round((when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp() * 1e6)


def _lines(db: Database, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    notes, tracks = list_notes(db), track_ids(db, sessions)
    names = {one.id: one.name for one in list_tracks(db)}
    laps = laps_of(list_laps(db), sessions)
    out = []
    for session in sessions:
        about, own = notes.get(session.id, NO_NOTES), laps.get(session.id, [])
        whole = [lap.utc_to_us - lap.utc_from_us for lap in own if lap.is_whole]
        out.append(
            {
                "id": session.id,
                "vehicle": session.vehicle,
                "begin": _when(session.utc_from_us),
                "duration_s": (session.utc_to_us - session.utc_from_us) / 1e6,
                "is_open": session.is_open,
                "has_moved": session.moved_us != (0, 0),
                "name": about.name,
                "driver": about.driver,
                "track": names.get(tracks.get(session.id, ""), ""),
                "tags": list(about.tags),
                "laps": len(own),
                "best_lap_s": min(whole) / 1e6 if whole else None,
            }
        )
    return out


def _when(utc_us: int) -> str:
    return f"{dt.datetime.fromtimestamp(utc_us / 1e6, dt.UTC):%Y-%m-%d %H:%M:%S}"


def _change(before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        return ", ".join(
            f"{key}: {before.get(key)!r} -> {value!r}" for key, value in after.items() if before.get(key) != value
        )
    return ", ".join(f"{key} {value}" for key, value in (after or {}).items())
