"""Alarm rules: what 200 rules over 350 signals at about 6,000 frames/s cost, beside a plain loop over every sample.

usage: bench_alarms.py [--rules 200] [--seconds 30]

The load is that of `synthetic_load.py` in batches of 100 ms; the rules are of all kinds, a third of them near the
values so that they raise. Measured on one core, pinned: seconds of CPU per second of driving,
- ours: the engine over decoded columns (decoding is shared with the other parts of watch and shown beside it),
- ours over the lake: the same rules over batches of 65,536 frames, as `ved alarms check` does,
- peer: for every sample of a rule's channel a comparison, hysteresis and delays in plain Python (rules of the kinds
  above, below, outside and equals alone, so the peer is given the easier part).
"""

import argparse
import os
import time
from statistics import median

import numpy as np
from synthetic_load import synthetic_load

from ved.analysis.alarms.batches import Columns
from ved.analysis.alarms.engine import Engine
from ved.dbc.decode import Decoded, Decoder
from ved.dbc.load import DbcSource, load_set
from ved.model.alarmrule import Guard, Rule
from ved.model.channel import Channel
from ved.model.frames import MAX_BATCH_FRAMES, FrameColumns

BUDGET = 0.10


def make_rules(count: int, channels: tuple[Channel, ...], ranges: list[tuple[float, float]]) -> list[Rule]:
    rules = []
    for number in range(count):
        at = number * 7 % len(channels)
        low, high = ranges[at]
        near = number % 3 == 0
        top = low + (high - low) * (0.9 if near else 1.5)
        given = {"channel": channels[at].name, "on_delay_ms": (0, 20, 500)[number % 3], "off_delay_ms": 500}
        other = channels[(at + 11) % len(channels)]
        if number % 5 == 4:
            given["guard"] = Guard(other.name, above=sum(ranges[(at + 11) % len(channels)]) / 2)
        kind, extra = (
            ("above", {"limit": top, "hysteresis": (high - low) * 0.05}),
            ("below", {"limit": low - (high - low) * (-0.1 if near else 0.5), "hysteresis": (high - low) * 0.05}),
            ("outside", {"low": low - 1 - (high - low), "high": top}),
            ("equals", {"values": (round(top),)}),
            ("rate", {"limit": (high - low) * 100 + 1, "over_ms": 50}),
            ("not_plausible", {"frozen_ms": 2000}),
            ("no_data", {"for_ms": 1500}),
            ("bits", {"mask": 1 << (number % 8)}),
        )[number % 8]
        rules.append(Rule(f"r{number}", kind, "", "", **given, **extra))
    return rules


def columns_of(decoded: Decoded) -> Columns:
    return Columns(decoded.starts, decoded.values, decoded.rows)


def batches_of(frames: FrameColumns, span_us: int) -> list[FrameColumns]:
    edges = np.searchsorted(frames.t_us, np.arange(frames.t_us[0], frames.t_us[-1], span_us))
    return [frames.take(slice(a, b)) for a, b in zip(edges, [*edges[1:], len(frames)], strict=True) if b > a]


class PlainLoop:
    """The peer: what anyone writes first."""

    def __init__(self, rules: list[Rule], channels: tuple[Channel, ...]) -> None:
        numbers = {channel.name: number for number, channel in enumerate(channels)}
        self.rules = [
            (rule, numbers[rule.channel]) for rule in rules if rule.kind in ("above", "below", "outside", "equals")
        ]
        self.since = {rule.id: None for rule, _ in self.rules}
        self.active = {rule.id: False for rule, _ in self.rules}
        self.events = 0

    def take(self, decoded: Decoded) -> None:
        for rule, channel in self.rules:
            times, values = decoded.column(channel)
            for t, value in zip(times.tolist(), values.tolist(), strict=True):
                margin = rule.hysteresis if self.active[rule.id] else 0.0
                if rule.kind == "above":
                    is_bad = value > rule.limit - margin
                elif rule.kind == "below":
                    is_bad = value < rule.limit + margin
                elif rule.kind == "outside":
                    is_bad = value < rule.low + margin or value > rule.high - margin
                else:
                    is_bad = value in rule.values
                if is_bad == self.active[rule.id]:
                    self.since[rule.id] = None
                    continue
                since = self.since[rule.id]
                if since is None:
                    since = self.since[rule.id] = t
                delay = rule.off_delay_ms if self.active[rule.id] else rule.on_delay_ms
                if t - since >= delay * 1000:
                    self.active[rule.id] = is_bad
                    self.since[rule.id] = None
                    self.events += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    load = synthetic_load(options.seconds)
    decoder = Decoder(load_set([DbcSource(bus, "", f"bus{bus}.dbc", text) for bus, text in enumerate(load.dbc_texts)]))
    frames = load.frames
    everything = decoder.decode(frames)
    ranges = []
    for channel in range(len(decoder.channels)):
        values = everything.column(channel)[1]
        ranges.append((float(values.min()), float(values.max())) if len(values) else (0.0, 1.0))
    rules = make_rules(options.rules, decoder.channels, ranges)
    span_s = (frames.t_us[-1] - frames.t_us[0]) / 1e6
    print(f"{len(rules)} rules, {len(decoder.channels)} signals, {len(frames) / span_s:,.0f} frames/s, {span_s:.0f} s")

    parts = batches_of(frames, 100_000)
    start = time.process_time()
    live = [(part.t_us, decoder.decode(part)) for part in parts]
    decode_s = time.process_time() - start
    engine, events, spent = Engine(rules, decoder.channels), 0, []
    for t_us, decoded in live:
        start = time.process_time()
        events += len(engine.take(t_us, columns_of(decoded)))
        spent.append(time.process_time() - start)
    share = sum(spent) / span_s
    batch_ms = 1e3 * median(spent)
    print(f"live, 100 ms batches   {100 * share:6.2f} % of one core ({batch_ms:.2f} ms a batch), {events} changes")
    print(f"  decoding, shared     {100 * decode_s / span_s:6.2f} % of one core")
    print(f"  budget {100 * BUDGET:.0f} %: {'met' if share <= BUDGET else 'MISSED'}")

    big = [frames.take(slice(at, at + MAX_BATCH_FRAMES)) for at in range(0, len(frames), MAX_BATCH_FRAMES)]
    stored = [(part.t_us, decoder.decode(part)) for part in big]
    engine, again = Engine(rules, decoder.channels), 0
    start = time.process_time()
    for t_us, decoded in stored:
        again += len(engine.take(t_us, columns_of(decoded)))
    bulk_s = time.process_time() - start
    same = "the same" if again == events else "NOT THE SAME"
    print(f"over the lake   {len(frames) / bulk_s / 1e6:6.2f} M frames/s, {span_s / bulk_s:,.0f} times driving, {same}")

    peer = PlainLoop(rules, decoder.channels)
    start = time.process_time()
    for _, decoded in live:
        peer.take(decoded)
    peer_share = (time.process_time() - start) / span_s
    print(
        f"plain loop             {100 * peer_share:6.2f} % of one core for the {len(peer.rules)} simplest rules alone"
    )
    print(f"  for each rule: live {peer_share / len(peer.rules) / (share / len(rules)):.1f} times ours, ", end="")
    print(f"over the lake {peer_share / len(peer.rules) / (bulk_s / span_s / len(rules)):.1f} times ours")


if __name__ == "__main__":
    main()
