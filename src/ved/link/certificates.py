"""The server's own certificate authority and its certificate, made on the first start."""

import datetime as dt
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ved.errors import StorageError, UserError
from ved.link.files import create_private, write_private

CA_YEARS: Final = 40
LEAF_YEARS: Final = 10
RENEW_YEARS: Final = 2
ALWAYS_NAMED: Final = ("localhost", "127.0.0.1", "::1")

_YEAR: Final = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ServerCertificates:
    """Where the server's certificate and key lie (one file), and the authority that cars pin."""

    ca_pem: str
    ca_der: bytes
    server_path: Path


@dataclass(frozen=True, slots=True)
class _Pair:
    """A certificate and its key: always written and read as one file, so that they never disagree."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def to_pem(self) -> bytes:
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.certificate.public_bytes(serialization.Encoding.PEM)

    @staticmethod
    def from_pem(data: bytes) -> "_Pair":
        """ValueError when the two are not there or do not belong together."""
        key = serialization.load_pem_private_key(data, password=None)
        certificate = x509.load_pem_x509_certificate(data)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("key and certificate do not belong together")
        return _Pair(certificate, key)


def ensure_server_certificates(folder: Path, names: Sequence[str]) -> ServerCertificates:
    """Make the authority and the certificate where they are missing; renew the certificate when `names` or time ask.

    The authority is made once and never replaced: every car pins it. Several processes may call this at once. Names
    are host names and IP addresses; this machine's name and the loopback ones are always among them. Raises
    StorageError when the folder cannot be written, UserError for a wrong name or a damaged authority.
    """
    server_path = folder / "link-server.pem"
    wanted = _subject_names(names)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _ensure_authority(folder / "link-authority.pem")
        if not _is_good(server_path, authority, wanted):
            write_private(server_path, _make_leaf(authority, wanted).to_pem())
    except OSError as error:
        raise StorageError(f"certificates in {folder}: {error.strerror or error}") from error
    certificate = authority.certificate
    ca_pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return ServerCertificates(ca_pem, certificate.public_bytes(serialization.Encoding.DER), server_path)


def _ensure_authority(path: Path) -> _Pair:
    if not path.exists():
        create_private(path, _make_authority().to_pem())  # whoever is first wins; all read what is there then
    try:
        return _Pair.from_pem(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{path}: the authority of the link is damaged ({error}); put the file back from a copy, "
            "or remove it and enrol every car again"
        ) from error


def _make_authority() -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "VED telemetry link authority")])
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + CA_YEARS * _YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _subject_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """All names without repetition, in order, as the certificate spells them."""
    out: list[x509.GeneralName] = []
    for name in dict.fromkeys((*names, socket.gethostname(), *ALWAYS_NAMED)):
        if not name:
            continue
        try:
            out.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                out.append(x509.DNSName(name.encode("idna").decode()))
            except UnicodeError as error:
                raise UserError(f"{name!r} is neither a host name nor an IP address; correct it in names") from error
    return out


def _is_good(path: Path, authority: _Pair, wanted: list[x509.GeneralName]) -> bool:
    """True when the certificate is the authority's, names all and lasts long enough."""
    try:
        certificate = _Pair.from_pem(path.read_bytes()).certificate
        certificate.verify_directly_issued_by(authority.certificate)
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return False
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return set(wanted) <= set(named) and left > RENEW_YEARS * _YEAR


def _make_leaf(authority: _Pair, names: list[x509.GeneralName]) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    end = min(dt.datetime.now(dt.UTC) + LEAF_YEARS * _YEAR, issuer.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "VED telemetry link")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # As old as the authority: a car whose clock stands at any time since its enrolment accepts a renewed one.
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(certificate, key)
