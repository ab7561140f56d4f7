"""schemathesis over the OpenAPI: whatever is sent, no answer is a 500, and the guard lets an admin in."""

import asyncio
import threading

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.integration.test_web_sessions import as_, fill
from tests.integration.web_live import Server

EXAMPLES = 3
LEFT_OUT = {"/api/signout", "/api/me/signout-everywhere"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A running server: its address and an admin's cookie."""
    server, said, ready, stop = Server(tmp_path_factory.mktemp("fuzz")), {}, threading.Event(), threading.Event()
    fill(server)

    async def serve() -> None:
        async with server.running(), as_(server, "admin") as admin:
            cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
            said.update(url=server.url, headers={"Cookie": cookie, "Origin": server.url})
            said["schema"] = (await admin.get("/api/openapi.json")).json()
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    yield said
    stop.set()
    thread.join(20)
    server.close()


def test_no_request_is_answered_with_a_server_error(asked):
    schema = schemathesis.openapi.from_dict(asked["schema"])
    wrong = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in LEFT_OUT:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case) -> None:
            answer = case.call(base_url=asked["url"], headers=asked["headers"], timeout=20, allow_redirects=False)
            if answer.status_code >= 500 or answer.status_code == 401:
                wrong.append((case.method, case.formatted_path, case.query, str(case.body)[:200], answer.status_code))

        ask()
    assert wrong == []
