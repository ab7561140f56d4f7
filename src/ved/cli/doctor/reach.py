"""From the car to its server, step by step, so that the first step that fails is named."""

import asyncio
import email.utils
import socket
import ssl
import time
from typing import Final

from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.errors import LinkLostError, LinkRefusedError
from ved.link.connection import dial
from ved.link.credentials import Credentials, ServerAddress, parse_server_url
from ved.link.dial import Dialer
from ved.link.trust import client_context

ANSWER_S: Final = 5.0
FAR_OFF_S: Final = 5.0


def reach(known: Credentials, url: str) -> list[Finding]:
    """Name, TCP, TLS with the pinned authority, key: up to the first that fails."""
    address = parse_server_url(url)
    try:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        advice = "no internet here (SIM, antenna, APN)? or a misspelt name; an address instead of a name needs no DNS"
        return [problem("name", f"{address.host} does not resolve ({error})", advice)]
    ips = list(dict.fromkeys(str(one[4][0]) for one in answers))
    findings = [ok("name", f"{address.host} is {', '.join(ips)}")]
    taken = [_connect(ip, address) for ip in ips]
    findings += taken
    if all(one.state == "problem" for one in taken):
        return findings
    tls = _tls(known, address, ips)
    findings.append(tls)
    return findings if tls.state == "problem" else [*findings, *asyncio.run(_key(known, address))]


def _connect(ip: str, address: ServerAddress) -> Finding:
    began_s = time.monotonic()
    try:
        socket.create_connection((ip, address.port), ANSWER_S).close()
    except OSError as error:
        advice = f"does the server run, and do its firewall and router let TCP {address.port} in?"
        return problem("TCP", f"{ip} port {address.port}: {error.strerror or error}", advice)
    return ok("TCP", f"{ip} port {address.port} answers in {(time.monotonic() - began_s) * 1000:.0f} ms")


def _tls(known: Credentials, address: ServerAddress, ips: list[str]) -> Finding:
    context = client_context(known.ca_pem, time.time())
    why = ""
    for ip in ips:
        try:
            with (
                socket.create_connection((ip, address.port), ANSWER_S) as plain,
                context.wrap_socket(plain, server_hostname=address.host),
            ):
                return ok("TLS", f"{address.host} is the server of this car's enrolment")
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message or error.reason or "certificate refused"
            if "mismatch" in why or "not valid for" in why:
                advice = f"add {address.host} to link_names on the server and restart it"
            elif "expired" in why:
                advice = "restart the server, which renews its certificate; and look at both clocks"
            else:
                advice = "another server, or a new authority: enrol this car again ('ved agent enrol')"
            return problem("TLS", f"{address.host}: {why}", advice)
        except OSError as error:
            why = str(error)
    return problem("TLS", f"{address.host}: {why}", "is that port the link's (8790), and not the page's?")


async def _key(known: Credentials, address: ServerAddress) -> list[Finding]:
    """Whether the key counts, and what the server's clock says. No frame is sent."""
    try:
        connection = await dial(Dialer((address,)), client_context(known.ca_pem, time.time()), known.key)
    except LinkRefusedError as error:
        return [problem("key", str(error), "enrol this car again: 'ved keys code' there, 'ved agent enrol' here")]
    except LinkLostError as error:
        return [problem("key", str(error), "see the server's log")]
    now_s = time.time()
    said = connection.response.headers.get("Date") if connection.response else None
    await connection.close()
    findings = [ok("key", f"accepted as {known.vehicle}")]
    if said:
        off_s = now_s - email.utils.parsedate_to_datetime(said).timestamp()
        text = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the server's clock"
        advice = "harmless for order and spacing; UTC comes from the server or GPS. Set the clock all the same"
        findings.append(ok("offset", text) if abs(off_s) < FAR_OFF_S else warning("offset", text, advice))
    return findings
