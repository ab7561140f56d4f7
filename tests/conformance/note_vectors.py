"""The golden notes, and `python -m tests.conformance.note_vectors`, which writes them anew.

Written anew only when docs/spec/records.md changed first: the file is the contract, not this program.
"""

import json
from pathlib import Path

from tests.conformance.link_vectors import to_json

from ved.codec.records import encode_record
from ved.model.alarm import Alarm
from ved.model.records import (
    BusDescription,
    Clock,
    ClockSource,
    Description,
    Incident,
    IncidentKind,
    Lane,
    LapEvent,
    LinkState,
    Loss,
    LossPlace,
    SessionEvent,
)

FILE = Path(__file__).parent / "records" / "notes.json"
EPOCH = bytes(range(16))

Note = Loss | Clock | Description | LinkState | Incident | SessionEvent | Alarm | LapEvent


def cases() -> dict[str, Note]:
    """Name -> note."""
    return {
        "loss_counted": Loss("fs", EPOCH, 3, LossPlace.CAR_DISK, 2, 600, 1_000_000, 1_100_000, 601, 1200),
        "loss_unknown": Loss("fs", EPOCH, 2**32 + 601, LossPlace.CAR_CRASH, 255, -1, -5, 2**40),
        "clock": Clock("pe", EPOCH, 1, 1_234_567, 1_790_000_000_000_000, ClockSource.GPS, 50_000),
        "description": Description("fs", EPOCH, 1, "Épreuve", (BusDescription(0, "powertrain", ("BU_:\n",)),)),
        "link": LinkState("fs", EPOCH, True, Lane.BACKFILL, "192.0.2.1:50000", -1),
        "incident_key": Incident("fs", EPOCH, IncidentKind.KEY_SHARED, 1_790_000_000_000_000, "clé n° 4: two agents"),
        "incident_bytes": Incident("pe-2", EPOCH, IncidentKind.BYTES_DIFFER, 0, ""),
        "session": SessionEvent("fs", EPOCH, "20260704-1", 1, 2, False),
        "lap": LapEvent(
            "fs",
            EPOCH,
            "5f0c1d2e",
            "a1",
            2,
            1_790_000_000_000_000,
            1_790_000_053_250_000,
            1020.5,
            True,
            (17_000_000, -1, -1),
        ),
        "lap_begun": LapEvent("pe", EPOCH, "s", "", 1, 5, 0, 0.0, False, ()),
        "alarm_raised": Alarm(
            "5f0c1d2e3a4b5c6d",
            "fs",
            EPOCH,
            "cell-temperature-high",
            3,
            "Cell too hot",
            "Cellule trop chaude",
            "BatteryTemperatures.Maximum",
            "°C",
            False,
            True,
            61_250_000,
            1_790_000_061_250_000,
            60.5,
            61.0,
        ),
        "alarm_over": Alarm(
            "a" * 16,
            "pe",
            EPOCH,
            "silence",
            1,
            "No data",
            "Aucune donnée",
            "",
            "",
            True,
            False,
            -1,
            1_790_000_000_000_000,
            0.25,
            -1e300,
            1_790_000_001_000_000,
            1_790_000_002_000_000,
            "Zoé",
            1_790_003_600_000_000,
            "détail",
        ),
    }


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    entries = [
        {"name": name, "bytes": encode_record(note).hex(), "note": to_json(note)} for name, note in cases().items()
    ]
    FILE.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
