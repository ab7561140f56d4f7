"""An HTTP server that takes what a webhook sends."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "Taker"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, self.headers["Host"], json.loads(body)))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Taker(http.server.ThreadingHTTPServer):
    """Answers with its `statuses` one after the other, then 204; `taken` has path, host and body of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, str, object]] = []
        self.statuses: list[int] = []


@contextlib.contextmanager
def running_taker() -> Iterator[Taker]:
    """On a free port of this machine."""
    server = Taker()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
