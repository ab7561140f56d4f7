"""From the car's state to frames on its buses, through the vehicle's own DBC files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.bus_timing import Rhythm, draw_jitter, frame_bits, serialise
from ved.canbus.simulation.signals import CarModel, Noise, Signals
from ved.dbc.encode import MessageEncoder
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.model.frames import CLASSIC_WIDTH, FrameColumns, FrameFlag
from ved.model.vehicle import Vehicle

COUNTER: Final = "Counter"
CHECKSUM: Final = "Checksum"
PAGE: Final = "Page"
CHUNK_S: Final = 2.0

_CYCLE: Final = re.compile(r'^BA_ "GenMsgCycleTime" BO_ (\d+) (\d+);', re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class _Sender:
    """One message: its encoder, its rhythm, how long its frames hold the bus, and on which page each signal stands.

    A message with a multiplexer named Page shows page after page; 0 `pages`: it has none.
    """

    name: str
    encoder: MessageEncoder
    rhythm: Rhythm
    duration_us: float
    has_counter: bool
    has_checksum: bool
    pages: int
    page_of: Mapping[str, int]


class FrameMaker:
    """Makes the frames of one car, chunk after chunk of CHUNK_S, in order of time."""

    def __init__(self, vehicle: Vehicle, model: CarModel[Any], seed: int, faults: Sequence[Fault]) -> None:
        """Raises UserError when the vehicle's DBC files lack what the model sends, or a dropout's target is wrong."""
        self._model, self._seed, self._chunk = model, seed, 0
        self._step_us, self._chunk_steps = round(model.step_s * 1e6), round(CHUNK_S / model.step_s)
        self._senders = _senders(vehicle, np.random.Generator(np.random.PCG64([seed, 0xA])))
        names = [sender.name for sender in self._senders]
        dropouts = [fault for fault in faults if fault.kind is FaultKind.SENSOR_DROPOUT]
        self._silent = [(fault.message(names, model.usual_dropout), fault) for fault in dropouts]
        self._busy_us = dict.fromkeys((sender.encoder.bus for sender in self._senders), 0.0)
        self._held = FrameColumns.empty()
        self._is_checked = False

    def work(self) -> Iterator[FrameColumns | None]:
        """Chunk after chunk of frames for ever, in small portions of work: None while a chunk is not finished."""
        while True:
            random = np.random.Generator(np.random.PCG64([self._seed, 0xF, self._chunk]))
            noise = Noise(np.random.Generator(np.random.PCG64([self._seed, 0xE, self._chunk])), self._chunk_steps)
            from_us = self._chunk * self._chunk_steps * self._step_us
            to_us = from_us + self._chunk_steps * self._step_us
            self._chunk += 1
            state = self._model.run(self._chunk_steps)
            yield None
            signals = self._model.measure(state, noise)
            if not self._is_checked:
                _check(self._senders, signals)
                self._is_checked = True
            parts, asked, durations = [], [], []
            for sender in self._senders:
                yield None
                numbers = sender.rhythm.numbers(from_us, to_us)
                times = sender.rhythm.times_us(numbers)
                jitter = draw_jitter(len(numbers), random)
                steps = np.clip((times - from_us).astype(np.intp) // self._step_us, 0, self._chunk_steps - 1)
                heard = self._is_heard(sender.name, times)
                parts.append(_frames(sender, signals[sender.name], numbers[heard], steps[heard]))
                asked.append((times + jitter)[heard])
                durations.append(np.full(int(heard.sum()), sender.duration_us))
            frames = FrameColumns.concatenate(parts)
            frames = self._on_the_bus(frames, np.concatenate(asked), np.concatenate(durations))
            yield self._release(frames, to_us)

    def _is_heard(self, name: str, times_us: NDArray[np.float64]) -> NDArray[np.bool_]:
        heard = np.ones(len(times_us), np.bool_)
        for message, fault in self._silent:
            if message == name:
                heard &= ~fault.is_active(times_us / 1e6)
        return heard

    def _on_the_bus(
        self, frames: FrameColumns, asked_us: NDArray[np.float64], duration_us: NDArray[np.float64]
    ) -> FrameColumns:
        """The frames with the times at which their buses have carried them."""
        ends = np.empty(len(frames))
        for bus in self._busy_us:
            rows = np.flatnonzero(frames.bus == bus)
            rows = rows[np.argsort(asked_us[rows], kind="stable")]
            if len(rows):
                ends[rows] = serialise(asked_us[rows], duration_us[rows], self._busy_us[bus])
                self._busy_us[bus] = float(ends[rows[-1]])
        return FrameColumns(
            np.rint(ends).astype(np.int64),
            frames.bus,
            frames.arbitration_id,
            frames.flags,
            frames.length,
            frames.payload,
        )

    def _release(self, frames: FrameColumns, to_us: int) -> FrameColumns:
        """All frames before `to_us` in order; the others wait for the next chunk."""
        both = FrameColumns.concatenate([self._held, frames])
        both = both.take(np.argsort(both.t_us, kind="stable"))
        due = int(np.searchsorted(both.t_us, to_us))
        self._held = both.take(slice(due, None))
        return both.take(slice(0, due))


def _senders(vehicle: Vehicle, random: np.random.Generator) -> list[_Sender]:
    dbc_set = load_set(
        [
            DbcSource(bus.index, bus.name, name, text)
            for bus in vehicle.buses
            for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
        ]
    )
    bitrate_hz = {bus.index: bus.bitrate_hz for bus in vehicle.buses}
    cycles = {
        (bus.index, int(found[1])): int(found[2]) * 1000
        for bus in vehicle.buses
        for text in bus.dbc_texts
        for found in _CYCLE.finditer(text)
    }
    out = []
    for message in dbc_set.messages:
        dbc_id = message.arbitration_id | (1 << 31 if message.is_extended else 0)
        cycle_us = cycles.get((message.bus or 0, dbc_id), 0)
        if cycle_us <= 0:
            raise UserError(f"{message.file}: message {message.name} has no GenMsgCycleTime; the simulator needs one")
        names = {signal.name for signal in message.signals}
        page_of = {signal.name: signal.selectors[0][0] for signal in message.signals if signal.multiplexer is not None}
        out.append(
            _Sender(
                name=message.name,
                encoder=MessageEncoder(dbc_set, message.name, message.bus),
                rhythm=Rhythm.draw(cycle_us, random),
                duration_us=frame_bits(message.length, message.is_extended) * 1e6 / bitrate_hz[message.bus or 0],
                has_counter=COUNTER in names,
                has_checksum=CHECKSUM in names,
                pages=max(page_of.values(), default=-1) + 1,
                page_of=page_of,
            )
        )
    return out


def _check(senders: Sequence[_Sender], signals: Mapping[str, Signals]) -> None:
    """The DBC files and the model must name the same messages and signals."""
    by_name = {sender.name: sender for sender in senders}
    for message, values in signals.items():
        if message not in by_name:
            raise UserError(f"the simulator's car sends message {message}, which the vehicle's DBC files do not have")
        lacking = values.keys() - set(by_name[message].encoder.signals)
        if lacking:
            raise UserError(
                f"the simulator's car sends {message}.{min(lacking)}, which the vehicle's DBC files do not have"
            )
    for name in by_name.keys() - signals.keys():
        raise UserError(
            f"the simulator's car has no message {name}; take it out of the DBC files or out of the vehicle"
        )


def _frames(sender: _Sender, signals: Signals, numbers: NDArray[np.int64], steps: NDArray[np.intp]) -> FrameColumns:
    """The frames of one message; number and time step of each are given."""
    n = len(numbers)
    values: dict[str, NDArray[np.float64]] = {}
    pages = set(range(sender.pages))
    if sender.pages:
        page = numbers % sender.pages
        values[PAGE] = page.astype(np.float64)
        pages = set(page.tolist())
    for name, column in signals.items():
        if sender.page_of and sender.page_of[name] not in pages:
            continue
        values[name] = np.full(n, column) if isinstance(column, float) else column[steps]
    if sender.has_counter:
        values[COUNTER] = (numbers % 16).astype(np.float64)
    payload = np.zeros((n, CLASSIC_WIDTH), np.uint8)
    encoder = sender.encoder
    if n:
        payload[:, : encoder.length] = encoder.encode(values)
    if sender.has_checksum:
        payload[:, encoder.length - 1] = crc8(payload[:, : encoder.length - 1])
    return FrameColumns(
        np.zeros(n, np.int64),
        np.full(n, encoder.bus, np.uint8),
        np.full(n, encoder.arbitration_id, np.uint32),
        np.full(n, encoder.flags & FrameFlag.EXTENDED, np.uint8),
        np.full(n, encoder.length, np.uint8),
        payload,
    )


def _crc8_table() -> NDArray[np.uint8]:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc << 1) ^ (0x11D if crc & 0x80 else 0)
        table.append(crc)
    return np.array(table, np.uint8)


_CRC8: Final = _crc8_table()


def crc8(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CRC-8 SAE J1850 of each row of u8 (n, k): polynomial 0x1D, start 0xFF, final xor 0xFF."""
    crc = np.full(len(data), 0xFF, np.uint8)
    for column in data.T:
        crc = _CRC8[crc ^ column]
    return crc ^ np.uint8(0xFF)
