"""Decoded messages into an MCAP file, for Foxglove and others: a topic for each message, JSON with a schema."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ved.api.export_messages import message_of
from ved.api.parts import Part
from ved.api.recorded import RecordedSession
from ved.dbc.decode import Decoder
from ved.errors import UserError
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

_SLICE_FRAMES: Final = 16_384
"""Decoded at a time: a Python object for each value is a lot."""


def write_mcap(path: Path, session: RecordedSession, channels: Sequence[Channel], utc_us: tuple[int, int]) -> int:
    """Write every frame of that time that carries one of `channels` as one message; returns how many.

    Topic `/bus.Message` or `/Message` (the channel's name without the signal); values are physical, units stand in the
    schema; `log_time` is UTC. UserError when mcap is missing or the file cannot be written.
    """
    try:
        from mcap.writer import Writer
    except ImportError as error:
        raise UserError(f"{path}: writing MCAP files needs mcap; run `pip install 'ved[export]'`") from error
    try:
        with path.open("wb") as file:
            writer: Any = Writer(file)
            writer.start(profile="", library="ved")
            topics = _register(writer, channels)
            written = _write_all(writer, session.decodable_frames(utc_us), topics, channels, utc_us[0])
            writer.finish()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    return written


def _register(writer: Any, channels: Sequence[Channel]) -> dict[str, int]:
    by_topic: dict[str, list[Channel]] = {}
    for channel in channels:
        by_topic.setdefault(message_of(channel), []).append(channel)
    out = {}
    for topic, members in by_topic.items():
        properties = {one.signal: {"type": ["number", "null"], "description": _described(one)} for one in members}
        schema = json.dumps({"type": "object", "title": topic, "properties": properties}).encode()
        number = writer.register_schema(name=topic, encoding="jsonschema", data=schema)
        units = {one.signal: one.unit for one in members if one.unit}
        out[topic] = writer.register_channel(f"/{topic}", "json", number, {"units": json.dumps(units)})
    return out


def _described(channel: Channel) -> str:
    return f"{channel.comment} [{channel.unit}]".strip() if channel.unit else channel.comment


def _write_all(
    writer: Any,
    parts: Iterable[tuple[Part, FrameColumns]],
    topics: dict[str, int],
    channels: Sequence[Channel],
    start_utc_us: int,
) -> int:
    written = 0
    for part, frames in parts:
        numbers = _numbers(part, channels)
        for at in range(0, len(frames), _SLICE_FRAMES):
            rows = _rows(part.decoder, frames.take(slice(at, at + _SLICE_FRAMES)), numbers)
            for row, (message, values) in sorted(rows.items()):
                data = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
                utc_ns = (int(frames.t_us[at + row]) + start_utc_us) * 1000
                writer.add_message(topics[message], utc_ns, data, utc_ns)
            written += len(rows)
    return written


def _rows(
    decoder: Decoder, frames: FrameColumns, numbers: dict[int, Channel]
) -> dict[int, tuple[str, dict[str, float | None]]]:
    """For each row of `frames` that carries a wanted channel: its message, and values by the signals' names."""
    wanted = np.zeros(len(decoder.channels), np.bool_)
    wanted[list(numbers)] = True
    decoded = decoder.decode(frames, wanted)
    rows: dict[int, tuple[str, dict[str, float | None]]] = {}
    for number, channel in numbers.items():
        part = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
        message, values = message_of(channel), decoded.values[part]
        finite = np.isfinite(values).tolist()
        for row, value, is_number in zip(decoded.rows[part].tolist(), values.tolist(), finite, strict=True):
            known = rows.get(row)
            if known is None:
                known = rows[row] = (message, {})
            known[1][channel.signal] = value if is_number else None
    return rows


def _numbers(part: Part, channels: Sequence[Channel]) -> dict[int, Channel]:
    found = ((part.index(channel.name), channel) for channel in channels)
    return {number: channel for number, channel in found if number is not None}
