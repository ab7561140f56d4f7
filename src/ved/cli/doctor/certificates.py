"""The server's keys: dates, names, who may read them."""

import datetime as dt
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.config.settings import ServerSettings

AUTHORITY: Final = "link-authority.pem"
SERVER: Final = "link-server.pem"
SOON: Final = dt.timedelta(days=180)
_ENROL: Final = "put it back from a backup; else delete it, restart, and enrol every car again"
_RENEW: Final = "restart the server: ingest renews its certificate at the start"


def certificates(settings: ServerSettings) -> list[Finding]:
    """The authority that cars pin, the link's certificate below it, and the files' modes."""
    folder = settings.data / "keys"
    if not (folder / AUTHORITY).is_file():
        return [warning("certificates", f"{folder}: none yet", "'ved serve' makes them at its first start")]
    now = dt.datetime.now(dt.UTC)
    try:
        authority = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
    except (OSError, ValueError) as error:
        return [problem("certificates", f"{folder / AUTHORITY}: cannot be read ({error})", _ENROL)]
    findings = [_date("authority", authority, now, _ENROL)]
    try:
        leaf = x509.load_pem_x509_certificate((folder / SERVER).read_bytes())
        leaf.verify_directly_issued_by(authority)
    except (OSError, ValueError, TypeError, InvalidSignature) as error:
        findings.append(problem("certificate", f"{folder / SERVER}: not the authority's ({error})", _RENEW))
    else:
        findings += [_date("certificate", leaf, now, _RENEW), _names(leaf, settings)]
    return [*findings, _modes(folder)]


def _date(check: str, certificate: x509.Certificate, now: dt.datetime, advice: str) -> Finding:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return problem(check, f"valid from {begin:%Y-%m-%d} on only, so this clock is wrong", "set the clock")
    if now > end:
        return problem(check, f"expired on {end:%Y-%m-%d}: cars refuse this server", advice)
    if end - now < SOON:
        return warning(check, f"expires on {end:%Y-%m-%d}", advice)
    return ok(check, f"valid until {end:%Y-%m-%d}")


def _names(leaf: x509.Certificate, settings: ServerSettings) -> Finding:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return problem("names", "the certificate names nobody", _RENEW)
    names = {str(one.value) for one in found}
    missing = [name for name in settings.link_names if name not in names]
    if missing:
        return problem("names", f"the certificate does not carry {', '.join(missing)}", _RENEW)
    if not settings.link_names:
        shown = ", ".join(sorted(names))
        return warning("names", f"cars can dial {shown} only", "set link_names to the name or address that cars dial")
    return ok("names", f"cars can dial {', '.join(sorted(names))}")


def _modes(folder: Path) -> Finding:
    if os.name != "posix":
        return ok("keys", f"{folder}: modes are not looked at on this system")
    open_ones = [file.name for file in sorted(folder.iterdir()) if file.is_file() and file.stat().st_mode & 0o077]
    if open_ones:
        return problem("keys", f"others can read {', '.join(open_ones)}", f"chmod 600 {folder}/*")
    return ok("keys", f"{folder}: readable by their owner alone")
