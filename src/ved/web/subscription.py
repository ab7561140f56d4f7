"""One viewer's wish: channels of a vehicle, a rate and a window."""

import asyncio
from dataclasses import dataclass, field

from ved.model.channel import Channel
from ved.web.limits import bucket_for
from ved.web.messages import Watch
from ved.web.outbox import Outbox


@dataclass(slots=True, eq=False)
class Subscription:
    """What one `watch` asked for, and the bucket width that it got.

    `history` is the task that brings the window; `told` are the channels as `watching` described them (None for
    an unknown one), and empty until then.
    """

    watch: Watch
    outbox: Outbox
    bucket_us: int = field(init=False)
    channels: tuple[str, ...] = field(init=False)
    window_us: int = field(init=False)
    allowed: tuple[int, int | None] = (0, None)
    """Nothing before the first of these times is sent and nothing after the second: a guest's run."""
    history: asyncio.Task[None] | None = None
    told: dict[str, Channel | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channels = tuple(self.watch.channels)
        self.window_us = round(self.watch.window_s * 1e6)
        self.bucket_us = bucket_for(self.watch.rate_hz, self.watch.window_s, len(self.channels))

    @property
    def until_utc_us(self) -> int | None:
        """The window ends here and nothing follows. None: at the live edge."""
        return min((one for one in (self.watch.until_utc_us, self.allowed[1]) if one is not None), default=None)
