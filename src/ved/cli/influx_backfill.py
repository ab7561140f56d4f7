"""`ved influx backfill`: what the lake has, into the database that Grafana reads. Stopped, it goes on where it was."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.api.opened import OpenedLake
from ved.cli.influx_import import parse_utc_us
from ved.cli.logs import set_up_logging
from ved.cli.progress import LateProgress
from ved.cli.server import influx_target, open_database
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.errors import UserError
from ved.influx.backfill import LakeLines, Slice, Span, delete_statement
from ved.influx.client import InfluxAwayError, InfluxClient
from ved.influx.epochs import Written, WrittenStore
from ved.influx.names import quoted_text
from ved.influx.role import STATE_FOLDER
from ved.influx.sender import Sender
from ved.influx.settings import InfluxTarget
from ved.lake.lake import Lake, ReorganisedError
from ved.metrics import LINES_TOTAL, REFUSED_TOTAL, Counters

ALL_TIME: Final[Span] = (-(1 << 60), 1 << 60)
PATIENCE_S: Final = 15.0
console = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Backfill:
    """What to write: a vehicle (None: all), a session of it or a span of time (texts); `replace`: delete first."""

    vehicle: str | None = None
    session: str | None = None
    from_text: str | None = None
    to_text: str | None = None
    replace: bool = False


def run_backfill(wish: Backfill, settings: ServerSettings) -> None:
    """Write it, and say how much it was. UserError when there is nothing to read or nobody to write to."""
    target = influx_target(settings)
    if target is None:
        raise UserError("influx_url: no database is set; give VED_INFLUX_URL, or a settings file with --config")
    if wish.replace and target.api == "v2":
        raise UserError("--replace: v2 cannot delete a span of time; delete it with the database's own tools")
    set_up_logging("influx", settings.log_format)
    with OpenedLake.of(settings) as opened:
        vehicle, span = _chosen(wish, opened)
    lake, db = Lake.existing(settings.lake), open_database(settings)
    try:
        lake.refresh()
        known = sorted({key[0] for key in [*lake.epochs(), *lake.samples.epochs()]})
        if vehicle is not None and vehicle not in known:
            raise UserError(f"vehicle '{vehicle}': the lake has nothing of it; it has {', '.join(known) or 'nothing'}")
        vehicles = known if vehicle is None else [vehicle]
        asyncio.run(_Run(wish, target, settings.data.resolve() / STATE_FOLDER, lake, db).run(vehicles, span))
    except InfluxAwayError as error:
        raise UserError(
            f"{target.url} ({target.database}) {error}; the same command goes on where it stopped"
        ) from None
    finally:
        db.close()


def _chosen(wish: Backfill, opened: OpenedLake) -> tuple[str | None, Span]:
    from_us = ALL_TIME[0] if wish.from_text is None else parse_utc_us("--from", wish.from_text)
    to_us = ALL_TIME[1] if wish.to_text is None else parse_utc_us("--to", wish.to_text)
    vehicle = wish.vehicle
    if wish.session is not None:
        session = opened.session(wish.session)
        if vehicle not in (None, session.vehicle):
            raise UserError(f"session '{wish.session}' is of vehicle {session.vehicle}, not {vehicle}")
        vehicle = session.vehicle
        from_us, to_us = max(from_us, session.utc_from_us), min(to_us, session.utc_to_us)
    if from_us >= to_us:
        raise UserError("--from, --to: the span of time is empty; give --from before --to")
    return vehicle, (from_us, to_us)


class _Mark:
    """How far each epoch was written, for a run that was stopped; a lost one costs time."""

    def __init__(self, folder: Path, wish: Backfill, target: InfluxTarget) -> None:
        asked = json.dumps([asdict(wish), target.url, target.api, target.database, target.rate_hz])
        self._path = folder / f"backfill-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
        try:
            found = json.loads(self._path.read_text())
            self._done_us: dict[str, int] = {str(name): int(t_us) for name, t_us in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._done_us = {}
        self.is_new = not self._done_us

    def has(self, piece: Slice) -> bool:
        return piece.t_to_us <= self._done_us.get(piece.name, piece.t_to_us - 1)

    def move(self, piece: Slice) -> None:
        self._done_us[piece.name] = piece.t_to_us
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._done_us))
        draft.replace(self._path)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


class _Run:
    def __init__(self, wish: Backfill, target: InfluxTarget, folder: Path, lake: Lake, db: Database) -> None:
        self._wish, self._target = wish, target
        self._store = WrittenStore(folder)
        self._lines = LakeLines(lake, db, self._store, target.rate_hz)
        self._mark = _Mark(folder, wish, target)
        self._counters = Counters()

    async def run(self, vehicles: Sequence[str], span: Span) -> None:
        client = InfluxClient(self._target)
        sender = Sender(client, self._counters, asyncio.Event(), PATIENCE_S)
        try:
            if self._wish.replace and self._mark.is_new:
                for vehicle in vehicles:
                    await self._delete(client, sender, vehicle, span)
            pieces = [piece for vehicle in vehicles for piece in self._lines.plan(vehicle, [span])]
            await self._write(sender, pieces)
        finally:
            await client.close()
        self._mark.forget()
        lines, refused = self._counters[LINES_TOTAL], self._counters[REFUSED_TOTAL]
        console.print(f"{lines:,} lines of {', '.join(vehicles)} are in {client.shown}", markup=False)
        if refused:
            notes.print(f"ved: {refused:,} lines or values were refused for good; the log above says why", markup=False)

    async def _delete(self, client: InfluxClient, sender: Sender, vehicle: str, span: Span) -> None:
        text = delete_statement(quoted_text(vehicle), None if span == ALL_TIME else span)
        await sender.patiently(partial(client.query, text))
        if span == ALL_TIME:
            for key in self._lines.keys(vehicle):
                written = self._lines.written(key)
                if written is not None:
                    self._store.write(key, Written(written.offset_us))

    async def _write(self, sender: Sender, pieces: Sequence[Slice]) -> None:
        title = f"into {self._target.database}: stretches of 10 s"
        with LateProgress(title, len(pieces)) as progress:
            for number, piece in enumerate(pieces, start=1):
                while not self._mark.has(piece):
                    try:
                        await sender.send(partial(self._lines.lines, piece), self._lines.writer.refused)
                    except ReorganisedError:
                        continue  # merged meanwhile
                    self._mark.move(piece)
                progress.update(number)
