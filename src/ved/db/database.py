"""One handle on people's data: SQLite embedded, PostgreSQL by URL."""

import contextlib
import os
from importlib import resources
from typing import Any, Literal

from sqlalchemy import Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from ved.errors import StorageError, UserError

_MIGRATION_LOCK = 0x766564  # any number, the same everywhere: "ved"
_CONNECT_S = 5
"""A machine that is off does not answer at all: TCP alone would wait for minutes."""


class Database:
    """Engine and migrations. Calls block for milliseconds: run them off the event loop where that matters.

    Whatever is done through the engine raises StorageError when the database cannot be reached, opened or written.
    """

    def __init__(self, url: str, *, is_found_again: bool = False) -> None:
        """`is_found_again`: commits do not wait for the disk; a power cut may take the newest, whole and in order.

        Right where the position in a stream is in the same commit, so that what it found is found again.
        """
        self.url = url
        is_sqlite = make_url(url).get_backend_name() == "sqlite"
        waits = {} if is_sqlite else {"connect_timeout": _CONNECT_S}
        self.engine: Engine = create_engine(url, pool_pre_ping=not is_sqlite, connect_args=waits)
        event.listen(self.engine, "handle_error", _name_refusal)
        if is_sqlite:
            event.listen(self.engine, "connect", _tune_sqlite)
        if is_found_again:
            event.listen(self.engine, "connect", _do_not_wait)

    def migrate(self) -> None:
        """Bring the schema to this version, in one transaction: killed half way, nothing was done.

        StorageError when the database cannot be opened or written, UserError when a newer version made it.
        """
        from alembic import command  # heavy, and who only reads does not migrate
        from alembic.config import Config
        from alembic.util import CommandError

        if make_url(self.url).get_backend_name() == "sqlite":
            _make_private(make_url(self.url).database)
        config = Config()
        config.set_main_option("script_location", str(resources.files("ved.db") / "migrations"))
        config.set_main_option("path_separator", "os")
        with self.engine.begin() as connection:  # programs that start at once come one after the other
            is_postgres = connection.dialect.name == "postgresql"
            lock = f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})" if is_postgres else "BEGIN IMMEDIATE"
            connection.exec_driver_sql(lock)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise UserError(f"database {self.engine.url!s}: was made by a newer ved; update this one") from error

    def schema_state(self) -> Literal["older", "current", "newer"]:
        """How the schema stands to this version's, which nothing here changes. StorageError as above."""
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory(str(resources.files("ved.db") / "migrations"))
        with self.engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        known = {one.revision for one in scripts.walk_revisions()}
        if found == scripts.get_current_head():
            return "current"
        return "older" if found is None or found in known else "newer"

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _make_private(path: str | None) -> None:
    """A new file is its owner's alone: hashes of passwords stand in it. SQLite gives its other files the same mode."""
    if path and path != ":memory:":
        with contextlib.suppress(OSError):  # it is there, or what connects next says why it cannot be
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _name_refusal(context: ExceptionContext) -> None:
    if isinstance(context.sqlalchemy_exception, OperationalError) and context.engine is not None:
        raise StorageError(f"database {context.engine.url!s}: {context.original_exception}") from None


def _do_not_wait(connection: Any, _record: Any) -> None:
    is_sqlite = type(connection).__module__.startswith("sqlite3")
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL" if is_sqlite else "SET synchronous_commit TO off")
    cursor.close()
    connection.commit()  # a rollback would take the setting back


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
