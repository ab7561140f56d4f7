"""What the role web is told: where to read, and where to listen."""

from dataclasses import dataclass, field
from pathlib import Path

from ved.broker.cluster import KafkaReach


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Data folder, database and lake of the deployment; where to listen (port 0: any free one); the page's folder.

    `proxies` are the addresses and networks whose X-Forwarded headers are believed.
    """

    data: Path
    db_url: str
    lake_url: str
    host: str
    port: int
    secret_path: Path
    page_dir: Path
    metrics_token: str = field(default="", repr=False)
    proxies: tuple[str, ...] = ()
    kafka: KafkaReach | None = None
