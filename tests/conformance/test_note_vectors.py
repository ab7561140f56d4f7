"""The golden notes of docs/spec/records.md: bytes that every implementation must read and write the same."""

import importlib.util
import json
from pathlib import Path

import pytest

from ved.codec.records import decode_record, encode_record

_spec = importlib.util.spec_from_file_location("note_vectors", Path(__file__).parent / "note_vectors.py")
assert _spec is not None
assert _spec.loader is not None
vectors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(vectors)

ENTRIES = json.loads(vectors.FILE.read_text())
WRITTEN_THE_SAME = [
    entry for entry in ENTRIES if entry["name"] != "description"
]  # zstd's frame varies with its version


def test_file_has_every_case():
    assert [entry["name"] for entry in ENTRIES] == list(vectors.cases())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_bytes_are_read_as_the_file_says(entry):
    note = decode_record(bytes.fromhex(entry["bytes"]))
    assert note == vectors.cases()[entry["name"]]
    assert vectors.to_json(note) == entry["note"]


@pytest.mark.parametrize("entry", WRITTEN_THE_SAME, ids=lambda entry: entry["name"])
def test_note_is_written_as_the_file_says(entry):
    assert encode_record(vectors.cases()[entry["name"]]).hex() == entry["bytes"]
