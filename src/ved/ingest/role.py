"""The role ingest: takes what cars send, stores it in the stream `frames`, and acknowledges it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ved.broker.open import open_forwarder, open_journal
from ved.db.database import Database
from ved.errors import StorageError
from ved.ingest.accepted import Accepted
from ved.ingest.checkpoint import encode_checkpoint, rebuild, save_checkpoint
from ved.ingest.datagrams import DatagramServer, KeyRing
from ved.ingest.loglimit import LogLimit
from ved.ingest.rebuild import compile_kernels
from ved.ingest.server import LinkServer
from ved.ingest.settings import IngestSettings
from ved.ingest.store import Store
from ved.ingest.writer import TrimOrder
from ved.link.certificates import ensure_server_certificates
from ved.link.datagramkeys import datagram_secret
from ved.metrics import FORWARD, Counters

if TYPE_CHECKING:
    from ved.broker.forwarder import Forwarder

CHECKPOINT_S: Final = 10.0

_log: Final = logging.getLogger("ved.ingest")


async def run_ingest(
    settings: IngestSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Serve until `stop`. Calls `ready({"port": n})` once cars can come.

    UserError when the port is taken or the stream has another writer, StorageError when the disk refuses at the start.
    """
    counters = counters or Counters()
    await asyncio.to_thread(compile_kernels)
    db = Database(settings.db_url)
    try:
        certificates = await asyncio.to_thread(
            ensure_server_certificates, settings.data / "keys", tuple(settings.names)
        )
        stream = open_journal(settings.data, "frames")
        writer = await asyncio.to_thread(stream.writer)
        try:
            accepted = Accepted()
            checkpoint_path = settings.data / "ingest" / "accepted.json"
            end = await asyncio.to_thread(writer.sync)
            last = await rebuild(stream, end, checkpoint_path, accepted)
            store = Store(stream, writer, accepted, counters)
            store.last_durable = last
            store.start()
            server = LinkServer(db, certificates, store, accepted, counters)
            datagrams = _datagrams(settings, db, store, accepted, counters)
            try:
                port = await server.start(settings.host, settings.port)
                if datagrams is not None:
                    await datagrams.start(settings.host, settings.datagram_port)
                ready({"port": port})
                tasks = [server.watch_keys(), *([] if datagrams is None else [datagrams.run()])]
                forwarder = open_forwarder(settings.data, "frames", settings.kafka)
                if forwarder is not None:
                    counters.gauge(FORWARD, forwarder.waiting)
                tasks.append(_keep_house(store, _Keeping(settings, checkpoint_path, accepted)))
                await _serve(tasks, forwarder, stop)
            finally:
                await server.stop()
                if datagrams is not None:
                    await datagrams.stop()
                await store.stop()
                await asyncio.sleep(0)  # what the writer's thread said last
                await _save(store, checkpoint_path, accepted)
        finally:
            await asyncio.to_thread(writer.close)
    finally:
        db.close()
        _log.info("counters: %s", counters.snapshot())


@dataclass(frozen=True, slots=True)
class _Keeping:
    settings: IngestSettings
    checkpoint_path: Path
    accepted: Accepted


def _datagrams(
    settings: IngestSettings, db: Database, store: Store, accepted: Accepted, counters: Counters
) -> DatagramServer | None:
    """The port for datagrams, where one is wanted."""
    if not settings.datagram_port:
        return None
    limit = LogLimit(_log)
    keys = KeyRing(db, datagram_secret(settings.data / "keys"), limit)
    return DatagramServer(keys, store, accepted, counters, limit)


async def _serve(
    beside: Sequence[Coroutine[Any, Any, None]], forwarder: "Forwarder | None", stop: asyncio.Event
) -> None:
    """Run the loops beside the connections until `stop`; the forwarder ends by itself, with what is durable."""
    async with asyncio.TaskGroup() as group:
        if forwarder is not None:
            group.create_task(forwarder.run(stop))
        tasks = [group.create_task(one) for one in beside]
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _keep_house(store: Store, keeping: _Keeping) -> None:
    """Checkpoint and trim, now and then, until cancelled."""
    order = TrimOrder(keeping.settings.keep_bytes, keeping.settings.keep_us, keeping.settings.keep_for)
    while True:
        await asyncio.sleep(CHECKPOINT_S)
        await _save(store, keeping.checkpoint_path, keeping.accepted)
        store.trim(order)


async def _save(store: Store, path: Path, accepted: Accepted) -> None:
    """Write the checkpoint; without one, the next start reads more."""
    if store.last_durable is None:
        return
    try:
        await asyncio.to_thread(save_checkpoint, path, encode_checkpoint(accepted, store.last_durable))
    except StorageError as error:
        _log.warning("no checkpoint: %s", error)
