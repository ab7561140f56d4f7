"""An InfluxDB that is named wrongly, or dies while it answers: one line each."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from ved.errors import UserError
from ved.logfiles.influxdb import InfluxDatabase, Measurement

LINE = b'{"results":[{"series":[{"name":"databases","columns":["name"],"values":[["x"]]}]}]}\n'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(LINE), LINE)
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
REFUSED = b"HTTP/1.1 500 Nothing\r\nContent-Length: 99\r\n\r\n"


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that answers one request, then dies."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize("answer", [CHUNKED + CHUNK + b"0\r\n\r\n", SIZED % len(LINE) + LINE])
def test_a_whole_answer_is_read(answer: bytes):
    with answering(answer) as url:
        assert InfluxDatabase(url, None).name == "x"


@pytest.mark.parametrize(
    "answer", [CHUNKED + CHUNK[:20], CHUNKED + CHUNK, CHUNKED + CHUNK + CHUNK[:5], SIZED % 99_999 + LINE]
)
def test_an_answer_that_breaks_off_is_told_and_never_taken_for_the_whole(answer: bytes):
    with answering(answer) as url, pytest.raises(UserError, match="the answer broke off; see that the database runs"):
        InfluxDatabase(url, None)


def test_a_refusal_that_breaks_off_is_told_as_well():
    with answering(REFUSED + b"{") as url, pytest.raises(UserError, match="Nothing"):
        InfluxDatabase(url, None)


def test_what_is_no_database_is_told():
    with answering(b"220 mail ready\r\n\r\n") as url, pytest.raises(UserError, match="no InfluxDB answers there"):
        InfluxDatabase(url, None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:80a86", "http://127.0.0.1:99999", "http://[::1", "ftp://x", "x"])
def test_an_address_that_is_none_is_told(url: str):
    with pytest.raises(UserError, match="give the address of an InfluxDB, like"):
        InfluxDatabase(url, None)


def test_a_zero_byte_in_a_name_becomes_what_a_record_can_carry():
    known = Measurement("engine\0", {"rpm": "continuous"}, ("car",), ())
    assert known.channel("rpm", {"car": "a\0b"}).name == "engine\ufffd[car=a\ufffdb].rpm"
