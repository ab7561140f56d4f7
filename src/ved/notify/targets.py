"""Where notifications go: the webhook, and the services of apprise (Discord, Telegram, e-mail and a hundred more)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from ved.notify.message import Message
from ved.notify.webhook import DeliveryError, Webhook


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Off by default. `severity` is the least that is told (1 info, 2 warning, 3 critical); `every_s` the least time
    between two messages. The URLs are secrets.
    """

    webhook: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    apprise: tuple[str, ...] = field(default=(), repr=False)
    severity: int = 2
    every_s: float = 30.0


class Target(Protocol):
    """One place to send to."""

    @property
    def name(self) -> str:
        """What people call it; holds no secret."""
        ...

    def send(self, message: Message) -> None:
        """Deliver, or raise DeliveryError. Blocking."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """The webhook."""

    webhook: Webhook

    @property
    def name(self) -> str:
        """The host."""
        return f"webhook {self.webhook.host}"

    def send(self, message: Message) -> None:
        """See Target."""
        self.webhook.send(message.payload())


@dataclass(frozen=True, slots=True)
class AppriseTarget:
    """A service of apprise, by its URL; `number` tells several of one kind apart."""

    url: str = field(repr=False)
    number: int

    @property
    def name(self) -> str:
        """The kind of service."""
        return f"{urlsplit(self.url).scheme or 'apprise'} {self.number}"

    def send(self, message: Message) -> None:
        """See Target. The program waits at most some seconds for the service (apprise's own limits)."""
        try:
            import apprise  # an extra, and slow to load
        except ImportError as error:
            raise DeliveryError("apprise is not installed: pip install 'ved[notify]'", is_final=True) from error
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it writes URLs into the log
        service = apprise.Apprise()
        if not service.add(self.url):
            raise DeliveryError(f"{self.name}: apprise does not know this kind of address", is_final=True)
        if not service.notify(title=message.title, body=message.text or message.title):
            raise DeliveryError(f"{self.name}: was not taken")


def targets_of(settings: NotifySettings) -> Sequence[Target]:
    """All targets that are set; none by default."""
    hooks = [WebhookTarget(Webhook(settings.webhook, settings.hosts))] if settings.webhook else []
    services = [AppriseTarget(url, number) for number, url in enumerate(settings.apprise, 1)]
    return [*hooks, *services]


SEVERITY_NUMBERS: Final = {"info": 1, "warning": 2, "critical": 3}
