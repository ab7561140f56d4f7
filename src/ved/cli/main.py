"""The command `ved`: its groups of commands, and how its errors end."""

import sys

import typer

from ved.cli.commands import (
    agent,
    alarms,
    backup,
    dbc,
    doctor,
    drives,
    export,
    grafana,
    importing,
    influx,
    init,
    keys,
    lake,
    loadtest,
    maths,
    server,
    sessions,
    sql,
    vpn,
)
from ved.errors import LinkLostError, LinkRefusedError, StorageError, UserError, VedError

app = typer.Typer(
    name="ved",
    help="Telemetry for racing teams: CAN frames from the car to a live page and a long-term store.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for commands in (server, init, doctor, backup, drives, export, loadtest, sql):
    app.add_typer(commands.app)
app.add_typer(agent.app, name="agent")
app.add_typer(alarms.app, name="alarms")
app.add_typer(dbc.app, name="dbc")
app.add_typer(grafana.app, name="grafana")
app.add_typer(importing.app, name="import")
app.add_typer(influx.app, name="influx")
app.add_typer(keys.app, name="keys")
app.add_typer(lake.app, name="lake")
app.add_typer(maths.app, name="maths")
app.add_typer(sessions.app, name="sessions")
app.add_typer(vpn.app, name="vpn")


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed on the way, 2 bad input, 130 interrupted."""
    try:
        app()
    except (UserError, LinkRefusedError, LinkLostError) as error:
        _fail(str(error), 2)
    except StorageError as error:
        _fail(f"{error}; free some space or choose another folder, then try again", 2)
    except VedError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"ved: {' '.join(text.split())}\n")
    sys.exit(code)
