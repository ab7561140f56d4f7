"""Where the epochs of a vehicle lie in UTC, and which part of each is seen where they overlap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ved.model.clockmap import ClockMap
from ved.model.records import BusDescription


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """One epoch: its clock, its first and last sample in UTC, and the part that is seen: from <= utc < to."""

    epoch: bytes
    buses: tuple[BusDescription, ...]
    clock: ClockMap
    utc_first_us: int
    utc_last_us: int
    seen_from_us: int = -(1 << 62)
    seen_to_us: int = 1 << 62


def visible(spans: Sequence[EpochSpan]) -> list[EpochSpan]:
    """The spans (in order of arrival) with what is seen of each.

    Where two overlap, the later-arrived one hides the earlier from its own start on (the same log replayed twice shows
    the second replay only, also while it runs). When it started before the earlier one, it hides only as far as it
    reaches: the end of a recording never hides the whole of the next.
    """
    out = []
    for at, span in enumerate(spans):
        seen_from, seen_to = span.seen_from_us, span.seen_to_us
        for later in spans[at + 1 :]:
            if later.utc_first_us > span.utc_last_us or later.utc_last_us < span.utc_first_us:
                continue
            if later.utc_first_us >= span.utc_first_us:
                seen_to = min(seen_to, later.utc_first_us)
            else:
                seen_from = max(seen_from, later.utc_last_us + 1)
        out.append(replace(span, seen_from_us=seen_from, seen_to_us=seen_to))
    return out
