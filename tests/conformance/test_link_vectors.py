"""The golden messages of docs/spec/link.md: bytes that every implementation must read and write the same."""

import json

import pytest
from tests.conformance import link_vectors as vectors

from ved.codec.link import MessageType, decode_message, encode_message

ENTRIES = json.loads(vectors.FILE.read_text())


def test_file_has_every_case_and_every_type():
    assert [entry["name"] for entry in ENTRIES] == list(vectors.cases())
    assert {bytes.fromhex(entry["bytes"])[0] for entry in ENTRIES} == set(MessageType)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_bytes_are_read_as_the_file_says(entry):
    message = decode_message(bytes.fromhex(entry["bytes"]))
    assert message == vectors.cases()[entry["name"]]
    assert vectors.to_json(message) == entry["message"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_message_is_written_as_the_file_says(entry):
    assert encode_message(vectors.cases()[entry["name"]]).hex() == entry["bytes"]
