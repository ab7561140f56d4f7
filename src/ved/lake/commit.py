"""Writing commits: version N or nothing, so that whoever decided on version N - 1 knows that nothing came between.

Delta's own rules for concurrent commits would let two writers add the same frames, or merge the same files, one after
the other. On a folder the lake writes the commit's file itself, whole, synced and only where there is none yet; on an
object store delta-rs does it, without its retries.
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from ved.errors import StorageError
from ved.lake.layout import PARTITION_COLUMNS, TableLayout
from ved.lake.log import COMMIT_KEY, commit_path
from ved.lake.store import LocalStore, Store

_NO_HOOKS: Final = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)

Action = AddAction | RemoveAction


class ConflictError(Exception):
    """Another writer committed first: read on and decide again."""


class Committer(Protocol):
    """Writes to the log. StorageError when the disk refuses."""

    def create(self) -> None:
        """Make the table; nothing happens when there is one."""
        ...

    def commit(self, version: int, actions: Sequence[Action], notes: Mapping[str, Any]) -> None:
        """Write version `version`, durable on return. ConflictError when it is there already."""
        ...


def committer_for(store: Store, layout: TableLayout) -> Committer:
    """The way to commit that fits the store."""
    return FileCommitter(store, layout) if isinstance(store, LocalStore) else DeltaCommitter(store.url, layout)


class FileCommitter:
    """Commits in a folder: one new file of JSON lines, as the Delta protocol (reader 1, writer 2) says."""

    def __init__(self, store: LocalStore, layout: TableLayout) -> None:
        self._store = store
        self._layout = layout

    def create(self) -> None:
        """See Committer."""
        table = {
            "id": str(uuid.uuid4()),
            "name": self._layout.name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self._layout.delta_schema.to_json(),
            "partitionColumns": PARTITION_COLUMNS,
            "configuration": {},
            "createdTime": _now_ms(),
        }
        lines: list[dict[str, Any]] = [
            {"commitInfo": {"timestamp": _now_ms(), "operation": "CREATE TABLE", "engineInfo": "ved"}},
            {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
            {"metaData": table},
        ]
        self._store.put_new(commit_path(0), _json_lines(lines))

    def commit(self, version: int, actions: Sequence[Action], notes: Mapping[str, Any]) -> None:
        """See Committer."""
        info = {
            "timestamp": _now_ms(),
            "operation": "WRITE",
            "operationParameters": {"mode": "Append", "partitionBy": json.dumps(PARTITION_COLUMNS)},
            "engineInfo": "ved",
            COMMIT_KEY: notes,
        }
        lines = [{"commitInfo": info}, *(_action_line(action) for action in actions)]
        if not self._store.put_new(commit_path(version), _json_lines(lines)):
            raise ConflictError(f"version {version} is there already")


class DeltaCommitter:
    """Commits in an object store, which writes an object whole and only where there is none yet when asked to."""

    def __init__(self, url: str, layout: TableLayout) -> None:
        self._url = url
        self._layout = layout
        self._delta: DeltaTable | None = None

    def create(self) -> None:
        """See Committer."""
        try:
            schema, name = self._layout.delta_schema, self._layout.name
            DeltaTable.create(self._url, schema, mode="ignore", partition_by=PARTITION_COLUMNS, name=name)
        except (DeltaError, OSError) as error:
            raise StorageError(f"cannot make the lake's table at {self._url}: {first_line(error)}") from error

    def commit(self, version: int, actions: Sequence[Action], notes: Mapping[str, Any]) -> None:
        """See Committer."""
        try:
            delta = self._at(version - 1)
            delta.create_write_transaction(
                list(actions),
                "append",
                self._layout.delta_schema,
                PARTITION_COLUMNS,
                commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: notes}, max_commit_retries=0),
                post_commithook_properties=_NO_HOOKS,
            )
        except (DeltaError, OSError) as error:
            self._delta = None
            if self._newest() >= version:
                raise ConflictError(first_line(error)) from error
            raise StorageError(f"cannot commit to the lake at {self._url}: {first_line(error)}") from error

    def _newest(self) -> int:
        try:
            return DeltaTable(self._url).version()
        except (DeltaError, OSError) as error:
            raise StorageError(f"cannot commit to the lake at {self._url}: {first_line(error)}") from error

    def _at(self, version: int) -> DeltaTable:
        """A handle at exactly `version`: delta-rs judges conflicts against what the handle has seen."""
        if self._delta is None or self._delta.version() > version:
            self._delta = DeltaTable(self._url, version=version)
        elif self._delta.version() < version:
            self._delta.update_incremental()
        if self._delta.version() != version:
            raise ConflictError(f"version {version + 1} is there already")
        return self._delta


def first_line(error: Exception) -> str:
    """What delta-rs says, without the stack that it adds."""
    return str(error).partition("\n")[0]


def _now_ms() -> int:
    return int(time.time() * 1000)


def _json_lines(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


def _action_line(action: Action) -> dict[str, Any]:
    path = quote(action.path, safe="/=")
    if isinstance(action, AddAction):
        return {
            "add": {
                "path": path,
                "partitionValues": dict(action.partition_values),
                "size": action.size,
                "modificationTime": action.modification_time,
                "dataChange": action.data_change,
                "stats": action.stats,
            }
        }
    return {
        "remove": {
            "path": path,
            "deletionTimestamp": action.deletion_timestamp,
            "dataChange": action.data_change,
            "extendedFileMetadata": True,
            "partitionValues": action.partition_values,
            "size": action.size,
        }
    }
