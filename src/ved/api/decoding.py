"""Which DBCs hold for an epoch at which time, and the decoders that they make.

For each bus and time the registry's newest assignment that covers it holds; where none does, the DBC texts that the
epoch's own Description carried.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ved.api.registry import EVER_FROM_US, EVER_TO_US, Registry, Stretch, load_registry
from ved.db.database import Database
from ved.db.epochs import epoch_buses
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError
from ved.model.aliases import NO_ALIASES
from ved.model.records import BusDescription, Description

_log = logging.getLogger(__name__)
MAX_DECODERS: Final = 512
"""Half a megabyte each. It must be more than the cars that drive at a time, else every batch would parse a DBC anew."""

_decoders: OrderedDict[tuple[DbcSource, ...], Decoder] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Piece:
    """From <= UTC < to, this decoder holds, made of these sources."""

    utc_from_us: int
    utc_to_us: int
    sources: tuple[DbcSource, ...]
    decoder: Decoder


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the frames of one epoch are read over time. Decoders are made when they are asked for, and kept.

    Two are equal when the same DBCs hold at the same times.
    """

    stretches: tuple[Stretch, ...]

    def at(self, utc_us: int) -> Decoder:
        """The decoder that holds at this time."""
        here = next((one for one in self.stretches if utc_us < one.utc_to_us), self.stretches[-1])
        return decoder_of_sources(here.sources)

    def between(self, utc_from_us: int, utc_to_us: int) -> list[Piece]:
        """The pieces that touch from <= UTC < to, cut to it."""
        return [
            Piece(
                max(one.utc_from_us, utc_from_us),
                min(one.utc_to_us, utc_to_us),
                one.sources,
                decoder_of_sources(one.sources),
            )
            for one in self.stretches
            if one.utc_from_us < utc_to_us and utc_from_us < one.utc_to_us
        ]


def decoding_for(db: Database, vehicle: str, epoch: bytes, description: Description | None = None) -> Decoding:
    """How an epoch is read now; `description` stands in for what the database may not have yet. Blocking."""
    buses = epoch_buses(db, vehicle, epoch) if description is None else description.buses
    return decoding_of(load_registry(db, vehicle), buses)


def decoding_of(registry: Registry, buses: Sequence[BusDescription]) -> Decoding:
    """How an epoch whose Description names `buses` is read under this registry."""
    return Decoding(registry.stretches(buses))


def recorded_decoding(vehicle: str, buses: Sequence[BusDescription]) -> Decoding:
    """How an epoch is read under the DBCs that were in force on the car when it was recorded."""
    return decoding_of(Registry(vehicle, (0, 0), (), {}, NO_ALIASES), buses)


def decoding_of_sources(*sources: DbcSource) -> Decoding:
    """These sources hold always."""
    return Decoding((Stretch(EVER_FROM_US, EVER_TO_US, sources),))


def decoder_of_sources(sources: tuple[DbcSource, ...]) -> Decoder:
    """The decoder of these sources; one that yields no message is named in the log and left out. Cached by content."""
    with _lock:
        decoder = _decoders.get(sources)
        if decoder is not None:
            _decoders.move_to_end(sources)
            return decoder
    decoder = Decoder(_load(sources))
    with _lock:
        decoder = _decoders.setdefault(sources, decoder)
        while len(_decoders) > MAX_DECODERS:
            _decoders.popitem(last=False)
    return decoder


def _load(sources: Sequence[DbcSource]) -> DbcSet:
    try:
        return load_set(sources)
    except UserError:
        usable = []
        for source in sources:
            try:
                load_set([source])
            except UserError as error:
                _log.warning("DBC left out: %s", error)
            else:
                usable.append(source)
        return load_set(usable)
