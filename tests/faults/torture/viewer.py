"""A viewer beside the faults: the real role web, and a client that notes what it was shown and when."""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from types import TracebackType

import httpx
import numpy as np
from pydantic import TypeAdapter
from tests.faults.torture.oracle import WATCHED, read_truth
from tests.faults.torture.site import Site, mono_us, wait_until
from websockets.asyncio.client import connect
from websockets.typing import Origin

from ved.codec.live import decode_message
from ved.db.database import Database
from ved.db.people import create_signin_token
from ved.web.settings import WebSettings

STALE_MS = 1000
"""The page calls live values stale when the newest is older than this."""


class Viewer:
    """Use it as a context manager, of a site whose server is up. It needs no way through the emulated link."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="viewer", daemon=True)
        self.shown: list[tuple[int, int]] = []
        """When (monotonic, in µs), and the highest number of a frame that the message showed."""
        self.ages: list[tuple[int, int | None]] = []
        """When a state came, and the age in ms that it gave."""

    def __enter__(self) -> "Viewer":
        data = self.site.places.data
        db = Database(self.site.db_url)
        token = create_signin_token(db)
        db.close()
        settings = WebSettings(
            data=data, db_url=self.site.db_url, lake_url=str(data / "lake"), host="127.0.0.1", port=0,
            secret_path=data / "web.secret", page_dir=data / "page",
        )  # fmt: skip
        with (self.site.places.logs / "web.log").open("a") as log:
            self._web = subprocess.Popen(
                [sys.executable, "-m", "ved.cli.role", "web"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ),
            )  # fmt: skip
        assert self._web.stdin is not None
        assert self._web.stdout is not None
        self._web.stdin.write(TypeAdapter(WebSettings).dump_json(settings).decode() + "\n")
        self._web.stdin.flush()
        line = self._web.stdout.readline()
        assert line, f"web did not start:\n{self.site.log('web')}"
        self._url = f"http://127.0.0.1:{json.loads(line)['ready']['port']}"
        self._thread.start()
        self._watching = asyncio.run_coroutine_threadsafe(self._begin(token), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._web.kill()
        self._web.wait()
        for stream in (self._web.stdin, self._web.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    async def _begin(self, token: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._watch(token))

    async def _end(self) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self, token: str) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            await client.get("/signin", params={"token": token})
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        url = self._url.replace("http", "ws") + "/api/live"
        async with connect(url, additional_headers=headers, origin=Origin(self._url), compression=None) as live:
            channels = [f"M{place}.number" for place in WATCHED]
            wish = {"type": "watch", "id": 1, "vehicle": "fs", "channels": channels, "rate_hz": 100, "window_s": 1}
            await live.send(json.dumps(wish))
            async for data in live:
                self._take(data)

    def _take(self, data: str | bytes) -> None:
        now_us = mono_us()
        if isinstance(data, str):
            message = json.loads(data)
            if message["type"] == "state":
                self.ages.append((now_us, message["age_ms"]))
            return
        numbers = [int(column.last.max()) for column in decode_message(data).columns if len(column.last)]
        if numbers:
            self.shown.append((now_us, max(numbers)))

    def wait_shown(self) -> None:
        """Until it shows a frame that was captured after this moment."""
        since_us = mono_us()
        wait_until(
            lambda: self._watching.done() or self.fresh_s(since_us) is not None, "the viewer shows fresh frames", 60
        )
        if self._watching.done():
            self._watching.result()

    def fresh_s(self, since_us: int) -> float | None:
        """From `since_us` until it was shown a frame of the car's present life that was captured later."""
        life = self.site.life
        origin_us = int((self.site.places.truth / f"{life}.origin").read_text()) // 1000
        captured_us = read_truth(self.site.places.truth)[life]["t_us"] + origin_us
        first = int(np.searchsorted(captured_us, since_us, side="right")) + 1
        times = [at_us for at_us, number in self.shown if at_us > since_us and number >= first]
        return (min(times) - since_us) / 1e6 if times else None

    def stale_s(self, since_us: int) -> float | None:
        """From `since_us`, when the link died, until the page's lamp says so: the age told last and the time since."""
        told = [(at_us, at_us + (STALE_MS - age_ms) * 1000) for at_us, age_ms in self.ages if age_ms is not None]
        told.append((mono_us(), mono_us()))
        for (_, turns_us), (next_us, _) in itertools.pairwise(told):
            if since_us < turns_us <= next_us:
                return (turns_us - since_us) / 1e6
        return None


def fresh_after_faults_s(site: Site) -> float:
    """Somebody opens the page after the quiet phase: from a moment on until a frame captured after it is shown."""
    with Viewer(site) as viewer:
        viewer.wait_shown()
        since_us = mono_us()
        viewer.wait_shown()
        fresh_s = viewer.fresh_s(since_us)
    assert fresh_s is not None
    return fresh_s
