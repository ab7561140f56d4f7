"""What is published and when; topics that no name can break; settings that refuse in one line."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ved.cli.server import mqtt_settings
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.mqtt import outgoing as module
from ved.mqtt.outgoing import OFFLINE_S, STALE_S, Outgoing
from ved.mqtt.settings import MqttRules, MqttTarget
from ved.mqtt.topics import number_text, topic_of


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=8, unique=True))
def test_every_name_has_a_topic_of_its_own_that_a_broker_takes(names: list[str]):
    topics = [topic_of("ved", "fs", name) for name in names]
    assert len(set(topics)) == len(names)
    for topic in topics:
        assert topic.startswith("ved/fs/")
        level = topic.removeprefix("ved/fs/")
        assert level not in ("", "status", "values")
        assert not re.search(r"[/+#\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]", level)


def test_hostile_names():
    assert topic_of("ved", "fs", "Motor.speed") == "ved/fs/Motor.speed"
    assert topic_of("ved", "fs", "a/+#\0%é") == "ved/fs/a%2F%2B%23%00%25é"
    assert topic_of("ved", "fs", "status") == "ved/fs/%73tatus"
    assert topic_of("ved", "fs", "../$SYS/#") == "ved/fs/..%2F$SYS%2F%23"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_numbers_are_what_json_and_a_small_device_read(value: float):
    text = number_text(value)
    if text is None:
        assert not math.isfinite(value)
        return
    assert json.loads(text) == pytest.approx(value, rel=1e-9, abs=0)
    assert float(text) == pytest.approx(value, rel=1e-9)
    assert text != "-0"


def payloads(out, topic: str) -> list[str]:
    return [one.payload for one in out if one.topic == topic]


def test_values_go_when_they_change_and_now_and_then_when_they_come_unchanged():
    out = Outgoing("fs", MqttRules(every_s=9.7, channels=("Motor.*",)))
    out.take({"Motor.speed": 1.0, "Motor.bad": math.nan, "GPS.speed": 3.0}, 0.0)
    assert [tuple(one) for one in out.due(0.1)] == [
        ("ved/fs/status", "online", True),
        ("ved/fs/Motor.speed", "1", False),
    ]
    assert out.due(0.2) == []  # nothing came
    out.take({"Motor.speed": 1.0}, 0.3)
    assert out.due(0.4) == []  # the same
    out.take({"Motor.speed": 1.5}, 0.5)
    assert payloads(out.due(0.6), "ved/fs/Motor.speed") == ["1.5"]
    for second in range(1, 30):
        out.take({"Motor.speed": 1.5}, float(second))
        assert len(payloads(out.due(second + 0.1), "ved/fs/Motor.speed")) == (second in (11, 21)), second


def test_stale_values_are_not_published_and_the_status_says_so():
    out = Outgoing("fs", MqttRules(every_s=0.1))
    out.take({"a.b": 1.0}, 0.0)
    assert len(out.due(0.0)) == 2
    out.take({"a.b": 2.0}, 1.0)
    assert [one.payload for one in out.due(1.0 + STALE_S)] == ["stale"]
    assert [one.payload for one in out.due(1.0 + OFFLINE_S)] == ["offline"]
    out.take({"a.b": 2.0}, 100.0)
    assert [one.payload for one in out.due(100.0)] == ["online", "2"]
    out.take_link(is_up=False)
    assert out.status(100.0) == "online"
    assert out.status(100.0 + STALE_S) == "offline"


def test_the_object_has_all_that_is_fresh():
    out = Outgoing("fs", MqttRules(has_object=True, is_retained=True))
    out.take({"old": 9.0}, 0.0)
    out.take({'a"\\\n': 1.0, "b": 1e300}, 3.0)
    *_, last = out.due(3.0)
    assert (last.topic, last.is_retained) == ("ved/fs/values", True)
    assert json.loads(last.payload) == {'a"\\\n': 1.0, "b": 1e300}


def test_a_new_connection_gets_the_next_values_again_and_channels_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_CHANNELS", 2)
    out = Outgoing("fs", MqttRules())
    out.take({"a": 1.0, "b": 2.0, "c": 3.0}, 0.0)
    assert len(out.due(0.0)) == 3
    assert out.dropped == 1
    out.forget_sent()
    out.take({"a": 1.0}, 0.1)
    assert [one.payload for one in out.due(0.1)] == ["online", "1"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"mqtt_url": "http://x"}, "mqtt_url = 'http://x': give an address like"),
        ({"mqtt_url": "mqtt://"}, "give an address like"),
        ({"mqtt_url": "mqtt://h:99999"}, "give an address like"),
        ({"mqtt_url": "mqtt://u:p@h"}, "leave user and password out"),
        ({"mqtt_url": "mqtt://h", "mqtt_user": "u"}, "go together"),
        ({"mqtt_url": "mqtt://h", "mqtt_ca": "/x"}, "mqtts://"),
        ({"mqtt_url": "mqtts://h", "mqtt_ca": "/no/such"}, "mqtt_ca = '/no/such' cannot be read"),
        ({"mqtt_url": "mqtt://h", "mqtt_topics": "a/#"}, "the start of a topic"),
        ({"mqtt_url": "mqtt://h", "mqtt_topics": "/a"}, "the start of a topic"),
        ({"roles": ("ingest", "watch", "mqtt")}, "roles: mqtt needs the address of a broker"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, object], text: str):
    with pytest.raises(UserError, match=re.escape(text)):
        mqtt_settings(ServerSettings(**given), None)


def test_the_role_is_there_only_where_a_broker_is_set():
    assert mqtt_settings(ServerSettings(), None) is None
    made = mqtt_settings(ServerSettings(mqtt_url="mqtts://broker.example", mqtt_rate_hz=2.0, mqtt_topics="car/x"), None)
    assert made is not None
    assert (made.target.host, made.target.port, made.rules.prefix) == ("broker.example", 8883, "car/x")
    assert MqttTarget("mqtt://[::1]").port == 1883
    assert "secret" not in repr(MqttTarget("mqtt://h", "u", "secret"))
