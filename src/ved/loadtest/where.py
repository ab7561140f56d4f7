"""Whether an address is this machine: a load test of somebody else's server is an attack."""

import ipaddress
import socket
from urllib.parse import urlsplit

import psutil

from ved.errors import UserError


def own_addresses() -> set[str]:
    """The addresses of this machine's interfaces."""
    return {
        one.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family in (socket.AF_INET, socket.AF_INET6)
    }


def check_is_here(url: str) -> None:
    """UserError when any address that `url`'s host stands for is not this machine's."""
    host = urlsplit(url).hostname
    if not host:
        raise UserError(f"{url!r} names no host; write it like wss://127.0.0.1:8790 or http://127.0.0.1:8000")
    try:
        found = {str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        raise UserError(f"{host}: this name does not resolve; give the address of the server") from None
    own = own_addresses()
    foreign = sorted(one for one in found if one not in own and not ipaddress.ip_address(one).is_loopback)
    if foreign:
        raise UserError(
            f"{host} ({', '.join(foreign)}) is not this machine, and a load test may bring a server down; "
            "if it is yours and nobody needs it now, add --i-own-this-server"
        )
