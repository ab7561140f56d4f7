"""An engine's state as plain values: saved with watch's position, and moved over when rules or DBCs change."""

from typing import Any

import numpy as np

from ved.analysis.alarms.conditions import Memory
from ved.analysis.alarms.engine import Engine
from ved.analysis.alarms.life import Life, Phase


def engine_state(engine: Engine) -> dict[str, Any]:
    """What `restore` needs; values of JSON, NaN among them. The running memory of expressions is left out."""
    looker = engine.looker
    rules = {}
    for values, bound, life, worst in zip(engine.values, engine.bound, engine.lives, engine.worst, strict=True):
        rules[values["id"]] = {
            "rule": values,
            "life": [int(life.phase), life.is_true, life.deadline_us],
            "worst": worst,
            "parts": [_memory_values(looker.memory, part) for part in bound.parts],
        }
    return {
        "now_us": engine.now_us,
        "start_us": looker.start_us,
        "heard_us": looker.heard_us,
        "channels": {
            looker.names[at]: [int(looker.last_us[at]), float(looker.last_value[at])] for at in sorted(looker.used)
        },
        "rules": rules,
    }


def restore(engine: Engine, state: dict[str, Any]) -> list[str]:
    """Put a saved state into a new engine. Returns ids of rules whose alarm was on and that are not the same now."""
    looker = engine.looker
    engine.now_us, looker.start_us, looker.heard_us = state["now_us"], state["start_us"], state["heard_us"]
    for at, name in enumerate(looker.names):
        if name in state["channels"]:
            looker.last_us[at], looker.last_value[at] = state["channels"][name]
    saved = dict(state["rules"])
    for number, (values, bound) in enumerate(zip(engine.values, engine.bound, strict=True)):
        known = saved.get(values["id"])
        if known is None or known["rule"] != values or len(known["parts"]) != len(bound.parts):
            continue
        del saved[values["id"]]
        phase, is_true, deadline_us = known["life"]
        was = engine.lives[number]
        engine.lives[number] = Life(was.on_delay_us, was.off_delay_us, Phase(phase), is_true, deadline_us)
        engine.worst[number] = known["worst"]
        for part, memory in zip(bound.parts, known["parts"], strict=True):
            _put_memory(looker.memory, part, memory)
    return [rule for rule, known in saved.items() if known["life"][0] >= Phase.ACTIVE]


def _memory_values(memory: Memory, at: int) -> list[Any]:
    t_us, values = memory.tails.get(at, (np.empty(0, np.int64), np.empty(0)))
    frozen = [bool(memory.has_last[at]), float(memory.last[at]), int(memory.changed_us[at])]
    return [bool(memory.is_on[at]), *frozen, t_us.tolist(), values.tolist()]


def _put_memory(memory: Memory, at: int, saved: list[Any]) -> None:
    memory.is_on[at], memory.has_last[at], memory.last[at], memory.changed_us[at], t_us, values = saved
    if t_us:
        memory.tails[at] = np.array(t_us, np.int64), np.array(values, np.float64)
