"""The role web: the page, its API, and the live increments, in one process and one event loop."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import uvicorn

from ved.api.history import History
from ved.broker.base import StreamName
from ved.broker.open import open_stream
from ved.db.database import Database
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.metrics import LAG, QUEUE, Counters
from ved.web.app import make_app
from ved.web.auth import Auth, load_secret
from ved.web.follower import Follower
from ved.web.hub import Hub
from ved.web.limits import MAX_TEXT_BYTES
from ved.web.settings import WebSettings
from ved.web.state import WebState

log = logging.getLogger(__name__)

STREAMS: Final[tuple[StreamName, ...]] = ("frames", "events")
CLOSE_S: Final = 0.8
"""How long viewers may take to close before uvicorn does it."""
THREADS: Final = 16
"""What people ask for (laps, exports, checks) holds six at most: sign-in, new epochs and streams always find one."""
STOP_S: Final = 1
"""How long open requests may take when the role stops."""


async def run_web(
    settings: WebSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Serve until `stop`. UserError when the port is taken; StorageError when a stream or the secret cannot be read."""
    listener = listen(settings.host, settings.port)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "web"))
    with contextlib.closing(listener), contextlib.closing(Database(settings.db_url)) as db:
        lake = Lake(settings.lake_url)
        hub = Hub(db, lake, History(lake, db), counters)
        state = WebState(
            db, Auth(db, load_secret(settings.secret_path), settings.metrics_token), hub, lake, settings.page_dir
        )
        frames, events = (open_stream(settings.data, name, settings.kafka) for name in STREAMS)
        follower = Follower(hub, db, frames, events)
        hub.counters.gauge(QUEUE, hub.waiting)
        hub.counters.gauge(LAG, lambda: follower.lag_ms)
        server = _Server(
            uvicorn.Config(
                make_app(state),
                ws="websockets-sansio",
                ws_per_message_deflate=False,
                ws_max_size=MAX_TEXT_BYTES,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                forwarded_allow_ips=list(settings.proxies),
                lifespan="off",
                timeout_graceful_shutdown=STOP_S,
            )
        )
        tasks = [
            asyncio.create_task(follower.follow()),
            asyncio.create_task(follower.tick()),
            asyncio.create_task(server.serve(sockets=[listener])),
            asyncio.create_task(follower.follow_events()),
            asyncio.create_task(follower.look()),
            asyncio.create_task(stop.wait()),
        ]
        try:
            await server.has_started.wait()
            ready({"port": listener.getsockname()[1]})
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            state.closing.set()
            if state.viewers:
                await asyncio.wait(state.viewers, timeout=CLOSE_S)
            server.should_exit = True
            await asyncio.wait([tasks[2]])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            hub.shut()
            log.info("counters: %s", hub.counters.snapshot())


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; UserError, one line, when that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except socket.gaierror as error:
        raise UserError(f"web address {host}: {error.strerror}; set web_host to an address of this machine") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"web port {port} on {host} is in use; stop the program that has it, or set another web_port"
            ) from error
        raise UserError(f"cannot listen on {host} port {port}: {error.strerror}; set web_host and web_port") from error


class _Server(uvicorn.Server):
    """Signals belong to whoever runs the role; uvicorn must not take them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open, and say so."""
        await super().startup(sockets=sockets)
        self.has_started.set()
