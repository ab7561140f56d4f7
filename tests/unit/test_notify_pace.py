"""Which alarms people are told of, when, and in which words."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.model.alarm import Alarm
from ved.notify.message import MAX_TEXT_CHARS, News, message_of
from ved.notify.pace import FRESH_US, GATHER_US, Pace

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
HOT = Alarm(
    "a1", "fs", b"e" * 16, "hot", 3, "Motor hot", "Moteur chaud", "M.t", "°C", False, False, 5, NOW, 91.5, 93.0
)  # fmt: skip


def told(pace: Pace, now_us: int) -> list[tuple[str, str]]:
    """What is told at this moment, if anything is."""
    if not pace.is_due(now_us):
        return []
    news = pace.news()
    pace.done(now_us)
    return [(one.alarm.id, one.step) for one in news]


def test_alarms_of_a_moment_are_told_together_and_not_too_often() -> None:
    pace = Pace(2, 30 * SECOND)
    pace.take(HOT, NOW, 0)
    pace.take(replace(HOT, id="a2"), NOW, SECOND)
    assert told(pace, 2 * SECOND) == []
    assert told(pace, GATHER_US) == [("a1", "raised"), ("a2", "raised")]
    pace.take(replace(HOT, id="a3"), NOW, 4 * SECOND)
    assert told(pace, 20 * SECOND) == []
    assert told(pace, GATHER_US + 30 * SECOND) == [("a3", "raised")]


def test_an_alarm_is_told_once_and_its_end_once() -> None:
    pace = Pace(2, 0)
    pace.take(HOT, NOW, 0)
    pace.take(replace(HOT, worst=99.0), NOW, 1)
    assert told(pace, GATHER_US) == [("a1", "raised")]
    pace.take(replace(HOT, utc_acked_us=NOW, acked_by="Ada"), NOW, GATHER_US)
    cleared = replace(HOT, utc_cleared_us=NOW + 1)
    pace.take(cleared, NOW, GATHER_US)
    pace.take(cleared, NOW, GATHER_US)
    assert told(pace, 3 * GATHER_US) == [("a1", "cleared")]


def test_a_latched_alarm_that_comes_back_after_long_is_told_again() -> None:
    pace = Pace(2, 0)
    pace.take(HOT, NOW, 0)
    assert told(pace, GATHER_US) == [("a1", "raised")]
    pace.take(replace(HOT, utc_cleared_us=NOW + SECOND), NOW + SECOND, 2 * GATHER_US)
    assert told(pace, 3 * GATHER_US) == [("a1", "cleared")]
    pace.take(HOT, NOW + 3 * FRESH_US, 4 * GATHER_US)
    assert told(pace, 5 * GATHER_US) == [("a1", "raised")]


def test_what_nobody_is_woken_for() -> None:
    pace = Pace(2, 0)
    for alarm in (
        replace(HOT, id="slight", severity=1),
        replace(HOT, id="late", is_late=True),
        replace(HOT, id="shelved", shelved_until_utc_us=NOW + 1),
        replace(HOT, id="replayed", utc_raised_us=NOW - FRESH_US - 1),
        replace(HOT, id="over", utc_cleared_us=NOW),
    ):
        pace.take(alarm, NOW, 0)
    assert not pace.is_gathering
    pace.know("a1", "raised")
    pace.take(HOT, NOW, 0)
    assert not pace.is_gathering  # told before a restart
    pace.take(replace(HOT, utc_cleared_us=NOW), NOW, 0)
    assert told(pace, GATHER_US) == [("a1", "cleared")]


def test_words() -> None:
    message = message_of([News(HOT, "raised")])
    assert message.title == "fs: Motor hot / Moteur chaud"
    assert "M.t = 91.5 °C" in message.text
    many = message_of([News(replace(HOT, id=str(n), value=float("nan")), "raised") for n in range(30)])
    assert many.title == "fs: 30 raised / déclenchées, 0 cleared / terminées"
    assert many.text.endswith("… + 10")
    assert len(many.alarms) == 30
    assert many.alarms[0]["value"] is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(replace, st.just(HOT), title_en=st.text(max_size=200), value=st.floats()), min_size=1))
def test_a_payload_always_fits(alarms: list[Alarm]) -> None:
    payload = message_of([News(alarm, "raised") for alarm in alarms]).payload()
    assert len(payload["content"]) <= MAX_TEXT_CHARS
    assert len(payload["alarms"]) == len(alarms)
