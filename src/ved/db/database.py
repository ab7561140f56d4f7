"""One handle on people's data: SQLite embedded, PostgreSQL by URL."""

from importlib import resources
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from ved.errors import StorageError


class Database:
    """Engine and migrations. Calls block for milliseconds: run them off the event loop where that matters."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if make_url(url).get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _tune_sqlite)

    def migrate(self) -> None:
        """Bring the schema to this version. Raises StorageError when the database cannot be opened or written."""
        from alembic import command  # heavy, and only the process that starts a server migrates
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(resources.files("ved.db") / "migrations"))
        config.set_main_option("path_separator", "os")
        try:
            with self.engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except OperationalError as error:
            raise StorageError(f"database {self.engine.url!s}: {error.orig}") from error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
