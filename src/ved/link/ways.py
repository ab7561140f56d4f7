"""Hears of new addresses and routes of this machine, and asks by which one a host would be reached now."""

import asyncio
import contextlib
import errno
import socket
from typing import Final

_ADDRESSES_AND_ROUTES: Final = 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE of linux/rtnetlink.h."""

_READ_BYTES: Final = 1 << 16


class WayWatch:
    """Linux's netlink; elsewhere, and where that is forbidden, nothing is ever heard."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        if not hasattr(socket, "AF_NETLINK"):
            return
        heard = None
        try:
            heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
            heard.bind((0, _ADDRESSES_AND_ROUTES))
        except OSError:
            if heard is not None:
                heard.close()
        else:
            self._socket = heard

    async def changed(self) -> None:
        """Return at the next change; which one it was is not looked at."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            await loop.create_future()
        assert self._socket is not None
        try:
            await loop.sock_recv(self._socket, _READ_BYTES)
            while True:
                self._socket.recv(_READ_BYTES)  # what came with it
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more changes than fit: some were not heard one by one
                raise

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()


def local_address(remote: tuple[str, int]) -> str | None:
    """The own address from which packets to `remote` (IP address, port) would leave now; None: there is no way."""
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as asking:
        try:
            asking.connect(remote)  # of a datagram socket: nothing is sent
        except OSError:
            return None
        return str(asking.getsockname()[0])
