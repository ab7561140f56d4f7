"""The golden notes of docs/spec/records.md: bytes that every implementation must read and write the same."""

import json

import pytest
from tests.conformance import note_vectors as vectors
from tests.conformance.link_vectors import to_json

from ved.codec.records import decode_record, encode_record

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
    assert to_json(note) == entry["note"]


@pytest.mark.parametrize("entry", WRITTEN_THE_SAME, ids=lambda entry: entry["name"])
def test_note_is_written_as_the_file_says(entry):
    assert encode_record(vectors.cases()[entry["name"]]).hex() == entry["bytes"]
