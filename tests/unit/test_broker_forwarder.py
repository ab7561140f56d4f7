"""When the forwarder begins anew with another producer: what is on its way then would come twice."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ved.broker.cluster import KafkaCluster
from ved.broker.forwarder import Forwarder
from ved.broker.journal import JournalStream
from ved.errors import StorageError


def forwarder(folder: Path, identity: str | StorageError) -> Forwarder:
    """One whose topic tells this of itself."""

    def tell() -> str:
        if isinstance(identity, StorageError):
            raise identity
        return identity

    made = Forwarder(JournalStream(folder / "frames"), KafkaCluster("127.0.0.1:1"))
    made._kafka = SimpleNamespace(topic=SimpleNamespace(identity=tell))  # type: ignore[assignment]
    return made


def target(first_waiting: int | None) -> Any:
    return SimpleNamespace(identity="one", writer=SimpleNamespace(first_waiting=first_waiting))


def test_while_kafka_is_away_what_is_on_its_way_stays_with_its_producer(tmp_path: Path) -> None:
    made = forwarder(tmp_path, StorageError("no broker answers"))
    assert not made._is_another(target(7))
    assert made.why == "no broker answers"
    with pytest.raises(StorageError, match="no broker answers"):
        made._is_another(target(None))


@pytest.mark.parametrize(("identity", "is_another"), [("one", False), ("two", True), ("", True)])
def test_a_topic_that_was_made_anew_or_is_gone_is_another(tmp_path: Path, identity: str, is_another: bool) -> None:
    made = forwarder(tmp_path, identity)
    made.why = "no broker answers"
    assert made._is_another(target(7)) is is_another
    assert made.why == ""
