"""Decoders are made once for each car, also when many drive at a time."""

import pytest

from ved.api import decoding
from ved.dbc.load import DbcSource

DBC = 'BO_ 256 Motor: 8 X\n SG_ speed : 0|16@1- (1,0) [0|0] "rpm" X\n'


def test_a_fleet_that_takes_turns_parses_each_dbc_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Counted:
        def __init__(self, dbc_set) -> None:
            made.append(dbc_set.messages[0].file)

    monkeypatch.setattr(decoding, "Decoder", Counted)
    fleet = [(DbcSource(0, "main", f"turns-{number}.dbc", DBC),) for number in range(256)]
    for _ in range(3):
        for sources in fleet:
            decoding.decoder_of_sources(sources)
    assert len(made) == len(set(made)) == len(fleet)
    for sources in fleet:
        decoding._decoders.pop(sources)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_DECODERS", 3)
    kept = decoding._decoders.copy()
    try:
        for number in range(6):
            decoding.decoder_of_sources((DbcSource(0, "main", f"bounded-{number}.dbc", DBC),))
        assert len(decoding._decoders) == 3
    finally:
        decoding._decoders.clear()
        decoding._decoders.update(kept)
