"""Former and present names of channels: what a name stands for after a rename."""

from collections.abc import Container, Mapping, Sequence
from typing import Final


class Aliases:
    """Names that mean the same channel: what it was called before, and what it is called now."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        """`pairs` are (name, target), oldest first; the newest of a name holds."""
        self._targets = dict(pairs)
        self._names: dict[str, list[str]] = {}
        for name, target in self._targets.items():
            self._names.setdefault(target, []).insert(0, name)

    def __bool__(self) -> bool:
        return bool(self._targets)

    def others(self, name: str) -> list[str]:
        """The other names of what `name` means, nearest first: what it became, then what it was before."""
        found = {name: None}
        at = name
        while at in self._targets and self._targets[at] not in found:
            at = self._targets[at]
            found[at] = None
        for newer in [*found]:
            waiting = [newer]
            while waiting:
                older = [one for one in self._names.get(waiting.pop(0), ()) if one not in found]
                found.update(dict.fromkeys(older))
                waiting += older
        del found[name]
        return list(found)

    def index(self, numbers: Mapping[str, int], name: str) -> int | None:
        """The number of the channel that `name` means among these, or None."""
        number = numbers.get(name)
        if number is not None or not self._targets:
            return number
        return next((found for one in self.others(name) if (found := numbers.get(one)) is not None), None)

    def extend(self, numbers: Mapping[str, int]) -> dict[str, int]:
        """These numbers, and those of all other names that mean one of these channels."""
        names = {name for pair in self._targets.items() for name in pair}
        found = {name: number for name in names if (number := self.index(numbers, name)) is not None}
        return {**found, **numbers}

    def current(self, name: str, known: Container[str]) -> str | None:
        """The name of `known` that `name` stands for, or None."""
        if name in known:
            return name
        return next((one for one in self.others(name) if one in known), None)

    def is_former(self, name: str, known: Container[str]) -> bool:
        """True when `name` was renamed, and what it became is known."""
        at, seen = name, {name}
        while at in self._targets and self._targets[at] not in seen:
            at = self._targets[at]
            seen.add(at)
            if at in known:
                return True
        return False


NO_ALIASES: Final = Aliases()
