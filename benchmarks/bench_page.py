"""The page in headless Chromium: frames per second, zoom, first useful paint, growth of memory.

The built page (`web/dist`) is served by a small server in this process that speaks docs/spec/live.md with made-up
signals, so that nothing but the page is measured. Four strip charts show 20 signals.

`paint`   from the navigation to the first value on the page.
`live`    frames per second in which all four charts were drawn anew, 100 samples/s over 60 s, a message each 1/60 s.
`moving`  the same while a paused view is moved by a key that is held down.
`zoom`    10 million samples (20 × 500,000) in the page's memory: from a key to the charts drawn, in and out.
`garbage` bytes that the page and its worker allocate meanwhile for each frame drawn, by V8's sampling profiler.
`heaps`   the least of the JavaScript heaps of the page and of the worker (with its buffers), twelve times in so many
          minutes of live data: what a collection leaves.
`memory`  the renderer's own resident memory (without the program's code and other files) as often, in a browser of its
          own that nobody inspects (a debugger costs memory of its own). It rises to what the browser needs between two
          collections, and then has to stay.

    python benchmarks/bench_page.py [--minutes 60] [--only memory] [--chromium /usr/bin/chromium]
"""

import argparse
import asyncio
import contextlib
import json
import mimetypes
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ved.codec.live import LiveColumn, LiveHeader, LiveKind, encode_column, encode_message, tick_for

DIST = Path(__file__).resolve().parent.parent / "web" / "dist"
CHARTS, PER_CHART, RATE_HZ = 4, 5, 100
STEP_US = 1_000_000 // RATE_HZ
NAMES = [f"Load{c}.Signal{k}" for c in range(CHARTS) for k in range(PER_CHART)]
LONG_S = 5_000
SAMPLES = 12
LOOK_S = 2
START_S = 10
PARTS = ["live", "garbage", "heaps", "memory", "moving", "zoom"]
CHUNK = 60_000
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc",
]  # fmt: skip
# Counts the frames in which uPlot cleared all four canvases, and notes the first value that stands on the page.
PROBE = """
window.__frames = [];
let cleared = 0;
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...given) {
  if (this.canvas.closest('.uplot') && ++cleared % 4 === 0) window.__frames.push(performance.now());
  return clear.apply(this, given);
};
const look = () => {
  const shown = document.querySelector('.legend .value');
  if (shown !== null && /[0-9]/.test(shown.textContent)) window.__useful = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


class Fake:
    """What the page asks of a server: itself, a vehicle, and samples."""

    def __init__(self) -> None:
        self.origin_us = time.time_ns() // 1000
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.history_sent = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Fake":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        async def go() -> None:
            self._stop = asyncio.Event()
            async with serve(self._live, "127.0.0.1", 0, process_request=self._answer, compression=None) as server:
                self.port = next(iter(server.sockets)).getsockname()[1]
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(go())

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/api/live":
            return None
        told = _rest(path)
        if told is not None:
            return _response(json.dumps(told).encode(), "application/json")
        file = DIST / ("index.html" if path == "/" else path.lstrip("/"))
        if not file.is_file():
            return Response(HTTPStatus.NOT_FOUND, "", Headers({"Content-Length": "0"}), b"")
        return _response(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    async def _live(self, socket: ServerConnection) -> None:
        user = {"name": "bench", "role": "admin"}
        await socket.send(json.dumps({"type": "welcome", "version": 1, "user": user, "server_utc_us": 0}))
        sending: asyncio.Task[None] | None = None
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                wish = json.loads(text)
                if wish["type"] == "watch":
                    if sending is not None:
                        sending.cancel()
                    sending = asyncio.create_task(self._send(socket, wish))
        if sending is not None:
            sending.cancel()

    async def _send(self, socket: ServerConnection, wish: dict[str, Any]) -> None:
        edge = _now()
        channels: list[dict[str, Any]] = [
            {"index": k, "name": name, "unit": f"u{k % PER_CHART % 2}", "kind": "continuous", "choices": [],
             "minimum": None, "maximum": None}
            for k, name in enumerate(wish["channels"])
        ]  # fmt: skip
        told = {
            "type": "watching", "id": wish["id"], "vehicle": "load", "channels": channels, "unknown": [],
            "rate_hz": wish["rate_hz"], "window_s": wish["window_s"], "bucket_us": STEP_US, "epoch": "0" * 32,
            "edge_utc_us": edge,
        }  # fmt: skip
        with contextlib.suppress(ConnectionClosed):
            await socket.send(json.dumps(told))
            self.history_sent.clear()
            await self._state(socket)
            starts = range(edge - int(wish["window_s"] * 1e6), edge, CHUNK * STEP_US)
            for start in reversed(starts):
                times = np.arange(start, min(start + CHUNK * STEP_US, edge), STEP_US)
                for k in range(len(channels)):
                    is_last = start == starts[0] and k == len(channels) - 1
                    await socket.send(_message(wish["id"], LiveKind.HISTORY, times, [k], is_last))
            self.history_sent.set()
            await self._follow(socket, wish["id"], len(channels), edge)

    async def _follow(self, socket: ServerConnection, number: int, channels: int, edge: int) -> None:
        beat = 0
        while True:
            await asyncio.sleep(1 / 60)
            now = _now()
            if now > edge:
                times = np.arange(edge, now, STEP_US)
                await socket.send(_message(number, LiveKind.INCREMENT, times, range(channels), False))
                edge = now
            beat += 1
            if beat % 30 == 0:
                await self._state(socket)

    async def _state(self, socket: ServerConnection) -> None:
        state = {
            "type": "state", "vehicle": "load", "link": "up", "age_ms": 5, "epoch": "0" * 32, "edge_utc_us": _now(),
            "frames_per_s": 6000, "rtt_ms": 1,
        }  # fmt: skip
        await socket.send(json.dumps(state))


def _now() -> int:
    return time.time_ns() // 1000 // STEP_US * STEP_US


def _message(number: int, kind: LiveKind, times: Any, channels: Any, is_last: bool) -> bytes:
    span = int(times[-1] - times[0])
    tick = tick_for(span)
    base = int(times[0]) // tick * tick
    noise = np.random.default_rng(int(times[0]) % 2**32).normal(0, 2, len(times))
    columns = [
        encode_column(LiveColumn(k, times, 50 + 40 * np.sin(times / 1e6 / (3 + k)) + noise), base, tick)
        for k in channels
    ]
    return encode_message(LiveHeader(kind, number, base, tick, 1, is_last), columns)


def _rest(path: str) -> Any:
    """None for what this server does not have."""
    summary = {"name": "load", "title_en": "Load", "title_fr": "Charge"}
    if path == "/api/me":
        return {"name": "bench", "role": "admin"}
    if path == "/api/vehicles":
        return [{**summary, "link": "up", "age_ms": 5, "epoch": "0" * 32}]
    if path == "/api/vehicles/load":
        channels: list[dict[str, Any]] = [
            {"name": name, "unit": f"u{k % PER_CHART % 2}", "kind": "continuous", "message": name.partition(".")[0],
             "signal": name.partition(".")[2], "bus": 0, "comment": "", "choices": [], "minimum": None,
             "maximum": None}
            for k, name in enumerate(NAMES)
        ]  # fmt: skip
        charts = [
            {"title_en": f"Chart {c}", "title_fr": f"Courbe {c}",
             "channels": NAMES[c * PER_CHART : (c + 1) * PER_CHART]}
            for c in range(CHARTS)
        ]  # fmt: skip
        return {**summary, "channels": channels, "map": None, "charts": charts}
    return {"/api/preferences": {}, "/api/workbooks": []}.get(path)


def _response(body: bytes, kind: str) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"})
    return Response(HTTPStatus.OK, "OK", headers, body)


def frames_per_s(page: Page, seconds: float) -> tuple[float, float]:
    """Median, and what 95 % of the frames reach."""
    page.evaluate("() => { window.__frames = []; }")
    page.wait_for_timeout(seconds * 1000)
    gaps = np.diff(np.array(page.evaluate("() => window.__frames")))
    return 1000 / float(np.median(gaps)), 1000 / float(np.percentile(gaps, 95))


def zooms_ms(page: Page, count: int) -> list[float]:
    """From a zoom key to the frame that shows it."""
    found: list[float] = page.evaluate(
        """async (count) => {
            const found = [];
            for (let i = 0; i < count; i++) {
                const key = i % 10 < 5 ? '+' : '-';
                await new Promise((resolve) => setTimeout(resolve, 150));
                const before = window.__frames.length;
                const from = performance.now();
                window.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                while (window.__frames.length === before) await new Promise((resolve) => setTimeout(resolve, 0));
                found.push(window.__frames.at(-1) - from);
            }
            return found;
        }""",
        count,
    )
    return found


def largest_renderer(browser: int) -> int:
    """The process that shows the page."""
    children = psutil.Process(browser).children(recursive=True)
    renderers = [child.pid for child in children if "--type=renderer" in child.cmdline()]
    return max(renderers, key=own_bytes)


class Worker:
    """The page's worker, which Playwright's sessions do not reach: commands go through the page's."""

    def __init__(self, page: Page, session: CDPSession) -> None:
        self._page, self._session = page, session
        self._ids: list[str] = []
        self._answers: list[dict[str, Any]] = []
        session.on("Target.attachedToTarget", lambda event: self._ids.append(event["sessionId"]))
        session.on("Target.detachedFromTarget", lambda event: self._ids.remove(event["sessionId"]))
        session.on("Target.receivedMessageFromTarget", lambda event: self._answers.append(json.loads(event["message"])))
        session.send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False})

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._answers.clear()
        (only,) = self._ids
        message = json.dumps({"id": 1, "method": method, "params": parameters})
        self._session.send("Target.sendMessageToTarget", {"sessionId": only, "message": message})
        for _ in range(300):
            for answer in self._answers:
                if answer.get("id") == 1:
                    return dict(answer["result"])
            self._page.wait_for_timeout(100)
        raise TimeoutError(f"the worker did not answer {method}")

    def heap(self) -> float:
        """The heap and the buffers that it holds, in MB."""
        found = self.send("Runtime.getHeapUsage")
        return float(found["usedSize"] + found["backingStorageSize"]) / 1e6


def own_bytes(pid: int) -> int:
    """Resident memory of a process that no file stands behind."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def address(fake: Fake, window_s: int) -> str:
    return f"http://127.0.0.1:{fake.port}/?vehicle=load&rate={RATE_HZ}&window={window_s}"


def opened(page: Page, fake: Fake, window_s: int) -> None:
    page.goto(address(fake, window_s))
    page.wait_for_function("() => window.__useful !== undefined", timeout=120_000)


def show_paint_and_live(page: Page, fake: Fake) -> None:
    paints = []
    for _ in range(5):
        opened(page, fake, 60)
        paints.append(page.evaluate("() => window.__useful"))
    print(f"paint   first useful paint {statistics.median(paints):.0f} ms")
    page.wait_for_timeout(3000)
    median, slow = frames_per_s(page, 10)
    print(f"live    {median:.1f} fps median, 95 % of frames at least {slow:.1f}")


def show_heaps(page: Page, worker: Worker, minutes: float) -> None:
    told: list[tuple[float, float]] = []
    for _ in range(SAMPLES):
        seen: list[tuple[float, float]] = []
        end = time.monotonic() + minutes * 60 / SAMPLES
        while time.monotonic() < end:
            page.wait_for_timeout(LOOK_S * 1000)
            heap = page.evaluate("() => { window.__frames = []; return performance.memory.usedJSHeapSize; }") / 1e6
            seen.append((heap, worker.heap()))
        told.append((min(heap for heap, _ in seen), min(other for _, other in seen)))
        print("heaps  ", ", ".join(f"{one:.1f}" for one in told[-1]), file=sys.stderr, flush=True)
    for name, values in zip(("page", "worker"), zip(*told, strict=True), strict=True):
        print(f"heaps   {name} MB in each {minutes / SAMPLES:g} min: {', '.join(f'{one:.1f}' for one in values)}")


def show_memory(fake: Fake, chromium: str, minutes: float) -> None:
    with tempfile.TemporaryDirectory() as profile:
        own = [f"--user-data-dir={profile}", "--window-size=1440,900", "--headless=new"]
        browser = subprocess.Popen(
            [chromium, *ARGUMENTS, *own, address(fake, 60)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(START_S)
            for number in range(SAMPLES):
                seen: list[float] = []
                end = time.monotonic() + minutes * 60 / SAMPLES
                while time.monotonic() < end:
                    time.sleep(LOOK_S)
                    seen.append(own_bytes(largest_renderer(browser.pid)) / 1e6)
                print(f"memory  renderer, {minutes / SAMPLES:g} min, {number + 1} of {SAMPLES}: least {min(seen):.1f}, "
                      f"median {statistics.median(seen):.1f}, most {max(seen):.1f} MB", flush=True)  # fmt: skip
        finally:
            browser.terminate()
            browser.wait(30)


def show_garbage(page: Page, session: CDPSession, worker: Worker) -> None:
    page.wait_for_timeout(5000)
    sampling = {
        "samplingInterval": 16384,
        "includeObjectsCollectedByMajorGC": True,
        "includeObjectsCollectedByMinorGC": True,
    }
    session.send("HeapProfiler.startSampling", sampling)
    worker.send("HeapProfiler.startSampling", **sampling)
    page.evaluate("() => { window.__frames = []; }")
    page.wait_for_timeout(10_000)
    frames = page.evaluate("() => window.__frames.length")
    profiles = session.send("HeapProfiler.stopSampling"), worker.send("HeapProfiler.stopSampling")
    in_page, in_worker = (sum(one["size"] for one in found["profile"]["samples"]) / 1e3 for found in profiles)
    print(f"garbage {in_page / frames:.0f} kB a frame in the page, {in_worker / frames:.0f} kB in the worker")


def show_moving(page: Page) -> None:
    page.keyboard.press("Space")
    for _ in range(4):
        page.keyboard.press("+")
    page.evaluate(
        """() => { let n = 0; window.__held = setInterval(() => {
            const key = n++ % 200 < 100 ? 'ArrowLeft' : 'ArrowRight';
            window.dispatchEvent(new KeyboardEvent('keydown', { key }));
        }, 8); }"""
    )
    median, slow = frames_per_s(page, 8)
    print(f"moving  {median:.1f} fps median, 95 % of frames at least {slow:.1f}")


def show_zoom(page: Page, fake: Fake) -> None:
    opened(page, fake, LONG_S)
    page.wait_for_function("() => document.querySelectorAll('.overlay').length === 0", timeout=120_000)
    while not fake.history_sent.is_set():
        page.wait_for_timeout(1000)
    page.wait_for_timeout(5000)
    page.keyboard.press("Space")
    page.wait_for_timeout(3000)
    zooms = zooms_ms(page, 40)
    million = len(NAMES) * LONG_S * RATE_HZ / 1e6
    print(f"zoom    {million:.0f} million samples: {statistics.median(zooms):.0f} ms median, "
          f"{max(zooms):.0f} ms at most")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    parts = [given.only] if given.only else PARTS
    with Fake() as fake, sync_playwright() as playwright:
        if "memory" in parts:
            show_memory(fake, given.chromium, given.minutes)
        browser = playwright.chromium.launch(executable_path=given.chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
        page.add_init_script(PROBE)
        session = page.context.new_cdp_session(page)
        worker = Worker(page, session)
        opened(page, fake, 60)  # Warms the disk's and the browser's caches up.
        if "live" in parts:
            show_paint_and_live(page, fake)
        if "garbage" in parts:
            show_garbage(page, session, worker)
        if "heaps" in parts:
            show_heaps(page, worker, given.minutes)
        if "moving" in parts:
            show_moving(page)
        if "zoom" in parts:
            show_zoom(page, fake)
        browser.close()


if __name__ == "__main__":
    main()
