"""Putting DBCs in force: what an assignment would do to definitions, channels and stored samples, and doing it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ved.api.comparing import Difference, compare_parts, compare_sets, in_order
from ved.api.decoding import decoder_of_sources
from ved.api.parts import PartLoader
from ved.api.registry import EVER_FROM_US, EVER_TO_US, Registry, load_registry
from ved.db.database import Database
from ved.db.dbcs import AssignmentDraft, DbcFile, add_aliases, assign_dbc, assignments, put_dbc
from ved.db.epochs import list_epochs
from ved.db.sessions import list_sessions
from ved.db.vehicles import get_vehicle, list_vehicles
from ved.dbc.compare import Change, compare
from ved.dbc.decode import Decoder
from ved.dbc.matching import find_renames
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.model.records import BusDescription

SHOWN_US: Final = 600_000_000
"""How much of the newest session an effect is shown on."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an assignment would do.

    `changes` of definitions on the bus, `channels` of the vehicle that would differ (with samples of `session`, the
    newest that it covers), `renames` (former name, name) that aliases would bridge.
    """

    changes: tuple[Change, ...]
    channels: tuple[Difference, ...]
    renames: tuple[tuple[str, str], ...]
    session: str | None


def file_of(name: str, text: str) -> DbcFile:
    """The file as an assignment names it."""
    return DbcFile(hashlib.sha256(text.encode()).hexdigest(), name)


def known_buses(db: Database, vehicle: str) -> dict[int, str]:
    """The buses that the registry or any epoch names: index -> newest name."""
    found = {bus.index: bus.name for row in list_epochs(db, vehicle) for bus in row.buses}
    return dict(sorted((found | {one.bus_index: one.bus_name for one in assignments(db, vehicle)}).items()))


def find_bus(db: Database, vehicle: str, bus: str) -> tuple[int, str]:
    """Index and name of the bus that a person names by either; UserError."""
    if get_vehicle(db, vehicle) is None:
        known = ", ".join(row.name for row in list_vehicles(db)) or "none"
        raise UserError(f"vehicle '{vehicle}': there is none; known are {known}")
    buses = known_buses(db, vehicle)
    for index, name in buses.items():
        if bus in (name, str(index)):
            return index, name
    if bus.isdecimal() and int(bus) <= 255:
        return int(bus), f"bus{int(bus)}"
    named = ", ".join(f"{index} {name}" for index, name in buses.items()) or "none yet; give a number from 0 to 255"
    raise UserError(f"bus '{bus}': {vehicle} has none of this name; known are {named}")


def show_effect(lake: Lake, db: Database, draft: AssignmentDraft, texts: Mapping[str, str]) -> Effect:
    """What this assignment would do; `texts` are those of its files by digest. Blocking. UserError."""
    _check(draft)
    registry = load_registry(db, draft.vehicle)
    then = registry.plus(draft, texts)
    described = {bus.index: bus for row in list_epochs(db, draft.vehicle) for bus in row.buses if bus.dbc_texts}
    buses = list(described.values())
    before, after = (_decoder(one, buses, draft) for one in (registry, then))
    changes = compare(
        [message for message in before.dbc_set.messages if message.bus == draft.bus_index],
        [message for message in after.dbc_set.messages if message.bus == draft.bus_index],
    )
    channels = {(one.former, one.name): one for one in compare_sets(before.dbc_set, after.dbc_set)}
    session, seen = _on_newest_session(lake, db, draft, (registry, then))
    channels.update({(one.former, one.name): one for one in seen})
    renames = find_renames(before.dbc_set, after.dbc_set)
    ordered = in_order(list(channels.values()))
    return Effect(tuple(changes), tuple(ordered), tuple(renames), session)


def put_in_force(
    db: Database, draft: AssignmentDraft, texts: Mapping[str, str], renames: Sequence[tuple[str, str]]
) -> int:
    """Store the texts, add the assignment and the aliases; returns the assignment's number. UserError."""
    _check(draft)
    for file in draft.files:
        if file.digest in texts:
            put_dbc(db, file.name, texts[file.digest])
    add_aliases(db, draft.vehicle, renames, draft.author)
    return assign_dbc(db, draft)


def _check(draft: AssignmentDraft) -> None:
    low, high = draft.valid_from_us, draft.valid_to_us
    if low is not None and high is not None and low >= high:
        raise UserError("validity: it must begin before it ends")
    if any(edge is not None and not EVER_FROM_US < edge < EVER_TO_US for edge in (low, high)):
        raise UserError("validity: no such time")


def _decoder(registry: Registry, buses: Sequence[BusDescription], draft: AssignmentDraft) -> Decoder:
    """At the end of the validity, where all that was said before counts as well."""
    end_us = EVER_TO_US if draft.valid_to_us is None else draft.valid_to_us
    return decoder_of_sources(registry.sources_at(end_us - 1, buses))


def _on_newest_session(
    lake: Lake, db: Database, draft: AssignmentDraft, sides: tuple[Registry, Registry]
) -> tuple[str | None, list[Difference]]:
    low_us = EVER_FROM_US if draft.valid_from_us is None else draft.valid_from_us
    high_us = EVER_TO_US if draft.valid_to_us is None else draft.valid_to_us
    lake.refresh()
    for session in reversed(list_sessions(db, draft.vehicle)):
        limits = max(low_us, session.utc_from_us), min(high_us, session.utc_to_us + 1)
        if limits[0] < limits[1]:
            loader = PartLoader(db, lake, draft.vehicle)
            before, after = (loader.load_under(session, side) for side in sides)
            shown = max(limits[0], limits[1] - SHOWN_US), limits[1]
            return session.id, compare_parts(lake, before, after, shown)
    return None, []
