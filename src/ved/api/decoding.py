"""Which DBCs hold for an epoch, and the decoder that they make.

The registry's assignments of the vehicle hold for each bus that has any; the other buses are decoded under the DBC
texts that the epoch's own Description carried.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ved.db.database import Database
from ved.db.dbcs import assignments, get_dbc
from ved.db.epochs import list_epochs
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError
from ved.model.records import BusDescription, Description

_log = logging.getLogger(__name__)
_CACHED_DECODERS: Final = 32

_decoders: OrderedDict[bytes, Decoder] = OrderedDict()
_lock = threading.Lock()


def decoder_for(db: Database, vehicle: str, epoch: bytes, description: Description | None = None) -> Decoder:
    """The decoder of an epoch; `description` stands in for what the database may not have yet. Cached by content."""
    if description is not None:
        buses: Sequence[BusDescription] = description.buses
    else:
        buses = next((row.buses for row in list_epochs(db, vehicle) if row.epoch == epoch), ())
    return decoder_of_buses(db, vehicle, buses)


def decoder_of_buses(db: Database, vehicle: str, buses: Sequence[BusDescription]) -> Decoder:
    """The decoder for an epoch of `vehicle` whose Description names `buses`."""
    return decoder_of(registry_sources(db, vehicle), vehicle, buses)


def registry_sources(db: Database, vehicle: str) -> list[DbcSource]:
    """The DBCs that the registry puts in force for a vehicle."""
    out = []
    for assignment in assignments(db, vehicle):
        for digest in assignment.digests:
            row = get_dbc(db, digest)
            out.append(DbcSource(assignment.bus_index, assignment.bus_name, row.name, row.text))
    return out


def decoder_of(registry: Sequence[DbcSource], vehicle: str, buses: Sequence[BusDescription]) -> Decoder:
    """The decoder for these registry sources and, on the buses that they leave out, an epoch's own texts."""
    assigned = {source.bus for source in registry}
    own = [
        DbcSource(bus.index, bus.name, f"{vehicle}.{bus.name}.dbc", text)
        for bus in buses
        if bus.index not in assigned
        for text in bus.dbc_texts
    ]
    return _cached([*registry, *own])


def _cached(sources: Sequence[DbcSource]) -> Decoder:
    key = _content(sources)
    with _lock:
        decoder = _decoders.get(key)
        if decoder is not None:
            _decoders.move_to_end(key)
            return decoder
    decoder = Decoder(_load(sources))
    with _lock:
        decoder = _decoders.setdefault(key, decoder)
        while len(_decoders) > _CACHED_DECODERS:
            _decoders.popitem(last=False)
    return decoder


def _load(sources: Sequence[DbcSource]) -> DbcSet:
    """The set of all sources that yield a message; one that does not is named in the log and left out."""
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


def _content(sources: Sequence[DbcSource]) -> bytes:
    digest = hashlib.sha256()
    for source in sources:
        for part in (str(source.bus), source.bus_name, source.name, source.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()
