"""Logs: one object a line, and nothing secret in them."""

import json
import logging
import sys

import pytest

from ved.cli.logs import JsonFormatter, TextFormatter, redacted


def record(message: str, *args: object, error: bool = False) -> logging.LogRecord:
    if not error:
        return logging.LogRecord("ved.ingest", logging.WARNING, __file__, 1, message, args, None)
    try:
        int("token=abc")
    except ValueError:
        return logging.LogRecord("ved.ingest", logging.ERROR, __file__, 1, message, args, sys.exc_info())


def test_a_record_is_one_line_of_json():
    line = JsonFormatter("ingest").format(record('says "%s"\nand more', "é"))
    assert "\n" not in line
    said = json.loads(line)
    assert {name: said[name] for name in ("role", "level", "logger", "message")} == {
        "role": "ingest",
        "level": "warning",
        "logger": "ved.ingest",
        "message": 'says "é"\nand more',
    }
    assert said["time"].endswith("Z")


def test_a_traceback_stays_in_its_line():
    line = JsonFormatter("web").format(record("failed", error=True))
    assert "\n" not in line
    error = json.loads(line)["error"]
    assert "ValueError" in error
    assert "abc" not in error


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("http://h:1/signin?token=ylU1sM9q1iEG6m and more", "ylU1sM9q1iEG6m"),
        ("header Authorization: Bearer abc.def-123", "abc.def-123"),
        ("database postgresql+psycopg://ved:hunter2@db/ved: away", "hunter2"),
        ("code VED1-ABCDEF-GHIJKL-234567 was used", "GHIJKL"),
    ],
)
@pytest.mark.parametrize("formatter", [JsonFormatter("x"), TextFormatter("x")])
def test_secrets_do_not_get_into_logs(text: str, secret: str, formatter: logging.Formatter):
    assert secret in text
    assert secret not in formatter.format(record(text))


def test_what_is_no_secret_stays():
    text = "fs is up (live lane, 127.0.0.1:55344, agent ved 0.1.0) at http://127.0.0.1:8000/x"
    assert redacted(text) == text
