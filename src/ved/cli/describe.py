"""What an agent says of its buses: from a vehicle folder, or from the option `--dbc [BUS=]FILE` and a recording."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ved.config.vehicle import read_dbc
from ved.dbc.formats import to_dbc_text
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.model.frames import EPOCH_BYTES, FrameColumns, FrameFlag
from ved.model.records import BusDescription, Description
from ved.model.vehicle import Vehicle

_EXTENDED_BIT = 1 << 32


@dataclass(frozen=True, slots=True)
class DbcOption:
    """One `--dbc`: the bus by name or number (None: wherever its ids are seen), the file, its text and its ids."""

    bus: str | None
    path: Path
    text: str
    ids: frozenset[int]


def read_dbc_option(option: str) -> tuple[DbcOption, list[str]]:
    """Read and check one `[BUS=]FILE`; also returns what is wrong inside the file, one line each."""
    bus, separator, name = option.partition("=")
    if not separator or Path(option).is_file():
        bus, name = "", option
    path = Path(name)
    text = read_dbc(path) if path.suffix.lower() == ".dbc" else _translated(path)
    loaded = load_set([DbcSource(None, "", path.name, text)])
    ids = frozenset(_key(one.arbitration_id, is_extended=one.is_extended) for one in loaded.messages)
    problems = [f"{path}:{problem.line}: {problem.why}; this line is left out" for problem in loaded.problems]
    return DbcOption(bus or None, path, text, ids), problems


def ids_by_bus(chunks: Iterable[FrameColumns]) -> dict[int, set[int]]:
    """For each bus index the ids that were seen on it."""
    seen: dict[int, set[int]] = {}
    for frames in chunks:
        keys = frames.arbitration_id.astype(np.int64)
        keys += np.where(frames.flags & FrameFlag.EXTENDED, _EXTENDED_BIT, 0)
        for bus in np.unique(frames.bus):
            seen.setdefault(int(bus), set()).update(np.unique(keys[frames.bus == bus]).tolist())
    return seen


def describe_buses(
    buses: Mapping[int, str], options: Sequence[DbcOption], seen: Mapping[int, set[int]]
) -> tuple[BusDescription, ...]:
    """The buses with their DBC texts. A DBC without a bus goes to the buses that carry one of its ids, else to all."""
    texts: dict[int, list[str]] = {index: [] for index in buses}
    for option in options:
        if option.bus is not None:
            texts[_find_bus(buses, option)].append(option.text)
            continue
        matching = [index for index in buses if seen.get(index, set()) & option.ids]
        for index in matching or buses:
            texts[index].append(option.text)
    return tuple(BusDescription(index, name, tuple(texts[index])) for index, name in sorted(buses.items()))


def lacks_bus(buses: Mapping[int, str], option: DbcOption) -> bool:
    """True when the option names a bus, and none of these is it."""
    return option.bus is not None and all(option.bus not in (name, str(index)) for index, name in buses.items())


def _translated(path: Path) -> str:
    """A definition file of another format (CSV, KCD, SYM, ARXML) as DBC text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read this file: {error.strerror}") from None
    return to_dbc_text(data, path.suffix, path.name)


def buses_of(car: Vehicle) -> tuple[BusDescription, ...]:
    """The buses of a vehicle folder."""
    return tuple(BusDescription(bus.index, bus.name, bus.dbc_texts) for bus in car.buses)


def describe(vehicle: str, title: str, buses: tuple[BusDescription, ...]) -> Description:
    """What an agent is given to say of itself; it puts its own epoch and number in."""
    return Description(vehicle, bytes(EPOCH_BYTES), 0, title, buses)


def _find_bus(buses: Mapping[int, str], option: DbcOption) -> int:
    for index, name in buses.items():
        if option.bus in (name, str(index)):
            return index
    known = ", ".join(f"{name} ({index})" for index, name in sorted(buses.items()))
    raise UserError(f"--dbc {option.bus}={option.path}: the log has no bus '{option.bus}'; it has {known}")


def _key(arbitration_id: int, *, is_extended: bool) -> int:
    return arbitration_id + (_EXTENDED_BIT if is_extended else 0)
