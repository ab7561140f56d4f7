"""The gap ledger over a time range, at the resolution of a page."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Response
from pydantic import StringConstraints

from ved.analysis.strip import MAX_BUCKETS, LedgerStrip
from ved.api.ledger import Ledgers
from ved.db.people import User
from ved.web.answers import denied, needs
from ved.web.state import WebState

LONGEST_US: Final = 400 * 86_400_000_000
_LATEST_US: Final = 1 << 60
Name = Annotated[str, StringConstraints(max_length=64)]
UtcUs = Annotated[int, Query(ge=0, le=_LATEST_US)]


def add_ledger(app: FastAPI, state: WebState) -> None:
    """What came, what came late, what is missing or lost."""
    ledgers = Ledgers(state.db)

    @app.get("/api/vehicles/{name}/ledger", response_model=None)
    async def ledger(
        name: Name,
        from_utc_us: UtcUs,
        to_utc_us: UtcUs,
        _user: Annotated[User, needs("viewer")],
        buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 600,
    ) -> dict[str, Any] | Response:
        if not 0 < to_utc_us - from_utc_us <= LONGEST_US:
            return denied(422, "bad_range", "to_utc_us lies after from_utc_us, by at most 400 days")
        if not await state.hub.is_vehicle(name):
            return denied(404, "unknown_vehicle", "no vehicle has this name")
        return _to_json(await asyncio.to_thread(ledgers.strip, name, from_utc_us, to_utc_us, buckets))


def _to_json(strip: LedgerStrip) -> dict[str, Any]:
    """Arrays of frames per bucket; `uncounted` marks buckets where more were lost than anybody counted."""
    return {
        "from_utc_us": strip.utc_from_us,
        "bucket_us": strip.bucket_us,
        "live": strip.live.tolist(),
        "backfilled": strip.backfilled.tolist(),
        "missing": strip.missing.tolist(),
        "lost": {place.name.lower(): counts.tolist() for place, counts in strip.lost.items() if counts.any()},
        "uncounted": {
            place.name.lower(): marks.astype(int).tolist() for place, marks in strip.uncounted.items() if marks.any()
        },
    }
