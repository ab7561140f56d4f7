"""What the sender does with each answer: tried again, taken apart, counted, told once."""

import asyncio
import gzip
import json
import logging
from collections.abc import Callable

import httpx
import pytest

from ved.influx import sender as sender_module
from ved.influx.client import InfluxAwayError, InfluxClient, InfluxRefusedError
from ved.influx.lines import Lines
from ved.influx.sender import MOST_TRIALS, Sender
from ved.influx.settings import InfluxTarget
from ved.metrics import LINES_TOTAL, REFUSED_TOTAL, Counters


class Server:
    """Answers as `answer(lines)` says; keeps what it took."""

    def __init__(self, answer: Callable[[list[str]], httpx.Response]) -> None:
        self.answer, self.taken, self.requests = answer, [], 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        lines = gzip.decompress(request.content).decode().splitlines()
        response = self.answer(lines)
        if response.status_code == 204:
            self.taken += lines
        return response


def send(server: Server, text: str, counters: Counters, *, stop_after: int = 0, patience_s: float = 5.0) -> bool:
    async def go() -> bool:
        stop = asyncio.Event()
        client = InfluxClient(InfluxTarget("http://db.example", token="t"), httpx.MockTransport(server))
        if stop_after:
            inner = server.answer
            left = [stop_after]

            def answer(lines: list[str]) -> httpx.Response:
                left[0] -= 1
                if left[0] == 0:
                    stop.set()
                return inner(lines)

            server.answer = answer
        try:
            sender = Sender(client, counters, stop, patience_s)
            return await sender.send(lambda: Lines([text.encode()], text.count("\n")), set())
        finally:
            await client.close()

    return asyncio.run(go())


def lines(count: int) -> str:
    return "".join(f"m f={number} {number}\n" for number in range(count))


def ok(_lines: list[str]) -> httpx.Response:
    return httpx.Response(204)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(sender_module, "LONGEST_PAUSE_S", 0.002)


def test_a_body_is_gzipped_and_counted() -> None:
    server, counters = Server(ok), Counters()
    assert send(server, lines(10), counters)
    assert (len(server.taken), server.requests, counters[LINES_TOTAL]) == (10, 1, 10)


def test_one_bad_line_is_found_and_all_others_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(found: list[str]) -> httpx.Response:
        return httpx.Response(400, text="cannot parse") if any("f=77 " in one for one in found) else ok(found)

    server, counters = Server(refuse), Counters()
    with caplog.at_level(logging.WARNING):
        assert send(server, lines(1000), counters)
    assert len(server.taken) == 999
    assert (counters[REFUSED_TOTAL], counters[LINES_TOTAL]) == (1, 999)
    assert caplog.text.count("refused for good") == 1
    assert server.requests <= 25


def test_a_server_that_refuses_everything_costs_a_bounded_number_of_requests() -> None:
    server, counters = Server(lambda _: httpx.Response(422, json={"message": "no"})), Counters()
    assert send(server, lines(5000), counters)
    assert counters[REFUSED_TOTAL] == 5000
    assert server.requests <= 2 * MOST_TRIALS + 2


def test_a_body_that_is_too_large_goes_in_parts() -> None:
    server = Server(lambda found: httpx.Response(413) if len(found) > 60 else ok(found))
    counters = Counters()
    assert send(server, lines(5000), counters)
    assert len(server.taken) == 5000
    assert counters[REFUSED_TOTAL] == 0


@pytest.mark.parametrize("code", [500, 503, 429, 401, 403, 302])
def test_what_may_pass_is_tried_again_and_told_once(code: int, caplog: pytest.LogCaptureFixture) -> None:
    answers = [httpx.Response(code, json={"error": "not now"}, headers={"Retry-After": "0"})] * 5
    server = Server(lambda found: answers.pop() if answers else ok(found))
    with caplog.at_level(logging.WARNING):
        assert send(server, lines(3), Counters())
    assert len(server.taken) == 3
    assert caplog.text.count(str(code)) == 1
    assert "takes lines again" in caplog.text


def test_told_to_stop_it_gives_up_and_counts_nothing() -> None:
    counters = Counters()
    assert not send(Server(lambda _: httpx.Response(503)), lines(3), counters, stop_after=3)
    assert counters.snapshot() == {}


def test_patience_has_an_end_where_one_is_set() -> None:
    with pytest.raises(InfluxAwayError, match="503"):
        send(Server(lambda _: httpx.Response(503)), lines(3), Counters(), patience_s=0.02)


def ask(answer: Callable[[httpx.Request], httpx.Response]) -> bool:
    """Run a statement as a rewrite does."""

    async def go() -> bool:
        client = InfluxClient(InfluxTarget("http://db.example"), httpx.MockTransport(answer))
        sender = Sender(client, Counters(), asyncio.Event())
        try:
            return await asyncio.wait_for(sender.patiently(lambda: client.query("DELETE WHERE x = 'y'")), 2)
        finally:
            await client.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(400, json={"error": "error parsing query"}), r"\(400\): error parsing query"),
        (httpx.Response(401, json={"error": "authorization failed"}), r"\(401\): authorization failed"),
        (httpx.Response(403, text="not yours"), r"\(403\): not yours"),
        (httpx.Response(405), r"\(405\): Method Not Allowed"),
        (httpx.Response(200, json={"results": [{"error": "cannot delete"}]}), r"\(200\): cannot delete"),
    ],
)
def test_a_statement_that_is_refused_is_not_asked_again(answer: httpx.Response, said: str) -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["q"])
        return answer

    with pytest.raises(InfluxRefusedError, match=rf"^http://db.example \(ved\) refuses DELETE {said}; look at"):
        ask(refuse)
    assert asked == ["DELETE WHERE x = 'y'"]


@pytest.mark.parametrize("code", [0, 429, 500, 503])
def test_a_statement_waits_for_a_server_that_is_away(code: int) -> None:
    asked: list[int] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        asked.append(code)
        if len(asked) == 4:
            return httpx.Response(200, json={"results": [{"statement_id": 0}]})
        if not code:
            raise httpx.ConnectError("refused")
        return httpx.Response(code, json={"error": "not now"})

    assert ask(answer)
    assert len(asked) == 4


def test_a_database_that_it_may_not_make_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []
    counters = Counters()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/query":
            return httpx.Response(403, json={"error": "requires admin privilege"})
        is_there = asked.count("/write") == 3  # an administrator made it
        return httpx.Response(204) if is_there else httpx.Response(404, json={"error": 'database not found: "ved"'})

    async def go() -> bool:
        client = InfluxClient(InfluxTarget("http://db.example"), httpx.MockTransport(answer))
        try:
            return await Sender(client, counters, asyncio.Event()).send(lambda: Lines([b"m f=1 1\n"], 1), set())
        finally:
            await client.close()

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(go())
    assert asked == ["/write", "/query"] * 2 + ["/write"]
    assert (counters[LINES_TOTAL], counters[REFUSED_TOTAL]) == (1, 0)
    assert caplog.text.count("has no such database") == 1


def test_a_token_is_sent_and_never_shown() -> None:
    seen: list[str] = []

    def look(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        assert request.url.params["precision"] == "ns"
        return httpx.Response(204)

    async def go() -> None:
        target = InfluxTarget("http://db.example/base/", "v2", "bucket", "team", token="s3cret")
        client = InfluxClient(target, httpx.MockTransport(look))
        assert await client.write(b"m f=1 1\n") is None
        assert "s3cret" not in repr(target) + client.shown
        await client.close()

    asyncio.run(go())
    assert seen == ["Token s3cret"]
    assert json.dumps(seen)
