"""The golden datagrams of docs/spec/datagram.md: bytes that every implementation must read and write the same."""

import json

import pytest
from tests.conformance import datagram_vectors as vectors

from ved.codec.datagram import decode_datagram, encode_datagram, has_right_mac, peek_key_id
from ved.errors import CorruptDataError

STORED = json.loads(vectors.FILE.read_text())


def test_file_has_every_case():
    assert [entry["name"] for entry in STORED["good"]] == list(vectors.cases())
    assert [entry["name"] for entry in STORED["bad"]] == list(vectors.bad_cases())
    assert STORED["key"] == vectors.KEY.hex()


@pytest.mark.parametrize("entry", STORED["good"], ids=lambda entry: entry["name"])
def test_bytes_are_read_as_the_file_says(entry):
    data = bytes.fromhex(entry["bytes"])
    assert peek_key_id(data) == entry["datagram"]["key_id"]
    assert has_right_mac(data, vectors.KEY)
    decoded = vectors.to_json(decode_datagram(data))
    if entry["name"] == "sent_long_after":  # the field ends at 2^32 - 1
        decoded["sent_at_us"] = entry["datagram"]["sent_at_us"]
    assert decoded == entry["datagram"]


@pytest.mark.parametrize("entry", STORED["good"], ids=lambda entry: entry["name"])
def test_datagram_is_written_as_the_file_says(entry):
    assert encode_datagram(vectors.cases()[entry["name"]], vectors.KEY).hex() == entry["bytes"]


@pytest.mark.parametrize("entry", STORED["good"], ids=lambda entry: entry["name"])
def test_every_bit_counts_in_the_mac(entry):
    data = bytearray.fromhex(entry["bytes"])
    for bit in range(len(data) * 8):
        data[bit // 8] ^= 1 << bit % 8
        assert not has_right_mac(bytes(data), vectors.KEY)
        data[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("entry", STORED["bad"], ids=lambda entry: entry["name"])
def test_what_a_broken_sender_signs_is_refused(entry):
    data = bytes.fromhex(entry["bytes"])
    assert has_right_mac(data, vectors.KEY)
    assert data == vectors.bad_cases()[entry["name"]]
    with pytest.raises(CorruptDataError):
        decode_datagram(data)
