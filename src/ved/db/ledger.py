"""The gap ledger as watch keeps it: blocks of seconds that came, spans that did not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select, update

from ved.analysis.ledger import BLOCK_SECONDS, SECOND_US, EpochLedger, Head, LedgerChange, Span
from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import ledger_blocks, ledger_epochs, ledger_spans

_BLOCK_BYTES: Final = 2 * BLOCK_SECONDS * 8


@dataclass(frozen=True, slots=True)
class LedgerEpoch:
    """An epoch of which there is a ledger, and the times (µs of the epoch) that it covers."""

    epoch: bytes
    arrival_utc_us: int
    t_first_us: int
    t_last_us: int


def load_ledger(db: Database, vehicle: str, epoch: bytes) -> EpochLedger:
    """The ledger of an epoch, to go on from; an empty one where there is none."""
    with db.engine.connect() as connection:
        row = connection.execute(select(ledger_epochs).where(*_here(ledger_epochs, vehicle, epoch))).first()
        if row is None:
            return EpochLedger()
        spans = connection.execute(select(ledger_spans).where(*_here(ledger_spans, vehicle, epoch))).all()
    head = Head(row.highest_seq, row.highest_t_us, row.t_first_us, row.t_last_us)
    return EpochLedger(head, [_span(one) for one in spans])


def write_change(connection: Connection, vehicle: str, epoch: bytes, change: LedgerChange, arrival_utc_us: int) -> None:
    """Add a change of the ledger; `arrival_utc_us` counts for an epoch that is new."""
    key = {"vehicle": vehicle, "epoch": epoch}
    head = change.head._asdict()
    if not insert_if_new(connection, ledger_epochs, {**key, "arrival_utc_us": arrival_utc_us, **head}):
        connection.execute(update(ledger_epochs).where(*_here(ledger_epochs, vehicle, epoch)).values(**head))
    for span in change.gone:
        connection.execute(
            delete(ledger_spans).where(
                *_here(ledger_spans, vehicle, epoch),
                ledger_spans.c.place == span.place,
                ledger_spans.c.first_seq == span.first_seq,
                ledger_spans.c.t_from_us == span.t_from_us,
                ledger_spans.c.bus == span.bus,
                ledger_spans.c.number == span.number,
            )
        )
    if change.new:
        connection.execute(insert(ledger_spans), [{**key, **span._asdict()} for span in change.new])
    _add_blocks(connection, key, change.arrived)


def list_ledger_epochs(db: Database, vehicle: str) -> list[LedgerEpoch]:
    """The epochs of a vehicle that have a ledger, in order of arrival."""
    rows = select(ledger_epochs).where(ledger_epochs.c.vehicle == vehicle).order_by(ledger_epochs.c.arrival_utc_us)
    with db.engine.connect() as connection:
        return [
            LedgerEpoch(row.epoch, row.arrival_utc_us, row.t_first_us, row.t_last_us)
            for row in connection.execute(rows)
        ]


def read_ledger(
    db: Database, vehicle: str, epoch: bytes, t_from_us: int, t_to_us: int
) -> tuple[dict[int, NDArray[np.int64]], list[Span]]:
    """What touches a span of the epoch's time: the blocks (int64[2, BLOCK_SECONDS] by number) and the spans."""
    first, last = (t_us // SECOND_US // BLOCK_SECONDS for t_us in (t_from_us, t_to_us))
    blocks = select(ledger_blocks).where(
        *_here(ledger_blocks, vehicle, epoch), ledger_blocks.c.block >= first, ledger_blocks.c.block <= last
    )
    spans = select(ledger_spans).where(
        *_here(ledger_spans, vehicle, epoch),
        ledger_spans.c.t_to_us >= t_from_us,
        ledger_spans.c.t_from_us <= t_to_us,
    )
    with db.engine.connect() as connection:
        return (
            {row.block: _unpack(row.frames) for row in connection.execute(blocks)},
            [_span(row) for row in connection.execute(spans)],
        )


def _add_blocks(connection: Connection, key: Mapping[str, Any], arrived: Mapping[int, NDArray[np.int64]]) -> None:
    for block, counts in arrived.items():
        if insert_if_new(connection, ledger_blocks, {**key, "block": block, "frames": _pack(counts)}):
            continue
        here = (*_here(ledger_blocks, **key), ledger_blocks.c.block == block)
        known = _unpack(connection.execute(select(ledger_blocks.c.frames).where(*here)).scalar_one())
        connection.execute(update(ledger_blocks).where(*here).values(frames=_pack(known + counts)))


def _here(table: Any, vehicle: str, epoch: bytes) -> tuple[Any, Any]:
    return table.c.vehicle == vehicle, table.c.epoch == epoch


def _span(row: Any) -> Span:
    return Span(*(getattr(row, name) for name in Span._fields))


def _pack(counts: NDArray[np.int64]) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(counts.astype("<i8").tobytes())


def _unpack(data: bytes) -> NDArray[np.int64]:
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=_BLOCK_BYTES)
    return np.frombuffer(raw, "<i8").reshape(2, BLOCK_SECONDS).astype(np.int64)
