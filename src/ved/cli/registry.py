"""`ved dbc assign`, `list` and `compare`: the registry of a server."""

import datetime as dt
import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.api.assigning import Effect, file_of, find_bus, known_buses, put_in_force, show_effect
from ved.api.comparing import Difference, Example
from ved.api.opened import OpenedLake
from ved.api.recorded import Reading
from ved.cli.dbc import print_rows, read_bytes
from ved.cli.server import open_database, seed_vehicles
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.db.dbcs import Assignment, AssignmentDraft, DbcFile, assignments, list_aliases
from ved.db.vehicles import get_vehicle
from ved.dbc.intake import take_in
from ved.errors import UserError
from ved.lake.lake import Lake

console = Console(highlight=False, soft_wrap=True, markup=False)

SHOWN: Final = 40


def assign(
    settings: ServerSettings, draft: AssignmentDraft, bus: str, paths: Sequence[Path], *, is_trial: bool, alias: bool
) -> None:
    """Put files in force for a bus, and say what that does; with `is_trial` only say it. UserError."""
    db = _open(settings)
    try:
        index, name = find_bus(db, draft.vehicle, bus)
        texts = {}
        files = []
        for path in paths:
            taken = take_in(read_bytes(path), path.name, name)
            files.append(file_of(taken.name, taken.text))
            texts[files[-1].digest] = taken.text
            for loss in taken.losses:
                console.print(f"{path}: lost: {loss}")
            count = sum(finding.severity == "error" for finding in taken.findings)
            if count:
                console.print(f"{path}: {count} errors; 'ved dbc lint {path}' explains them")
        full = AssignmentDraft(
            vehicle=draft.vehicle,
            bus_index=index,
            bus_name=name,
            files=tuple(files),
            author=draft.author,
            note=draft.note,
            valid_from_us=draft.valid_from_us,
            valid_to_us=draft.valid_to_us,
        )
        effect = show_effect(Lake(settings.lake), db, full, texts)
        _print_effect(effect)
        if is_trial:
            console.print("nothing was changed (--dry-run)")
            return
        number = put_in_force(db, full, texts, effect.renames if alias else ())
    finally:
        db.close()
    console.print(f"assignment {number}: {_names(full.files)} on {name} of {draft.vehicle}, {_validity(full)}")


def draft_of(vehicle: str, valid_from: str | None, valid_to: str | None, note: str) -> AssignmentDraft:
    """What the options say; bus and files are still to find. UserError for a time that is none."""
    limits = [None if text is None else parse_time(option, text) for option, text in _times(valid_from, valid_to)]
    return AssignmentDraft(vehicle, 0, "", (), getpass.getuser(), note, *limits)


def _times(valid_from: str | None, valid_to: str | None) -> tuple[tuple[str, str | None], ...]:
    return ("--from", valid_from), ("--to", valid_to)


def parse_time(option: str, text: str) -> int:
    """An ISO 8601 time as UTC in µs since 1970; without a zone it is UTC. UserError."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text}: no time; write it like 2026-05-01 or 2026-05-01T14:30 (UTC)") from None
    moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
    return round((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))


def print_history(settings: ServerSettings, vehicle: str, *, as_json: bool) -> None:
    """Print all assignments of a vehicle, oldest first. UserError when there is no such vehicle."""
    db = _open(settings)
    try:
        if get_vehicle(db, vehicle) is None:
            raise UserError(f"vehicle '{vehicle}': there is none")
        rows, renames, buses = assignments(db, vehicle), list_aliases(db, vehicle), known_buses(db, vehicle)
    finally:
        db.close()
    if as_json:
        print(json.dumps({"assignments": [asdict(row) for row in rows], "aliases": renames}))
        return
    now_us = round(dt.datetime.now(dt.UTC).timestamp() * 1e6)
    in_force = {row.bus_index: row.id for row in rows if row.covers(now_us)}
    table: list[tuple[str, ...]] = [("", "no", "bus", "files", "valid", "when", "who", "why")]
    table += [_history_row(row, is_in_force=in_force.get(row.bus_index) == row.id) for row in rows]
    print_rows(table)
    for name, target in renames:
        console.print(f"  {name} is now {target}")
    bare = [name for index, name in buses.items() if index not in in_force]
    if bare:
        console.print(f"nothing is assigned to {', '.join(bare)}: read with the DBCs that came with each recording")
    console.print("* in force now; where two cover a time, the later one holds")


def _history_row(row: Assignment, *, is_in_force: bool) -> tuple[str, ...]:
    when = f"{_moment(row.created_utc_us):%Y-%m-%d %H:%M}"
    mark = "*" if is_in_force else ""
    return mark, str(row.id), row.bus_name, _names(row.files), _validity(row), when, row.author, row.note


def print_comparison(settings: ServerSettings, session: str, before: str, after: str, *, as_json: bool) -> None:
    """Print the channels of a session that two versions of the DBCs read differently, with examples. UserError."""
    with OpenedLake.of(settings) as lake:
        one = lake.session(session)
        readings = parse_reading(before), parse_reading(after)
        found = one.compare(*readings)
        files = [one.under(reading).dbc_texts for reading in readings]
    if as_json:
        print(json.dumps([asdict(difference) for difference in found], default=bytes.hex))
        return
    for reading, texts in zip(readings, files, strict=True):
        console.print(f"{reading}: {_names([file_of(*named) for named in texts.items()])}")
    for difference in found[:SHOWN]:
        _print_difference(difference)
    if len(found) > SHOWN:
        console.print(f"… and {len(found) - SHOWN} more (--json shows all)")
    console.print(f"{len(found)} channels differ" if found else "no channel differs")


def parse_reading(text: str) -> Reading:
    """`recorded`, `now`, or the number of an assignment. UserError."""
    if text == "recorded":
        return "recorded"
    if text == "now":
        return "now"
    if text.isdecimal():
        return int(text)
    raise UserError(f"version {text}: give 'recorded', 'now' or a number from 'ved dbc list'")


def _print_effect(effect: Effect) -> None:
    for difference in effect.channels[:SHOWN]:
        _print_difference(difference)
    if len(effect.channels) > SHOWN:
        console.print(f"… and {len(effect.channels) - SHOWN} more channels")
    kinds = ("changed", "gone", "renamed", "new")
    counts = ", ".join(f"{sum(one.kind == kind for one in effect.channels)} {kind}" for kind in kinds)
    console.print(f"channels: {counts}" + (f"; samples are of session {effect.session}" if effect.session else ""))


def _print_difference(one: Difference) -> None:
    title = f"{one.former} -> {one.name}" if one.kind == "renamed" else one.name
    units = "" if one.unit_before == one.unit_after else f" [{one.unit_before or '-'} -> {one.unit_after or '-'}]"
    console.print(f"{one.kind}: {title}{units}" + _counts(one))
    for example in one.examples[:2]:
        console.print(f"    {_example(example)}")


def _counts(one: Difference) -> str:
    if one.kind == "new":
        return f", {one.only_after:,} samples" if one.only_after else ""
    if one.kind == "gone":
        return f", {one.only_before:,} samples" if one.only_before else ""
    if not one.has_other_samples:
        return f", {one.samples:,} samples, all as before" if one.samples else ""
    lost = (
        f", {one.only_before:,} only before, {one.only_after:,} only after" if one.only_before + one.only_after else ""
    )
    return f", {one.differing:,} of {one.samples:,} samples differ, by up to {one.largest:.6g}{lost}"


def _example(one: Example) -> str:
    values = " -> ".join("none" if value is None else f"{value:.10g}" for value in (one.before, one.after))
    time = _moment(one.utc_us).isoformat(" ", "milliseconds")[:23]
    return f"{time}  {one.arbitration_id:X}#{one.payload.hex()}  {values}"


def _names(files: Sequence[DbcFile]) -> str:
    return ", ".join(f"{file.name} ({file.digest[:8]})" for file in files) or "none"


def _validity(one: Assignment | AssignmentDraft) -> str:
    low, high = (
        None if edge is None else f"{_moment(edge):%Y-%m-%d %H:%M:%S}" for edge in (one.valid_from_us, one.valid_to_us)
    )
    if low is None and high is None:
        return "always"
    return f"from {low}" if high is None else f"until {high}" if low is None else f"{low} to {high}"


def _moment(utc_us: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=utc_us)


def _open(settings: ServerSettings) -> Database:
    if not settings.db_url and not settings.data.is_dir():
        raise UserError(f"{settings.data}: no such data folder; name the one that 'ved serve' was given with --data")
    db = open_database(settings)
    seed_vehicles(db, settings.data.resolve())
    return db
