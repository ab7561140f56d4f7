"""The server's authority and certificate, and the TLS settings made of them."""

import datetime as dt
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from ved.errors import StorageError, UserError
from ved.link.certificates import ensure_server_certificates
from ved.link.trust import X509_NO_CHECK_TIME, client_context


def leaf(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "link-server.pem").read_bytes())


def names(folder: Path) -> set[str]:
    found = leaf(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in found}


def test_made_once_private_and_named(tmp_path: Path) -> None:
    made = ensure_server_certificates(tmp_path / "keys", ["telemetry.example", "10.1.2.3", "2001:db8::1"])
    assert {"telemetry.example", "10.1.2.3", "2001:db8::1", "localhost", "127.0.0.1", "::1"} <= names(tmp_path / "keys")
    before = made.server_path.read_bytes()
    assert ensure_server_certificates(tmp_path / "keys", ["telemetry.example"]) == made
    assert made.server_path.read_bytes() == before
    for path in (tmp_path / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_name_renews_the_certificate_and_keeps_the_authority(tmp_path: Path) -> None:
    first = ensure_server_certificates(tmp_path, ["old.example"])
    second = ensure_server_certificates(tmp_path, ["new.example"])
    assert first.ca_der == second.ca_der
    assert "new.example" in names(tmp_path)
    authority = x509.load_der_x509_certificate(second.ca_der)
    leaf(tmp_path).verify_directly_issued_by(authority)
    assert leaf(tmp_path).not_valid_before_utc == authority.not_valid_before_utc


def test_a_damaged_certificate_is_made_again(tmp_path: Path) -> None:
    made = ensure_server_certificates(tmp_path, [])
    made.server_path.write_bytes(b"damaged")
    assert ensure_server_certificates(tmp_path, []).ca_der == made.ca_der
    assert leaf(tmp_path).not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * 5)


def test_a_damaged_authority_is_never_replaced(tmp_path: Path) -> None:
    """Every car pins it: a person must decide."""
    ensure_server_certificates(tmp_path, [])
    path = tmp_path / "link-authority.pem"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"link-authority\.pem: .*damaged"):
        ensure_server_certificates(tmp_path, [])


def test_many_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure_server_certificates(tmp_path, []), range(8)))
    assert len({one.ca_der for one in made}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link-authority.pem", "link-server.pem"]


def test_wrong_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a host name nor an IP address"):
        ensure_server_certificates(tmp_path / "a", ["bad..name"])
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        ensure_server_certificates(tmp_path / "file" / "keys", [])


def test_dates_are_left_unchecked_only_before_the_authority_was_made(tmp_path: Path) -> None:
    made = ensure_server_certificates(tmp_path, [])
    begin_s = x509.load_der_x509_certificate(made.ca_der).not_valid_before_utc.timestamp()
    for now_s, is_unchecked in ((0.0, True), (begin_s - 1, True), (begin_s, False), (4e9, False)):
        context = client_context(made.ca_pem, now_s)
        assert bool(context.verify_flags & X509_NO_CHECK_TIME) == is_unchecked
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    "pem", ["", "not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_pinned_authority_asks_for_enrolment(pem: str) -> None:
    with pytest.raises(UserError, match="enrol this car again"):
        client_context(pem, 0.0)
