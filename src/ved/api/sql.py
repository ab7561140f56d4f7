"""SQL over decoded channels, through DuckDB: read-only, and a query reads of the lake what it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from ved.api.export_messages import message_of
from ved.api.recorded import RecordedSession
from ved.api.sqltables import TIME, ChannelTable, MessageTable, RowTable
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.model.channel import Channel

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl

_MEMORY: Final = "400MB"
_BATCH_ROWS: Final = 65_536
_TAKEN: Final = ("session", "time", "time_s")

_SESSIONS: Final = pa.schema(
    [
        pa.field("vehicle", pa.string()),
        pa.field("session", pa.string()),
        pa.field("name", pa.string()),
        pa.field("driver", pa.string()),
        pa.field("track", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("start", TIME),
        pa.field("duration_s", pa.float64()),
        pa.field("has_moved", pa.bool_()),
        pa.field("is_open", pa.bool_()),
    ]
)
_LAPS: Final = pa.schema(
    [
        pa.field("vehicle", pa.string()),
        pa.field("session", pa.string()),
        pa.field("lap", pa.int32()),
        pa.field("start", TIME),
        pa.field("stop", TIME),
        pa.field("lap_time_s", pa.float64()),
        pa.field("length_m", pa.float64()),
        pa.field("is_whole", pa.bool_()),
    ]
)
_SIGNALS: Final = pa.schema(
    [
        pa.field("vehicle", pa.string()),
        pa.field("table", pa.string()),
        pa.field("column", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("minimum", pa.float64()),
        pa.field("maximum", pa.float64()),
        pa.field("comment", pa.string()),
    ]
)


class SqlResult:
    """The rows of a query, read once: all together, or batch by batch."""

    def __init__(self, reader: pa.RecordBatchReader, connection: object) -> None:
        self._reader = reader
        self._connection = connection  # its tables are alive as long as it is

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._reader.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Arrow types of the columns."""
        return self._reader.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, some thousand at a time. UserError for what shows only while the query runs."""
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowException, OSError) as error:
                raise _sql_error(error) from None
            yield batch

    def to_arrow(self) -> pa.Table:
        """All rows."""
        return pa.Table.from_batches(list(self.batches()), schema=self._reader.schema)

    def to_polars(self) -> pl.DataFrame:
        """All rows. UserError when Polars is not installed."""
        try:
            import polars as pl
        except ImportError as error:
            raise UserError("to_polars() needs Polars; run `pip install polars`") from error
        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> pd.DataFrame:
        """All rows. UserError when pandas is not installed."""
        try:
            return self.to_arrow().to_pandas()
        except ImportError as error:
            raise UserError("to_pandas() needs pandas; run `pip install pandas`") from error

    def to_dicts(self) -> list[dict[str, Any]]:
        """All rows, a dictionary each."""
        return list(self.to_arrow().to_pylist())


def run_sql(lake: Lake, sessions: Sequence[RecordedSession], query: str) -> SqlResult:
    """The rows of one SELECT over the sessions (docs/api.md names the tables).

    UserError for another statement, an unknown table or column (with the nearest), and where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UserError("SQL needs DuckDB; run `pip install 'ved[sql]'`") from error
    connection = duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "threads": 1})
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UserError("SQL: give one SELECT; data is never changed by SQL")
        _register(connection, lake, sessions)
        for setting in (
            "enable_external_access = false",
            "python_enable_replacements = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        return SqlResult(connection.sql(query).to_arrow_reader(_BATCH_ROWS), connection)
    except duckdb.Error as error:
        raise _sql_error(error) from None


def tables_of(sessions: Sequence[RecordedSession]) -> dict[tuple[str, str], dict[str, Channel]]:
    """(vehicle, table) -> column -> channel: a table for each message, a column for each of its signals.

    A signal whose name is taken (`time`, or one that differs in case alone) gets underscores at its end. Former names
    of channels are columns as well, where nothing else has that name.
    """
    out: dict[tuple[str, str], dict[str, Channel]] = {}
    for vehicle, channels in _channels_of(sessions).items():
        tables: dict[str, str] = {}
        for channel in channels.values():
            message = message_of(channel)
            table = tables.setdefault(message.lower(), message)
            if table == message:
                columns = out.setdefault((vehicle, table), {})
                taken = {*_TAKEN, *(name.lower() for name in columns)}
                name = channel.signal
                while name.lower() in taken:
                    name += "_"
                columns[name] = channel
    _add_former_names(out, sessions)
    return out


def _add_former_names(tables: dict[tuple[str, str], dict[str, Channel]], sessions: Sequence[RecordedSession]) -> None:
    """A query that was written before a rename goes on working; a table still holds channels of one message only."""
    aliases = {session.vehicle: session.aliases for session in sessions}
    for (vehicle, _), columns in list(tables.items()):
        for channel in list(columns.values()):
            for former in aliases[vehicle].others(channel.name):
                message, _, signal = former.rpartition(".")
                if not message:
                    continue  # a short name stands in no table
                known = tables.get((vehicle, message))
                if known is None:
                    if any((vehicle, message.lower()) == (owner, name.lower()) for owner, name in tables):
                        continue
                    known = tables[vehicle, message] = {}
                taken = {*_TAKEN, *(name.lower() for name in known)}
                if signal.lower() not in taken and {message_of(one) for one in known.values()} <= {message_of(channel)}:
                    known[signal] = channel


def _register(connection: Any, lake: Lake, sessions: Sequence[RecordedSession]) -> None:
    tables = tables_of(sessions)
    whole: dict[str, Any] = {
        "sessions": RowTable(_SESSIONS, (_session_row(one) for one in sessions)),
        "laps": RowTable(_LAPS, (row for one in sessions for row in _lap_rows(one))),
        "signals": RowTable(
            _SIGNALS, [_signal_row(*key, *pair) for key, found in tables.items() for pair in found.items()]
        ),
        "channels": ChannelTable(sessions),
    }
    for name, table in whole.items():
        connection.register(name, table)
    by_vehicle: dict[str, list[RecordedSession]] = {}
    for one in sessions:
        by_vehicle.setdefault(one.vehicle, []).append(one)
    for vehicle in by_vehicle:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(vehicle)}")
    for number, ((vehicle, name), columns) in enumerate(tables.items()):
        connection.register(f"__ved_{number}", MessageTable(lake, by_vehicle[vehicle], columns))
        view = f"{_quoted(vehicle)}.{_quoted(name)}"
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM __ved_{number}")  # noqa: S608  (_quoted)


def _channels_of(sessions: Sequence[RecordedSession]) -> dict[str, dict[str, Channel]]:
    """The channels of each vehicle's sessions by name; where two have one name, the later session's."""
    out: dict[str, dict[str, Channel]] = {}
    seen: set[tuple[str, frozenset[int]]] = set()
    for session in reversed(sessions):
        key = (session.vehicle, frozenset(id(part.decoder) for part in session.parts))
        if key not in seen:
            seen.add(key)
            known = out.setdefault(session.vehicle, {})
            for channel in session.channels:
                known.setdefault(channel.name, channel)
    return out


def _session_row(session: RecordedSession) -> dict[str, object]:
    track = session.track
    return {
        "vehicle": session.vehicle,
        "session": session.id,
        "name": session.name,
        "driver": session.driver,
        "track": None if track is None else track.name,
        "tags": list(session.tags),
        "start": session.utc_from_us,
        "duration_s": session.duration_s,
        "has_moved": session.has_moved,
        "is_open": session.is_open,
    }


def _lap_rows(session: RecordedSession) -> Iterator[dict[str, object]]:
    for lap in session.laps:
        yield {
            "vehicle": session.vehicle,
            "session": session.id,
            "lap": lap.number,
            "start": lap.utc_from_us,
            "stop": lap.utc_to_us,
            "lap_time_s": lap.time_s,
            "length_m": lap.length_m,
            "is_whole": lap.is_whole,
        }


def _signal_row(vehicle: str, table: str, column: str, channel: Channel) -> Mapping[str, object]:
    return {
        "vehicle": vehicle,
        "table": table,
        "column": column,
        "channel": channel.name,
        "unit": channel.unit,
        "kind": channel.kind,
        "minimum": channel.minimum,
        "maximum": channel.maximum,
        "comment": channel.comment,
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_error(error: Exception) -> UserError:
    """DuckDB's words in one line, without the query that it repeats."""
    lines = str(error).split("\n\nLINE ")[0].splitlines()
    return UserError("SQL: " + " ".join(line.strip() for line in lines if line.strip()))
