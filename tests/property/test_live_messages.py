"""Bytes and texts from anywhere: understood, or refused with the error that says so."""

import contextlib
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.live import decode_message
from ved.errors import CorruptDataError
from ved.web.messages import Unwatch, Watch, parse_client_message

GOOD = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "conformance" / "live").glob("i*.bin"))]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("type", "id", "vehicle", "channels", "rate_hz", "window_s", "until_utc_us")
WATCH = {"type": "watch", "id": 1, "vehicle": "fs", "channels": ["a"], "rate_hz": 20, "window_s": 60}


@settings(max_examples=200)
@given(st.text(max_size=60) | JSON.map(json.dumps))
def test_any_text(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_client_message(text), Watch | Unwatch)


@settings(max_examples=200)
@given(st.sampled_from(FIELDS), JSON)
def test_any_value_of_a_field(field, value):
    with contextlib.suppress(ValueError):
        message = parse_client_message(json.dumps({**WATCH, field: value}))
        assert isinstance(message, Watch)
        assert 0 <= message.id <= 65_535
        assert 1 <= message.rate_hz <= 100
        assert 1 <= message.window_s <= 86_400
        assert message.until_utc_us is None or 0 <= message.until_utc_us <= 2**53


@settings(max_examples=300)
@given(st.sampled_from(GOOD), st.integers(0, 200), st.integers(1, 255), st.integers(0, 200))
def test_a_changed_message(good, at, change, cut):
    data = bytearray(good)
    data[at % len(data)] ^= change
    for candidate in (bytes(data), good[: cut % len(good)], bytes(data) + bytes(cut % 16)):
        with contextlib.suppress(CorruptDataError):
            message = decode_message(candidate)
            assert all(len(one.t_utc_us) == len(one.last) for one in message.columns)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes(data):
    with contextlib.suppress(CorruptDataError):
        decode_message(b"\x01" + data)
