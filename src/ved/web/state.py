"""What the routes share."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from ved.db.database import Database
from ved.lake.lake import Lake
from ved.web.auth import Auth
from ved.web.hub import Hub


@dataclass(slots=True)
class WebState:
    """What the routes share. `closing` ends the viewers; `viewers` are the tasks that serve one each."""

    db: Database
    auth: Auth
    hub: Hub
    lake: Lake
    page_dir: Path
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    viewers: set[asyncio.Task[None]] = field(default_factory=set)
