"""An incident is told at once, and again only after a while; what the disk refused is told later."""

import pytest

from ved.codec.records import decode_record
from ved.ingest import incidents
from ved.ingest.incidents import MAX_KNOWN, REPEAT_S, Incidents
from ved.model.records import Incident, IncidentKind, Lane

EPOCH = bytes(16)


class Told:
    """A stream that may refuse, and a clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[Incident] = []
        self.is_storing = True
        self.now_s = 1000.0
        monkeypatch.setattr(incidents.time, "monotonic", lambda: self.now_s)
        self.incidents = Incidents(self._put)

    def _put(self, record: bytes, lane: Lane) -> bool:
        if self.is_storing:
            found = decode_record(record)
            assert isinstance(found, Incident)
            self.records.append(found)
        return self.is_storing

    def tell(self, vehicle: str = "fs", kind: IncidentKind = IncidentKind.KEY_SHARED) -> int:
        """How many were written in all."""
        self.incidents.tell(vehicle, EPOCH, kind, "text")
        return len(self.records)


def test_once_a_minute_for_each_vehicle_and_kind(monkeypatch):
    told = Told(monkeypatch)
    assert [told.tell(), told.tell(), told.tell("pe"), told.tell(kind=IncidentKind.BYTES_DIFFER)] == [1, 1, 2, 3]
    told.now_s += REPEAT_S - 1
    assert told.tell() == 3
    told.now_s += 1
    assert told.tell() == 4


def test_a_full_disk_delays_it(monkeypatch):
    told = Told(monkeypatch)
    told.is_storing = False
    assert told.tell() == 0
    told.is_storing = True
    assert told.tell() == 1


def test_memory_is_bounded(monkeypatch):
    told = Told(monkeypatch)
    for number in range(MAX_KNOWN + 10):
        told.tell(f"v{number}")
    assert len(told.incidents._told_s) == MAX_KNOWN
