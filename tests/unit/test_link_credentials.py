"""Enrolment codes, link addresses, and what a car keeps of its enrolment."""

from pathlib import Path

import pytest

from ved.errors import StorageError, UserError
from ved.link.credentials import (
    Credentials,
    ServerAddress,
    fingerprint,
    load_credentials,
    make_code,
    parse_code,
    parse_server_url,
    save_credentials,
)

SECRET = bytes(range(16))
CA = b"a certificate"
CODE = make_code(SECRET, CA)


def test_code_of_the_spec() -> None:
    assert CODE == "VED1-AAAQEA-YEAUDA-OCAJBI-FQYDIO-B6A2ZV-3CCQH2-NEVBIK-BC2L56-JXDJSJ-I"
    assert parse_code(CODE).secret == SECRET
    assert parse_code(CODE).fingerprint == fingerprint(CA)


@pytest.mark.parametrize(
    "text",
    [
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        f"  {CODE}\n",
        CODE[:5] + CODE[5:].replace("O", "0").replace("I", "1").replace("B", "8"),
    ],
)
def test_a_code_is_read_however_it_is_typed(text: str) -> None:
    assert parse_code(text) == parse_code(CODE)


@pytest.mark.parametrize("at", range(5, len(CODE) - 1))
def test_any_wrong_character_is_noticed(at: int) -> None:
    if CODE[at] != "-":
        wrong = "A" if CODE[at] != "A" else "C"
        with pytest.raises(UserError, match="enrolment code"):
            parse_code(CODE[:at] + wrong + CODE[at + 1 :])


@pytest.mark.parametrize(
    "text", ["", "VED1-", "VED1", CODE[:20], CODE + "AAAAAAAA", "XYZ1" + CODE[4:], "VED1-????", CODE[:-1] + "É"]
)
def test_what_is_no_code_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^the enrolment code .*copy the whole line"):
        parse_code(text)


def test_server_urls() -> None:
    assert parse_server_url("wss://telemetry.example:9000") == ServerAddress("telemetry.example", 9000)
    assert parse_server_url("wss://telemetry.example") == ServerAddress("telemetry.example", 8790)
    assert parse_server_url("wss://[2001:db8::1]:1/") == ServerAddress("2001:db8::1", 1)


@pytest.mark.parametrize(
    "url",
    ["", "telemetry.example", "ws://host:1", "https://host", "wss://", "wss://host:x", "wss://host:99999", "wss://h/x"],
)
def test_a_wrong_server_url_is_named(url: str) -> None:
    with pytest.raises(UserError, match="is not a link address"):
        parse_server_url(url)


def test_credentials_come_back_and_are_private(tmp_path: Path) -> None:
    credentials = Credentials(("wss://a:1", "wss://b:2"), "fs", bytes(range(32)), "PEM")
    save_credentials(tmp_path / "new", credentials)
    assert load_credentials(tmp_path / "new") == credentials
    assert (tmp_path / "new" / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert credentials.key.hex() not in repr(credentials)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["credentials.json"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"server_urls":[],"vehicle":"fs","key":"00","ca_pem":""}', '{"server_urls":"wss://a"}']
)
def test_damaged_credentials_ask_for_enrolment(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(UserError, match=r"damaged.*enrol"):
        load_credentials(tmp_path)


def test_no_credentials_ask_for_enrolment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not enrolled; run: ved agent enrol"):
        load_credentials(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save_credentials(tmp_path / "file" / "car", Credentials(("wss://a:1",), "fs", bytes(32), ""))
