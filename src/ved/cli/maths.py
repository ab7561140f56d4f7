"""`ved maths`: the maths channels of a vehicle, and an expression tried."""

from rich.console import Console
from rich.table import Table

from ved.analysis.maths.program import compile_expression
from ved.api.history import History
from ved.api.registry import load_registry
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.db.maths import list_maths
from ved.db.vehicles import get_vehicle
from ved.errors import UserError
from ved.lake.lake import Lake

console = Console(highlight=False, soft_wrap=True, markup=False)


def print_maths(settings: ServerSettings, vehicle: str) -> None:
    """Print name, expression, unit of the result and what is wrong."""
    db = _open(settings, vehicle)
    try:
        made = {one.signal: one for one in History(Lake(settings.lake), db).channels(vehicle) if one.message == "Maths"}
        table = Table("channel", "unit", "expression", "", box=None)
        for one in list_maths(db, vehicle):
            channel = made.get(one.name)
            comment = one.comment if channel else "cannot be made: see 'ved maths check'"
            table.add_row(one.channel, channel.unit if channel else one.unit, one.expression, comment)
        console.print(table)
    finally:
        db.close()


def check_expression(settings: ServerSettings, vehicle: str, expression: str, unit: str) -> None:
    """Print what it gives. UserError names the position where it is wrong."""
    db = _open(settings, vehicle)
    try:
        channels = History(Lake(settings.lake), db).channels(vehicle)
        program = compile_expression(expression, channels, unit or None, load_registry(db, vehicle).aliases)
    finally:
        db.close()
    laps = ", needs laps" if program.needs_laps else ""
    console.print(
        f"{program.kind} in {program.unit or 'no unit'}, from {', '.join(program.inputs)}{laps}", markup=False
    )


def _open(settings: ServerSettings, vehicle: str) -> Database:
    if not settings.db_url and not (settings.data / "db.sqlite").is_file():
        raise UserError(f"{settings.data}: no data of ved here; name the folder that 'ved serve' was given with --data")
    db = open_database(settings)
    if get_vehicle(db, vehicle) is None:
        db.close()
        raise UserError(f"vehicle '{vehicle}': there is none")
    return db
