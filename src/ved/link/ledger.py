"""What the server says it holds: per epoch, what it received and what it stored."""

from ved.codec.link import KEPT_SPACES, MAX_RUNS, Held, Received, Space, Stored
from ved.link.span import Span
from ved.model.intervals import Intervals


class EpochLedger:
    """The server's word on one epoch."""

    __slots__ = ("given_up", "known_from", "received", "stored")

    def __init__(self) -> None:
        self.known_from: int | None = None
        """From this seq on the server said all that it holds; None: it was not asked yet."""
        self.given_up = Intervals()
        """Seqs that a loss record names."""
        self.received = {space: Intervals() for space in KEPT_SPACES}
        self.stored = {space: Intervals() for space in KEPT_SPACES}


class Ledger:
    """All epochs that this car still has something of. `received` may be taken back (a server restarted)."""

    def __init__(self) -> None:
        self._epochs: dict[bytes, EpochLedger] = {}

    def epoch(self, epoch: bytes) -> EpochLedger:
        """The ledger of an epoch, made if new."""
        return self._epochs.setdefault(epoch, EpochLedger())

    def acknowledge(self, ack: Received | Stored) -> None:
        """Enter an acknowledgement; what is stored is received too. Previews are nobody's to keep."""
        if ack.space not in KEPT_SPACES:
            return
        ledger = self.epoch(ack.epoch)
        for first, last in ack.runs:
            ledger.received[ack.space].add(first, last)
            if isinstance(ack, Stored):
                ledger.stored[ack.space].add(first, last)

    def replace(self, held: Held) -> bool:
        """Enter a complete statement: `received` becomes what it names. True when something is gone that was received.

        `stored` never shrinks: a promise was given.
        """
        ledger = self.epoch(held.epoch)
        before = ledger.received
        ledger.received = {space: ledger.stored[space].copy() for space in KEPT_SPACES}
        ledger.known_from = 1
        for one in held.sets:
            self.acknowledge(one)
            if one.space == Space.SEQ and isinstance(one, Stored) and len(one.runs) >= MAX_RUNS:
                ledger.known_from = one.runs[0][0]
        return any(
            not ledger.received[space].contains(first, last) for space in KEPT_SPACES for first, last in before[space]
        )

    def is_received(self, epoch: bytes, span: Span) -> bool:
        """True when the server has it in its hands."""
        return self.epoch(epoch).received[span.space].contains(span.first, span.last)

    def is_stored(self, epoch: bytes, span: Span) -> bool:
        """True when the car may forget it."""
        return self.epoch(epoch).stored[span.space].contains(span.first, span.last)

    def is_known(self, epoch: bytes) -> bool:
        """True when the server has said, in this life of the agent, what it holds of an epoch."""
        return self.epoch(epoch).known_from is not None

    def give_up(self, epoch: bytes, first: int, last: int) -> None:
        """A loss record names these seqs."""
        self.epoch(epoch).given_up.add(first, last)

    def lacking(self, epoch: bytes, first: int, last: int) -> list[tuple[int, int]]:
        """The runs of first..last that the server, as far as it said, has not stored and that nobody gave up."""
        ledger = self.epoch(epoch)
        first = max(first, ledger.known_from or 1)
        runs = ledger.stored[Space.SEQ].missing(first, last) if first <= last else []
        return [part for run in runs for part in ledger.given_up.missing(*run)]

    def is_underway(self, epoch: bytes, first: int, last: int) -> bool:
        """True when the server has received some of these seqs and not stored them (yet)."""
        ledger = self.epoch(epoch)
        runs = ledger.stored[Space.SEQ].missing(first, last)
        return any(ledger.received[Space.SEQ].overlaps(*run) for run in runs)
