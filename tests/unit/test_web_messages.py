import json

import pytest

from ved.model.channel import Channel
from ved.web import messages
from ved.web.limits import MAX_BUCKETS, MAX_BUCKETS_PER_CHANNEL, bucket_for
from ved.web.messages import Unwatch, Watch, parse_client_message

GOOD = {"type": "watch", "id": 1, "vehicle": "fs", "channels": ["A.b"], "rate_hz": 20, "window_s": 60}


def test_watch():
    message = parse_client_message(json.dumps(GOOD))
    assert isinstance(message, Watch)
    assert (message.id, message.vehicle, message.channels) == (1, "fs", ["A.b"])
    assert (message.rate_hz, message.window_s) == (20, 60)


def test_unwatch():
    assert parse_client_message('{"type":"unwatch","id":65535}') == Unwatch(type="unwatch", id=65535)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"rate_hz": 0.5}, "rate_hz"),
        ({"rate_hz": 101}, "rate_hz"),
        ({"rate_hz": "20"}, "rate_hz"),
        ({"window_s": 0}, "window_s"),
        ({"window_s": 86_401}, "window_s"),
        ({"id": 65_536}, "id"),
        ({"id": True}, "id"),
        ({"id": 1.5}, "id"),
        ({"channels": "A.b"}, "channels"),
        ({"channels": ["A.b", "A.b"]}, "channels"),
        ({"channels": [str(k) for k in range(201)]}, "channels"),
        ({"channels": ["x" * 513]}, "channels"),
        ({"channels": [None]}, "channels"),
        ({"vehicle": ""}, "vehicle"),
        ({"until_utc_us": -1}, "until_utc_us"),
        ({"until_utc_us": 1.5}, "until_utc_us"),
        ({"until_utc_us": 2**53 + 1}, "until_utc_us"),
        ({"more": 1}, "more"),
    ],
)
def test_bad_values_are_named(change, key):
    with pytest.raises(ValueError, match=key) as caught:
        parse_client_message(json.dumps({**GOOD, **change}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "x", '{"type":"steer","id":1}', "null", '{"type":"watch"', "NaN"])
def test_not_a_message(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_client_message(text)
    assert "\n" not in str(caught.value)


def test_nan_and_infinity_are_refused():
    with pytest.raises(ValueError, match="rate_hz"):
        parse_client_message(json.dumps({**GOOD, "rate_hz": float("nan")}))


def test_a_channel_without_a_finite_limit():
    channel = Channel("A.b", "m", "continuous", 0, "A", "b", 1, False, minimum=float("-inf"), maximum=5.0)
    assert json.loads(messages.to_text(messages.live_channel(3, channel.name, channel)))["minimum"] is None


def test_bucket_is_as_asked_in_short_windows():
    assert bucket_for(100, 60, 20) == 10_000
    assert bucket_for(30, 60, 1) == 33_333
    assert bucket_for(1, 60, 1) == 1_000_000


@pytest.mark.parametrize("window_s", [1, 60, 121, 3600, 3601, 86_400])
@pytest.mark.parametrize("channels", [0, 1, 20, 200])
@pytest.mark.parametrize("rate_hz", [1, 2.3, 30, 100])
def test_bucket_keeps_the_bounds(window_s, channels, rate_hz):
    bucket_us = bucket_for(rate_hz, window_s, channels)
    per_channel = window_s * 1e6 / bucket_us
    assert per_channel <= MAX_BUCKETS_PER_CHANNEL
    assert per_channel * channels <= MAX_BUCKETS
    assert bucket_us >= round(1e6 / rate_hz)
    if window_s > 3600 or bucket_us > round(1e6 / rate_hz):
        assert bucket_us % 1000 == 0
