"""The webhook against a real server: what is refused, what is followed, and how long it may take."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.webhook_taker import Taker, running_taker

from ved.link.certificates import ensure_server_certificates
from ved.notify import webhook
from ved.notify.webhook import DeliveryError, Webhook, addresses_of


@pytest.fixture
def taker() -> Iterator[Taker]:
    with running_taker() as server:
        yield server


def hook(port: int, path: str = "/hook?key=s3cret", **changes) -> Webhook:
    return Webhook(f"http://127.0.0.1:{port}{path}", changes.pop("hosts", ("127.0.0.1",)), **changes)


def test_it_posts_json_to_an_address_that_is_allowed_by_name(taker) -> None:
    hook(taker.server_port).send({"text": "é"})
    assert taker.taken == [("/hook?key=s3cret", f"127.0.0.1:{taker.server_port}", {"text": "é"})]


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(301, True), (307, True), (400, True), (404, True), (429, False), (500, False), (503, False)],
)
def test_an_answer_that_is_no_yes(taker, status: int, is_final: bool) -> None:
    taker.statuses = [status]
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        hook(taker.server_port).send({})
    assert caught.value.is_final == is_final
    assert len(taker.taken) == 1  # no redirect was followed
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://hooks.example.org/x", "not in notify_hosts"),
        ("http://chat.example.net/x", "http:// is for addresses"),
        ("ftp://chat.example.net/x", "https://"),
        ("https://user:word@chat.example.net/x", "without user name"),
        ("https:///x", "https://"),
        ("https://chat.example.net:99999/x", "[Pp]ort"),
    ],
)
def test_what_is_refused_before_anything_is_sent(url: str, why: str) -> None:
    asked: list[str] = []
    target = Webhook(url, ("chat.example.net",), lambda host, _: asked.append(host) or ["127.0.0.1"])
    with pytest.raises(DeliveryError, match=why) as caught:
        target.send({})
    assert caught.value.is_final
    assert asked == []


PRIVATE = (
    *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_with_a_private_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook.socket, "create_connection", lambda *_: pytest.fail("connected"))
    for found in ([address], ["93.184.215.14", address]):
        target = Webhook("https://chat.example.net/x", ("chat.example.net",), lambda *_, found=found: found)
        with pytest.raises(DeliveryError, match="private address"):
            target.send({})


def test_a_name_that_changes_after_the_check_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is resolved once, and the connection goes to the address that was checked."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    went: list[str] = []

    def connect(address, *_):
        went.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(webhook.socket, "create_connection", connect)
    target = Webhook("https://chat.example.net/x", ("chat.example.net",), lambda *_: answers.pop(0))
    with pytest.raises(DeliveryError, match="refused"):
        target.send({})
    assert went == ["93.184.215.14"]
    assert len(answers) == 1


def test_another_address_of_the_name_is_tried(taker) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    free.close()  # nobody listens on 127.0.0.2 there
    hook(taker.server_port, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"]).send({})
    assert len(taker.taken) == 1


def test_tls_is_checked_against_the_name(taker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ensure_server_certificates(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server_path)
    taker.socket = context.wrap_socket(taker.socket, server_side=True)
    target = Webhook(f"https://127.0.0.1:{taker.server_port}/x", ("127.0.0.1",))
    with pytest.raises(DeliveryError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
        target.send({})  # nobody vouches for it
    ours = ssl.create_default_context(cadata=made.ca_pem.decode() if isinstance(made.ca_pem, bytes) else made.ca_pem)
    monkeypatch.setattr(webhook.ssl, "create_default_context", lambda: ours)
    target.send({"n": 1})
    other = Webhook(f"https://chat.example.net:{taker.server_port}/x", ("chat.example.net",), lambda *_: ["127.0.0.1"])
    monkeypatch.setattr(webhook, "_is_public", lambda _: True)
    with pytest.raises(DeliveryError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
        other.send({})  # a certificate of another name
    assert [body for _, _, body in taker.taken] == [{"n": 1}]


def test_a_server_that_drips_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the whole does not."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.4)
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def drip() -> None:
        peer, _ = listener.accept()
        with peer:
            while not is_over.wait(0.02):
                try:
                    peer.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(DeliveryError, match="no answer within") as caught:
            hook(listener.getsockname()[1]).send({})
        assert not caught.value.is_final
    finally:
        is_over.set()
        thread.join()
        listener.close()


def test_a_name_without_an_address_is_tried_again() -> None:
    with pytest.raises(DeliveryError) as caught:
        addresses_of("nothing.invalid", 443)
    assert not caught.value.is_final
