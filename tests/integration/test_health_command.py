"""`ved health` on servers in order, starting, stuck and dead."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ved.cli.health import check_health
from ved.cli.lock import FolderLock
from ved.cli.rolehealth import beat_file
from ved.config.settings import ServerSettings, load_settings
from ved.errors import VedError


class Page(BaseHTTPRequestHandler):
    answer = (200, b'{"ok": true}')

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    """A data folder as a running server leaves it, whose page and link answer."""
    (tmp_path / "run").mkdir()
    lock = FolderLock(tmp_path / "run" / "server.lock")
    assert lock.try_take()
    page = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, args=(0.01,), daemon=True).start()
    url = f"127.0.0.1:{page.server_address[1]}"
    roles = ("ingest", "record", "web")
    text = json.dumps({"pid": 1, "link_url": f"wss://{url}", "web_url": f"http://{url}", "roles": roles})
    (tmp_path / "run" / "server.json").write_text(text)
    settings = load_settings(None, {"data": tmp_path})
    for role in roles:
        beat_file(tmp_path, role).touch()
    yield settings, page, lock
    lock.release()
    page.shutdown()
    page.server_close()


def wrong(settings: ServerSettings) -> str:
    with pytest.raises(VedError) as caught:
        check_health(settings)
    return str(caught.value)


def test_in_order(server):
    assert check_health(server[0]) == "ingest, record, web: in order"


def test_a_role_whose_loop_stands_still_or_that_never_came(server):
    settings = server[0]
    long_ago = time.time() - 60
    os.utime(beat_file(settings.data, "record"), (long_ago, long_ago))
    beat_file(settings.data, "ingest").unlink()
    said = wrong(settings)
    assert "record has given no sign of life for 6" in said
    assert "ingest has given no sign of life" in said
    assert "web" not in said


@pytest.mark.parametrize("answer", [(500, b'{"ok": true}'), (200, b"<html>"), (200, b"[]"), (200, b'{"ok": 1}')])
def test_a_page_that_answers_wrong(server, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]):
    monkeypatch.setattr(Page, "answer", answer)
    assert "web answers with status" in wrong(server[0])


def test_ports_that_do_not_answer(server):
    server[1].shutdown()
    server[1].server_close()
    said = wrong(server[0])
    assert "ingest does not answer" in said
    assert "web does not answer" in said


def test_no_server(server, tmp_path: Path):
    settings, _, lock = server
    lock.release()
    assert "no server runs" in wrong(settings)
    assert "no server runs" in wrong(settings.model_copy(update={"data": tmp_path / "nothing"}))
    assert not (tmp_path / "nothing").exists()
