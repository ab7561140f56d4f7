"""The registry: how long a large DBC takes to load, to be read in the confined process, and to be compared.

usage: bench_registry.py [--messages 5000] [--signals 8] [--repeat 3]

Measured, each as the median of several runs, one core: `load_set` and the decoder of a DBC of so many messages; reading
its text as an upload (process start, limits, checks and lint included); matching all its channels with those of a copy
in which one signal of each message is renamed and one scaled otherwise; cantools' own loader beside it (once). Seconds
are of processor time, so that other programs do not count (as an upload: of the clock, for it is another process).
"""

import argparse
import os
import time
from collections.abc import Callable

import cantools

from ved.api.intake import read_untrusted
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.dbc.matching import match_channels


def dbc_text(messages: int, signals: int) -> str:
    lines = ['VERSION ""', "BU_: A"]
    for number in range(messages):
        lines.append(f"BO_ {(1 << 31) + number} Message{number}: 8 A")
        width = 64 // signals
        lines += [f' SG_ Signal{at} : {at * width}|{width}@1+ (0.5,0) [0|100] "V" A' for at in range(signals)]
        lines.append(f'CM_ SG_ {(1 << 31) + number} Signal0 "What it says, in a sentence";')
        lines.append(f'VAL_ {(1 << 31) + number} Signal1 0 "off" 1 "on" ;')
    return "\n".join(lines) + "\n"


def timed(work: Callable[[], object], repeat: int, clock: Callable[[], float] = time.process_time) -> float:
    seconds = []
    for _ in range(repeat):
        start = clock()
        kept = work()
        seconds.append(clock() - start)
        del kept
    return sorted(seconds)[len(seconds) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--signals", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    text = dbc_text(asked.messages, asked.signals)
    source = DbcSource(0, "can0", "large.dbc", text)
    print(f"{asked.messages:,} messages, {asked.messages * asked.signals:,} signals, {len(text) / 1e6:.1f} MB of text")
    load_s = timed(lambda: load_set([source]), asked.repeat)
    dbc_set = load_set([source])
    decoder_s = timed(lambda: Decoder(dbc_set), asked.repeat)
    print(f"load                      {load_s:6.2f} s")
    print(f"decoder                   {decoder_s:6.2f} s   (load and decoder {load_s + decoder_s:.2f} s; budget 2 s)")
    upload_s = timed(lambda: read_untrusted(text.encode(), "large.dbc", "can0"), asked.repeat, time.perf_counter)
    print(f"read as an upload         {upload_s:6.2f} s")
    changed = text.replace("Signal3 ", "Renamed3 ").replace("48|8@1+ (0.5", "48|8@1+ (0.25")
    other = load_set([DbcSource(0, "can0", "other.dbc", changed)])
    print(f"match with a changed one  {timed(lambda: match_channels(dbc_set, other), asked.repeat):6.2f} s")
    start = time.process_time()
    cantools.database.load_string(text, "dbc", strict=False)
    print(f"cantools loads it in      {time.process_time() - start:6.2f} s")


if __name__ == "__main__":
    main()
