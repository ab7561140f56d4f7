"""What the server says it holds: per epoch, what it received and what it stored."""

from ved.codec.link import KEPT_SPACES, Held, Received, Stored
from ved.link.span import Span
from ved.model.intervals import Intervals


class EpochLedger:
    """The server's word on one epoch."""

    __slots__ = ("received", "stored")

    def __init__(self) -> None:
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
        for one in held.sets:
            self.acknowledge(one)
        return any(
            not ledger.received[space].contains(first, last) for space in KEPT_SPACES for first, last in before[space]
        )

    def is_received(self, epoch: bytes, span: Span) -> bool:
        """True when the server has it in its hands."""
        return self.epoch(epoch).received[span.space].contains(span.first, span.last)

    def is_stored(self, epoch: bytes, span: Span) -> bool:
        """True when the car may forget it."""
        return self.epoch(epoch).stored[span.space].contains(span.first, span.last)
