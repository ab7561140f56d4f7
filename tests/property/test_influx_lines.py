"""Line protocol by an independent parser: names, numbers and times come back as they went in, whatever they are."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.influx.lines import Lines, LineWriter, Source
from ved.influx.names import field_name, measurement_name, sample_place, tag_value
from ved.influx.sender import bodies
from ved.influx.thinning import Thinner
from ved.model.frames import FrameColumns
from ved.model.samples import SampleChannel

Parsed = tuple[str, dict[str, str], dict[str, float], int]


def parse(text: str) -> Iterator[Parsed]:
    """Letter by letter after the rules of the line protocol reference; only floats are fields here."""
    for line in text.split("\n")[:-1]:
        assert not line.startswith("#"), "a comment"
        at = 0

        def word(stops: str, line: str = line) -> tuple[str, str]:
            nonlocal at
            out = ""
            while at < len(line):
                letter = line[at]
                if letter == "\\" and at + 1 < len(line) and line[at + 1] in ",= ":
                    out += line[at + 1]
                    at += 2
                    continue
                if letter in stops:
                    at += 1
                    return out, letter
                out += letter
                at += 1
            return out, ""

        measurement, stop = word(", ")
        tags: dict[str, str] = {}
        while stop == ",":
            name, stop = word("=")
            assert stop == "="
            tags[name], stop = word(", ")
            assert name
            assert tags[name]
        fields: dict[str, float] = {}
        while True:
            name, stop = word("=")
            assert stop == "="
            number, stop = word(", ")
            assert name
            assert name not in fields
            assert not number.endswith("i")
            fields[name] = float(number)
            assert math.isfinite(fields[name])
            if stop == " ":
                break
            assert stop == ","
        stamp, stop = word("")
        yield measurement, tags, fields, int(stamp)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.text(
    ',= \\"#\n\tae', min_size=1, max_size=8
)


@given(names, names, st.lists(st.floats(), min_size=1, max_size=20), st.integers(0, 2**60 // 1000))
@settings(max_examples=50, deadline=None)
def test_samples_come_back(channel: str, vehicle: str, values: list[float], offset_us: int) -> None:
    n = len(values)
    lines = Lines()
    columns = (np.arange(7, 7 + n), np.arange(n) * 10, np.zeros(n, np.uint16), np.array(values))
    LineWriter(0).samples(Source(vehicle, bytes(16), offset_us), columns, (SampleChannel(channel),), lines)
    measurement, field = sample_place(channel)
    found = list(parse(b"".join(lines.parts).decode()))
    kept = [at for at in range(n) if math.isfinite(values[at])]
    assert lines.count == len(kept)
    assert found == [
        (measurement, {"vehicle": tag_value(vehicle)}, {field: values[at]}, (offset_us + at * 10) * 1000 + 7 + at)
        for at in kept
    ]


@given(names)
@settings(deadline=None)
def test_a_name_is_writable_and_mostly_itself(name: str) -> None:
    for written in (measurement_name(name), field_name(name), tag_value(name)):
        assert written
        assert not set(written) & {"\n", "\\", "\r", "\0"}
    assert field_name("time") == "time_"
    assert not measurement_name(name).startswith("#")
    if name.isalnum() and name not in {"time", "bus", "vehicle"}:
        assert measurement_name(name) == field_name(name) == name


DBC = """VERSION ""
BU_: A
BO_ 1 M: 8 A
 SG_ Mux M : 0|2@1+ (1,0) [0|0] "" A
 SG_ A m0 : 8|16@1- (0.1,-7) [0|0] "" A
 SG_ B m1 : 8|32@1- (1,0) [0|0] "" A
 SG_ C m1 : 40|8@1+ (1,0) [0|0] "" A
 SG_ D : 48|16@1+ (0.5,0) [0|0] "" A
BO_ 2 N: 8 A
 SG_ E : 0|64@1- (1,0) [0|0] "" A
SIG_VALTYPE_ 1 B : 1;
SIG_VALTYPE_ 2 E : 2;
"""
OWN = Decoder(load_set([DbcSource(3, "own bus", "a", DBC)]))
ANY = Decoder(load_set([DbcSource(None, "", "a", DBC)]))


@st.composite
def frame_columns(draw) -> FrameColumns:
    n = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    payload = rng.integers(0, 256, (n, 8), np.uint8)
    payload[rng.random(n) < 0.3] = 255  # floats that are no numbers
    length = rng.choice(np.array([8, 8, 8, 7, 5, 2, 0], np.uint8), n)
    payload[np.arange(8) >= length[:, None]] = 0
    return FrameColumns(
        np.sort(rng.integers(0, 1000, n)),
        rng.choice(np.array([3, 3, 4], np.uint8), n),
        rng.integers(1, 4, n).astype(np.uint32),
        rng.choice(np.array([0, 0, 0, 16, 32], np.uint8), n),
        length,
        payload,
    )


@pytest.mark.parametrize("decoder", [OWN, ANY], ids=["own", "any"])
@given(frames=frame_columns(), first=st.integers(1, 5000))
@settings(max_examples=40, deadline=None)
def test_frames_come_back_signal_by_signal(decoder: Decoder, frames: FrameColumns, first: int) -> None:
    lines = Lines()
    seq = np.arange(first, first + len(frames))
    source = Source("fs", bytes(16), 10**15, {3: "own bus"})
    LineWriter(0).frames(source, seq, frames, decoder, lines)
    decoded = decoder.decode(frames)
    wanted: dict[int, dict[str, float]] = {}
    for number, channel in enumerate(decoder.channels):
        part = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
        for row, value in zip(decoded.rows[part].tolist(), decoded.values[part].tolist(), strict=True):
            if math.isfinite(value):
                wanted.setdefault(row, {})[channel.signal] = value
    found = list(parse(b"".join(lines.parts).decode()))
    assert lines.count == len(found) == len(wanted)
    by_key = {(stamp, measurement, tags["bus"]): fields for measurement, tags, fields, stamp in found}
    assert len(by_key) == len(found)  # no two frames are one point
    for row, fields in wanted.items():
        stamp = (10**15 + int(frames.t_us[row])) * 1000 + (first + row) % 1000
        name = "M" if frames.arbitration_id[row] == 1 else "N"
        bus = "own bus" if frames.bus[row] == 3 else str(frames.bus[row])
        assert by_key[stamp, name, bus] == fields


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_bodies_are_whole_lines_in_order(lengths: list[int], most: int) -> None:
    parts = [b"".join(bytes([97 + number % 26]) * (length - 1) + b"\n" for length in lengths) for number in range(3)]
    found = list(bodies(parts, most))
    assert b"".join(found) == b"".join(parts)
    for body in found:
        assert body.endswith(b"\n")
        assert len(body) <= most or body.count(b"\n") == 1


@given(st.integers(1, 400), st.sampled_from([10.0, 50.0, 100.0]), st.lists(st.integers(1, 50), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_thinning_does_not_depend_on_how_frames_are_cut(period_100us: int, rate_hz: float, cuts: list[int]) -> None:
    t_us = np.arange(300) * period_100us * 100
    thinner, whole = Thinner(rate_hz), Thinner(rate_hz)
    kept, at, number = [], 0, 0
    while at < len(t_us):
        part = t_us[at : at + cuts[number % len(cuts)]]
        mask = thinner.keep("x", part)
        kept += part.tolist() if mask is None else part[mask].tolist()
        at, number = at + len(part), number + 1
    mask = whole.keep("x", t_us)
    wanted = t_us if mask is None else t_us[mask]
    assert set(wanted.tolist()) <= set(kept)
    assert len(kept) <= len(wanted) + 1  # a first sample alone does not tell how fast it is
    if period_100us * 100 >= 1e6 / rate_hz:
        assert len(kept) == 300
    else:
        assert len(kept) <= 300 * period_100us * rate_hz / 10_000 / 0.75 + 2


@pytest.mark.parametrize("count", [1, 2, 9])
def test_samples_that_are_asked_about_again_are_kept_again(count: int) -> None:
    thinner = Thinner(100.0)
    t_us = np.arange(count) * 40_000  # slower than the rate: all are kept
    for _ in range(3):  # as often as the database refused to say how they are decoded
        assert thinner.keep("x", t_us) is None
