"""Looking up a host's name in a thread: a name server that does not answer must hold up no other bus."""

import socket
import threading

Place = tuple[socket.AddressFamily, tuple[str, int]]


class Lookup:
    """The address of one host and port. One lookup at a time, however often it is asked for."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._thread: threading.Thread | None = None
        self._found: Place | OSError | None = None

    def begin(self) -> None:
        """Look up anew; an address needs no name server and is known at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._found = None
        try:
            self._found = self._ask(socket.AI_NUMERICHOST)
        except OSError:
            self._thread = threading.Thread(target=self._run, name="lookup", daemon=True)
            self._thread.start()

    def take(self) -> Place | None:
        """The address; None while it is not known. OSError when there is none."""
        if isinstance(self._found, OSError):
            raise self._found
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._ask(0)
        except OSError as error:
            self._found = error

    def _ask(self, flags: int) -> Place:
        family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)[0]
        return family, (str(address[0]), self._port)
