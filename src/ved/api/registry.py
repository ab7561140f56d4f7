"""The registry of a vehicle as it stood at one moment: which DBCs hold when, and which names mean the same channel."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ved.db.database import Database
from ved.db.dbcs import Assignment, AssignmentDraft, assignments, get_dbc, list_aliases, registry_revision
from ved.dbc.load import DbcSource
from ved.model.aliases import Aliases
from ved.model.records import BusDescription

EVER_FROM_US: Final = -(1 << 62)
EVER_TO_US: Final = 1 << 62
_MAX_KNOWN: Final = 512

_known: dict[tuple[str, str], Registry] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Stretch:
    """From <= UTC < to, these sources hold."""

    utc_from_us: int
    utc_to_us: int
    sources: tuple[DbcSource, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """The history of a vehicle's assignments (oldest first), the texts that they name, and its aliases.

    `revision` is another one when anything was added.
    """

    vehicle: str
    revision: tuple[int, int]
    assignments: tuple[Assignment, ...]
    texts: Mapping[str, str]
    aliases: Aliases

    def as_of(self, assignment: int) -> Registry:
        """As it stood when that assignment was the newest; 0: before there was any."""
        return replace(self, assignments=tuple(one for one in self.assignments if one.id <= assignment))

    def plus(self, draft: AssignmentDraft, texts: Mapping[str, str]) -> Registry:
        """As it would stand with one more assignment; `texts` has what it names and the registry lacks."""
        number = self.assignments[-1].id + 1 if self.assignments else 1
        added = Assignment(
            id=number,
            vehicle=draft.vehicle,
            bus_index=draft.bus_index,
            bus_name=draft.bus_name,
            files=draft.files,
            author=draft.author,
            note=draft.note,
            valid_from_us=draft.valid_from_us,
            valid_to_us=draft.valid_to_us,
            created_utc_us=0,
        )
        return replace(self, assignments=(*self.assignments, added), texts={**self.texts, **texts})

    def sources_at(self, utc_us: int, buses: Sequence[BusDescription]) -> tuple[DbcSource, ...]:
        """What holds at a time: of each bus the newest assignment that covers it, else the epoch's own DBCs."""
        newest: dict[int, Assignment] = {}
        for one in self.assignments:
            if one.covers(utc_us):
                newest[one.bus_index] = one
        assigned = {bus: one for bus, one in newest.items() if one.files}
        return (
            *(
                DbcSource(bus, assigned[bus].bus_name, file.name, self.texts[file.digest])
                for bus in sorted(assigned)
                for file in assigned[bus].files
            ),
            *(
                DbcSource(bus.index, bus.name, f"{self.vehicle}.{bus.name}.dbc", text)
                for bus in buses
                if bus.index not in assigned
                for text in bus.dbc_texts
            ),
        )

    def stretches(self, buses: Sequence[BusDescription]) -> tuple[Stretch, ...]:
        """All of time, cut where what holds becomes another."""
        edges = {EVER_FROM_US, EVER_TO_US}
        for one in self.assignments:
            edges.update(edge for edge in (one.valid_from_us, one.valid_to_us) if edge is not None)
        cuts = sorted(edge for edge in edges if EVER_FROM_US <= edge <= EVER_TO_US)
        out: list[Stretch] = []
        for start, end in itertools.pairwise(cuts):
            sources = self.sources_at(start, buses)
            if out and out[-1].sources == sources:
                out[-1] = replace(out[-1], utc_to_us=end)
            else:
                out.append(Stretch(start, end, sources))
        return tuple(out)


def load_registry(db: Database, vehicle: str) -> Registry:
    """The registry as it stands now; read again only when something was added. Blocking."""
    revision, key = registry_revision(db, vehicle), (db.url, vehicle)
    with _lock:
        known = _known.get(key)
    if known is not None and known.revision == revision:
        return known
    rows = assignments(db, vehicle)
    texts = {} if known is None else dict(known.texts)
    for digest in {file.digest for row in rows for file in row.files} - texts.keys():
        texts[digest] = get_dbc(db, digest).text
    registry = Registry(vehicle, revision, tuple(rows), texts, Aliases(list_aliases(db, vehicle)))
    with _lock:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[key] = registry
    return registry
