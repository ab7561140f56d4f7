"""A subscription to an MQTT broker in a thread of its own: what it brings waits in a bounded queue.

Nothing here publishes. A connection that failed is not used again: its owner makes another one.
"""

import asyncio
import os
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ved.canbus.network.address import Address, read_secret
from ved.canbus.reader import BusDownError
from ved.canbus.source import SourceLoss
from ved.errors import UserError

if TYPE_CHECKING:
    import aiomqtt
    from paho.mqtt.properties import Properties

MAX_QUEUE_BYTES: Final = 16 << 20
MAX_PACKET: Final = (1 << 20) + 1024
"""The broker is told not to send anything larger (MQTT 5)."""

SESSION_S: Final = 3600
CONNECT_S: Final = 5.0
KEEPALIVE_S: Final = 5
_JOIN_S: Final = 2.0
_MESSAGE_BYTES: Final = 200
"""What a message weighs in the queue beside its payload."""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where to connect, as whom, and to what to subscribe. With a `client_id` the broker keeps messages of QoS 1 for
    an hour while we are away; without one it forgets us.
    """

    host: str
    port: int
    topic: str
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None
    client_id: str = ""

    @staticmethod
    def of(address: Address, topic: str) -> "MqttSettings":
        """From a source's address. UserError when a file that it names cannot be read."""
        try:
            import aiomqtt  # noqa: F401  (told here, and not by a thread)
        except ModuleNotFoundError:
            raise UserError(f"source {address.shown}: needs the package aiomqtt; install ved[mqtt]") from None
        password = read_secret(address, "password_file")
        if bool(password) != bool(address.user):
            raise UserError(f"source {address.shown}: a user and password_file= go together")
        client_id = address.options.get("client_id", "")
        return MqttSettings(address.host, address.port, topic, address.user, password, _tls(address), client_id)


def _tls(address: Address) -> ssl.SSLContext | None:
    file = address.options.get("ca")
    if address.kind != "mqtts":
        if file is not None:
            raise UserError(f"source {address.shown}: ca= is for mqtts://")
        return None
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        why = "it is no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise UserError(f"source {address.shown}: ca {file} cannot be read: {why}") from None


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """One message. `is_old`: the broker kept it from before we subscribed (retained)."""

    topic: str
    payload: bytes
    mono_ns: int
    is_old: bool


class MqttInbox:
    """Begins to connect when it is made. `fd` becomes readable when there is something to take."""

    def __init__(self, settings: MqttSettings, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._messages: list[MqttMessage] = []
        self._bytes = 0
        self._dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.failure: str | None = None
        self.opened_ns = 0
        self.heard_ns = time.monotonic_ns()
        """When the broker was last heard of for certain."""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def take(self) -> tuple[list[MqttMessage], int]:
        """What came, and how many messages found the queue full."""
        with self._lock:
            messages, self._messages, self._bytes = self._messages, [], 0
            dropped, self._dropped = self._dropped, 0
            if messages:
                os.eventfd_read(self.fd)
        return messages, dropped

    def close(self) -> None:
        """Disconnect and end the thread."""
        with self._lock:
            self._is_stopping = True
            if self._loop is not None and self._task is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            os.close(self.fd)

    def _run(self) -> None:
        import aiomqtt

        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            self.failure = "closed"
        except (aiomqtt.MqttError, OSError, ssl.SSLError, ValueError) as error:
            self.failure = str(error) or type(error).__name__

    async def _main(self) -> None:
        with self._lock:
            if self._is_stopping:
                return
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        client = _client(self._settings)
        try:
            async with client:
                granted = await client.subscribe(self._settings.topic, qos=1)
                if any((one if isinstance(one, int) else one.value) >= 0x80 for one in granted):
                    raise ValueError(f"the broker does not let us read {self._settings.topic}")
                self.opened_ns = self.heard_ns = time.monotonic_ns()
                async for message in client.messages:
                    self._put(message)
        finally:
            with self._lock:
                self._task = None

    def _put(self, message: "aiomqtt.Message") -> None:
        payload = message.payload
        size = len(payload) + _MESSAGE_BYTES
        now_ns = time.monotonic_ns()
        with self._lock:
            if not self._messages:
                os.eventfd_write(self.fd, 1)
            if self._bytes + size > self._max_bytes:
                self._dropped += 1
            else:
                self._bytes += size
                self._messages.append(MqttMessage(str(message.topic), payload, now_ns, bool(message.retain)))
        self.heard_ns = now_ns


class MqttSubscriber:
    """What a bus and a sensor behind a broker share: all of a reader but `bus` and `read`."""

    trouble: Final = None

    def __init__(self, interface: str, settings: MqttSettings) -> None:
        self.interface = interface
        self.alive_us = 0
        self._settings = settings
        self._inbox: MqttInbox | None = None
        self._origin_ns = 0

    @property
    def is_open(self) -> bool:
        """True once the broker has granted the subscription."""
        return self._inbox is not None and self._inbox.opened_ns > 0

    @property
    def opened_us(self) -> int:
        """When it did."""
        return (self._inbox.opened_ns - self._origin_ns) // 1000 if self._inbox is not None else 0

    def open(self, origin_mono_ns: int) -> None:
        """Let a thread connect."""
        self._origin_ns = origin_mono_ns
        self._inbox = MqttInbox(self._settings)
        self.alive_us = self._heard_us()

    def fileno(self) -> int:
        """An eventfd that the thread sets."""
        return self._inbox.fd if self._inbox is not None else -1

    def close(self) -> tuple[SourceLoss, ...]:
        """Disconnect."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
        return ()

    def _messages(self) -> tuple[list[MqttMessage], int]:
        """What the thread has received, and how many messages found its queue full."""
        if self._inbox is None:
            raise BusDownError(f"{self.interface}: is not open")
        failure = self._inbox.failure  # before the rest is taken: nothing comes after it
        messages, dropped = self._inbox.take()
        if failure is not None and not messages:
            raise BusDownError(f"{self.interface}: {failure}")
        return messages, dropped

    def _heard_us(self) -> int:
        """When the broker was last heard of; never before `alive_us`."""
        heard_ns = self._inbox.heard_ns if self._inbox is not None else 0
        return max(self.alive_us, (heard_ns - self._origin_ns) // 1000)


def _client(settings: MqttSettings) -> "aiomqtt.Client":
    import aiomqtt

    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.user or None,
        password=settings.password or None,
        identifier=settings.client_id or None,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=not settings.client_id,
        properties=_properties(is_kept=bool(settings.client_id)),
        tls_context=settings.tls,
        timeout=CONNECT_S,
        keepalive=KEEPALIVE_S,
    )


def _properties(*, is_kept: bool) -> "Properties":
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_PACKET
    if is_kept:
        properties.SessionExpiryInterval = SESSION_S
    return properties
