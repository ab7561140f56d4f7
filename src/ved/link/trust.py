"""TLS settings of both ends: TLS 1.3, the club's own authority alone, names checked always."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ved.errors import UserError

X509_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: Python's ssl module passes it on but does not name it."""


def client_context(ca_pem: str, now_utc_s: float) -> ssl.SSLContext:
    """Trust nothing but the authority `ca_pem`; UserError when that is no certificate.

    A clock that stands before the authority was made is wrong for certain (a board without a battery says 1970):
    then dates are not checked, chain and names still are.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=ca_pem)
        made_utc_s = min(ssl.cert_time_to_seconds(str(found["notBefore"])) for found in context.get_ca_certs())
    except (ssl.SSLError, ValueError) as error:
        raise UserError("the stored certificate of the server's authority is damaged; enrol this car again") from error
    if now_utc_s < made_utc_s:
        context.verify_flags |= ssl.VerifyFlags(X509_NO_CHECK_TIME)
    return context


def unverified_context() -> ssl.SSLContext:
    """Trust anybody: only to fetch the authority, which is then compared with the enrolment code's fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def server_context(server_path: Path, on_failure: Callable[[str], None]) -> ssl.SSLContext:
    """The server's end. `on_failure` hears of each handshake that fails (garbage on the port, an unknown authority)."""

    class CountedObject(ssl.SSLObject):
        """asyncio tells nobody of a failed handshake, so it is noticed here."""

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                on_failure(error.reason or "TLS error")
                raise

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.sslobject_class = CountedObject
    context.load_cert_chain(server_path)
    return context
