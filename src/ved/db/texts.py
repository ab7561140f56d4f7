"""What people read in place of channel names and units: seeded from the vehicle's folder."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import insert, select

from ved.db.database import Database
from ved.db.tables import channel_texts
from ved.model.vehicle import ChannelTexts


def seed_texts(db: Database, vehicle: str, texts: Sequence[ChannelTexts]) -> None:
    """Give a vehicle the texts of its folder, unless it has any."""
    if not texts:
        return
    with db.engine.begin() as connection:
        has_some = connection.execute(
            select(channel_texts.c.channel).where(channel_texts.c.vehicle == vehicle).limit(1)
        ).first()
        if has_some is None:
            rows = {one.channel: {"vehicle": vehicle, **asdict(one)} for one in texts}
            connection.execute(insert(channel_texts), list(rows.values()))


def list_texts(db: Database, vehicle: str) -> dict[str, ChannelTexts]:
    """Channel name -> its texts."""
    with db.engine.connect() as connection:
        rows = connection.execute(select(channel_texts).where(channel_texts.c.vehicle == vehicle)).all()
    return {
        row.channel: ChannelTexts(row.channel, row.title_en, row.title_fr, row.unit_en, row.unit_fr) for row in rows
    }
