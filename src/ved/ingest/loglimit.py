"""A flood of bad connections must not become a flood of log lines."""

import logging
import time
from collections import Counter
from typing import Final

PERIOD_S: Final = 10.0
BURST: Final = 5


class LogLimit:
    """At most five lines per topic in ten seconds; the next line after that says how many were left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._begun_s: dict[str, float] = {}
        self._said: Counter[str] = Counter()

    def warning(self, topic: str, text: str, *args: object) -> None:
        """Log one line, or count it."""
        now_s = time.monotonic()
        if now_s - self._begun_s.get(topic, -PERIOD_S) >= PERIOD_S:
            left_out = self._said[topic] - BURST
            if left_out > 0:
                self._log.warning("%d more such lines (%s) were left out", left_out, topic)
            self._begun_s[topic] = now_s
            self._said[topic] = 0
        self._said[topic] += 1
        if self._said[topic] <= BURST:
            self._log.warning(text, *args)
