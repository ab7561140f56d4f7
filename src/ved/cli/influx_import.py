"""`ved import influx`: what an InfluxDB 1.x has, into the lake as samples, a stretch of time after the other."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.cli.arrival import Expected
from ved.cli.importing import Target, await_arrival, delivery_to, is_in_lake, lake_of
from ved.cli.keys import check_vehicle_name
from ved.cli.progress import LateProgress
from ved.codec.records import encode_record
from ved.errors import UserError
from ved.logfiles.influxdb import InfluxDatabase, InfluxSamples, Measurement
from ved.model.records import Clock, ClockSource
from ved.model.samples import SampleBatch

SLICE_US: Final = 600_000_000
LEAST_SLICE_US: Final = 1_000_000
MAX_SLICE_SAMPLES: Final = 4_000_000
LEAST_UTC_US: Final = -9_000_000_000_000_000
BATCH_SAMPLES: Final = 32_768
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
console = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class InfluxImport:
    """What to read: server, database (None: the only one), measurements (none: all), and a span of time (texts)."""

    url: str
    database: str | None
    measurements: tuple[str, ...]
    from_text: str | None
    to_text: str | None


def import_influx(wish: InfluxImport, target: Target) -> None:
    """Store what is not stored yet, and say what it was. A run that was stopped goes on where it was."""
    check_vehicle_name(target.vehicle)
    from_us = None if wish.from_text is None else parse_utc_us("--from", wish.from_text)
    to_us = None if wish.to_text is None else parse_utc_us("--to", wish.to_text)
    source = InfluxDatabase(wish.url, wish.database)
    measurements = source.measurements(wish.measurements)
    for one in measurements:
        if one.left_out:
            notes.print(f"ved: {one.name}: texts are left out: {', '.join(one.left_out)}", markup=False)
    mark = Mark.of(target, source, measurements)
    start_us = mark.done_until_us() if from_us is None else from_us // SLICE_US * SLICE_US
    if from_us is None and start_us is not None:
        notes.print(f"ved: goes on at {_shown(start_us)}, where the last run ended; give --from to begin elsewhere")
    asyncio.run(_import(source, measurements, (start_us, to_us), target, mark))


@dataclass(frozen=True, slots=True)
class Mark:
    """Where it is written how far a database was read; a lost one costs time, as what is stored is known by content."""

    path: Path

    @staticmethod
    def of(target: Target, source: InfluxDatabase, measurements: list[Measurement]) -> "Mark":
        """The mark for this choice of measurements of this database."""
        asked = [source.url, source.name, target.vehicle, target.server_url, [one.name for one in measurements]]
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        folder = target.state if target.server_url else target.settings.data.resolve() / "imports" / target.vehicle
        return Mark(folder / f"influx-{name}.json")

    def done_until_us(self) -> int | None:
        """Everything before this time is stored; None: nothing was read yet."""
        try:
            return int(json.loads(self.path.read_text())["done_until_us"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def move(self, done_until_us: int) -> None:
        """Write it down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({"done_until_us": done_until_us}))
        draft.replace(self.path)


async def _import(
    source: InfluxDatabase,
    measurements: list[Measurement],
    span_us: tuple[int | None, int | None],
    target: Target,
    mark: Mark,
) -> None:
    stored, channels, last = 0, set[str](), None
    lake = lake_of(target)
    async with contextlib.AsyncExitStack() as stack:
        delivery = None
        with LateProgress(f"{target.vehicle}: samples read from {source.name}", None) as progress:
            slices = stretches(source, measurements, span_us)
            while (part := await asyncio.to_thread(next, slices, None)) is not None:
                found, end_us = part
                count = len(found.samples)
                expected = Expected(target.vehicle, found.epoch, count, are_samples=True)
                if count and not is_in_lake(expected, lake):
                    if delivery is None:
                        delivery = await stack.enter_async_context(delivery_to(target))
                    await delivery.bring(expected, records_of(found, target.vehicle))
                    last = expected
                stored += count
                channels.update(one.name for one in found.channels)
                mark.move(end_us)
                progress.update(stored)
        if last is not None:
            await await_arrival(last, target)
    where = "the lake" if target.server_url is None else "the server's journal"
    console.print(f"{stored:,} samples of {len(channels):,} channels of '{source.name}' are in {where}", markup=False)


def stretches(
    source: InfluxDatabase, measurements: list[Measurement], span_us: tuple[int | None, int | None]
) -> Iterator[tuple[InfluxSamples, int]]:
    """The samples of whole stretches on a grid of SLICE_US that touch the span and are over, and where each ends.

    What a stretch holds, and where it is halved because that is too much, does not depend on the span: the same content
    has the same name in every run.
    """
    at_us = span_us[0] if span_us[0] is not None else LEAST_UTC_US
    over_us = int(dt.datetime.now(dt.UTC).timestamp() * 1e6) // SLICE_US * SLICE_US
    to_us = over_us if span_us[1] is None else min(over_us, span_us[1])
    while (next_us := source.next_us(measurements, at_us // SLICE_US * SLICE_US)) is not None and next_us < to_us:
        start_us = next_us // SLICE_US * SLICE_US
        yield from _halved(source, measurements, (start_us, start_us + SLICE_US), at_us)
        at_us = start_us + SLICE_US


def _halved(
    source: InfluxDatabase, measurements: list[Measurement], stretch_us: tuple[int, int], done_us: int
) -> Iterator[tuple[InfluxSamples, int]]:
    """The stretch, or its parts, without those that end before `done_us`."""
    start_us, end_us = stretch_us
    if end_us <= done_us:
        return
    if source.count(measurements, start_us, end_us) <= MAX_SLICE_SAMPLES:
        yield source.read(measurements, start_us, end_us), end_us
        return
    if end_us - start_us <= LEAST_SLICE_US:
        raise UserError(f"{source.url}: too many points in the second from {_shown(start_us)}")
    middle_us = (start_us + end_us) // 2
    yield from _halved(source, measurements, (start_us, middle_us), done_us)
    yield from _halved(source, measurements, (middle_us, end_us), done_us)


def records_of(found: InfluxSamples, vehicle: str) -> Iterator[bytes]:
    """The clock, then the samples, numbered and cut the same every time."""
    epoch = found.epoch
    yield encode_record(Clock(vehicle, epoch, 1, 0, found.start_utc_us, ClockSource.RECORDED, 0))
    for at in range(0, len(found.samples), BATCH_SAMPLES):
        part = found.samples.take(slice(at, at + BATCH_SAMPLES))
        yield encode_record(SampleBatch(vehicle, epoch, at + 1, found.channels, part))


def parse_utc_us(option: str, text: str) -> int:
    """A day or a time in UTC, in µs since 1970; UserError for anything else."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text}: give a day or a time in UTC, like 2025-05-01 or 2025-05-01T14:30") from None
    return (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)


def _shown(utc_us: int) -> str:
    return f"{_EPOCH + dt.timedelta(microseconds=utc_us):%Y-%m-%d %H:%M:%S} UTC"
