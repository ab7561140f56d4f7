"""What the server keeps: database, vehicles, lake, journals."""

import itertools
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from ved.broker.cursors import CURSOR_FOLDER, read_cursor
from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.config.places import vehicles_folder
from ved.config.settings import ServerSettings
from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.dbc.lint import LintedFile, lint
from ved.dbc.load import DbcSource
from ved.errors import StorageError, UserError
from ved.journal.files import OS_FILES
from ved.journal.reader import JournalReader
from ved.lake.lake import Lake
from ved.model.vehicle import Vehicle

FAR_BEHIND: Final = 6_000
"""Entries: ten minutes of one car."""
_FULL: Final = 0.8
_BACK: Final = "'ved restore' brings a backup back"
_ROLES: Final = {"record": "record", "watch": "watch", "influx": "influx", "kafka": "ingest"}


def database(settings: ServerSettings) -> Finding:
    """Reachable, and as this version wants it. Nothing is changed."""
    url = make_url(settings.database)
    shown = str(url.set(password=None))
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return warning("database", f"{url.database}: none yet", "'ved serve' makes it at its first start")
    db = Database(settings.database)
    try:
        state = db.schema_state()
    except StorageError as error:
        return problem("database", str(error), "is it running, and are address and password in db_url right?")
    finally:
        db.close()
    if state == "newer":
        return problem("database", f"{shown}: made by a newer ved", f"update this one; or {_BACK}")
    if state == "older":
        return warning("database", f"{shown}: of an older ved", "take a backup; 'ved serve' then brings it up to date")
    return ok("database", f"{shown}: reachable, schema up to date")


def vehicles(settings: ServerSettings) -> list[Finding]:
    """Each vehicle's folder: does it load, does `ved dbc lint` find errors?"""
    roots = (settings.data / "vehicles", vehicles_folder())
    return [vehicle(file.parent) for root in roots for file in sorted(root.glob("*/vehicle.toml"))]


def vehicle(folder: Path) -> Finding:
    """One vehicle folder."""
    try:
        car = load_vehicle(folder)
        errors = [error for name, sources in _sources(car, folder) for error in _errors(name, sources)]
    except UserError as error:
        return problem("vehicle", str(error), "correct that file; docs/vehicle.sample.toml shows all keys")
    count = sum(len(bus.dbc_names) for bus in car.buses)
    if errors:
        files = " ".join(str(folder / name) for bus in car.buses for name in bus.dbc_names)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return problem("vehicle", f"{car.name}: {errors[0]}{more}", f"ved dbc lint {files}")
    if not count:
        return warning("vehicle", f"{car.name}: has no DBC file, so no channel", "name one in vehicle.toml")
    return ok("vehicle", f"{car.name}: buses: {len(car.buses)}, DBC files without errors: {count}")


def _sources(car: Vehicle, folder: Path) -> list[tuple[str, list[DbcSource]]]:
    return [
        (bus.name, [
            DbcSource(bus.index, bus.name, str(folder / name), text)
            for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
        ])
        for bus in car.buses
    ]  # fmt: skip


def _errors(bus: str, sources: list[DbcSource]) -> list[str]:
    found = lint([LintedFile.read(source) for source in sources])
    return [f"bus {bus}, {Path(one.file).name}:{one.line}: {one.what}" for one in found if one.severity == "error"]


def lake(settings: ServerSettings) -> Finding:
    """Its log can be read, and the newest file is there."""
    try:
        found = Lake(settings.lake)
        if max(found.version, found.samples.version) < 0:
            return ok("lake", f"{settings.lake}: empty so far")
        for name, epoch in itertools.islice(reversed(found.epochs()), 1):
            next(iter(found.parts(name, epoch)), None)
        stats, broken = found.stats(), found.broken_files()
    except (StorageError, UserError) as error:
        return problem("lake", str(error), "is the disk or the store there, and lake_url right?")
    if broken:
        path, why = next(iter(broken.items()))
        return problem("lake", f"{path}: {why}", f"'ved lake verify' names all broken files; {_BACK}")
    return ok("lake", f"{settings.lake}: {stats.frames:,} frames, {stats.bytes / 1e9:,.2f} GB, {stats.files:,} files")


def journals(settings: ServerSettings) -> list[Finding]:
    """How full, and how far behind each reader is."""
    findings = []
    for name in ("frames", "events"):
        folder = settings.data / "streams" / name
        if not folder.is_dir():
            continue
        try:
            findings += _journal(name, folder, int(settings.journal_gib * (1 << 30)))
        except (OSError, StorageError) as error:
            findings.append(problem("journal", f"{name}: {error}", "is the disk failing? take a backup of the folder"))
    return findings or [ok("journal", f"{settings.data}: none yet")]


def _journal(name: str, folder: Path, keep_bytes: int) -> list[Finding]:
    size = sum(file.stat().st_size for file in folder.glob("*.seg"))
    shown = f"{name}: {size / 1e9:,.2f} of {keep_bytes / 1e9:,.1f} GB"
    readers = sorted(file.name for file in (folder / CURSOR_FOLDER).glob("*"))
    late = [text for reader in readers if (text := _lag(folder, reader))]
    if late:
        advice = "see the log of that role ('ved health'); until it catches up the journal is not trimmed"
        state = problem if size > _FULL * keep_bytes else warning
        return [state("journal", f"{shown}; {', '.join(late)}", advice)]
    return [ok("journal", shown + ", all readers near its end")]


def _lag(folder: Path, name: str) -> str:
    """What a reader is behind, empty when it is near."""
    if name not in _ROLES:
        return ""
    position = read_cursor(folder, name, OS_FILES)
    reader = JournalReader(folder, 0)
    try:
        behind = reader.durable_position() - (position or 0)
    finally:
        reader.close()
    return f"{name} is {behind:,} entries behind" if behind > FAR_BEHIND else ""
