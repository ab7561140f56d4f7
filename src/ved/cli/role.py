"""One role in a process of its own: `python -m ved.cli.role NAME LOG_FORMAT`, started by the supervisor.

The settings come as one JSON line on standard input. That pipe is also the lifeline: when it closes, because the
supervisor asked or died, the role stops cleanly. Standard output carries JSON lines: `{"ready": {}}`, `{"error": ""}`.
"""

import asyncio
import importlib
import inspect
import json
import signal
import sys
import threading
from typing import Any, Final, NoReturn

from pydantic import TypeAdapter

from ved.cli.logs import set_up_logging
from ved.cli.memory import keep_giving_back, use_one_allocator
from ved.cli.rolehealth import beat, beat_file, instance_of, report_health
from ved.errors import UserError
from ved.metrics import Counters

# name -> (module, coroutine function, settings class); imported only in the process that runs the role.
ROLES: Final = {
    "ingest": ("ved.ingest.role", "run_ingest", "IngestSettings"),
    "record": ("ved.record.role", "run_record", "RecordSettings"),
    "watch": ("ved.watch.role", "run_watch", "WatchSettings"),
    "web": ("ved.web.role", "run_web", "WebSettings"),
    "influx": ("ved.influx.role", "run_influx", "InfluxSettings"),
    "mqtt": ("ved.mqtt.role", "run_mqtt", "MqttSettings"),
    "car": ("ved.cli.simulated_car", "run_simulated_car", "SimulatedCarSettings"),
}


def main() -> NoReturn:
    """Entry of the child process. Exit codes: 0 stopped, 2 refused (bad input), 1 crashed."""
    use_one_allocator()
    set_up_logging(sys.argv[1], "json" if sys.argv[2:] == ["json"] else "text")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides the order
    module_name, function_name, settings_name = ROLES[sys.argv[1]]
    module = importlib.import_module(module_name)
    settings = TypeAdapter(getattr(module, settings_name)).validate_json(sys.stdin.readline())
    try:
        asyncio.run(_run(sys.argv[1], getattr(module, function_name), settings))
    except UserError as error:
        _say("error", str(error))
        sys.exit(2)
    sys.exit(0)


async def _run(name: str, function: Any, settings: Any) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    lifeline = threading.Thread(target=_await_end, args=(loop, stop), daemon=True)
    lifeline.start()
    counters = Counters()
    beside: list[asyncio.Task[NoReturn]] = [asyncio.create_task(keep_giving_back())]
    if hasattr(settings, "db_url"):  # a role of the server; a simulated car has no database
        instance = instance_of(name, settings)
        beside.append(asyncio.create_task(report_health(instance, settings.db_url, settings.data, counters)))
        beside.append(asyncio.create_task(beat(beat_file(settings.data, name))))
    try:
        counted = {"counters": counters} if "counters" in inspect.signature(function).parameters else {}
        await function(settings, lambda info: _say("ready", info), stop, **counted)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def _await_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while sys.stdin.readline():
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


def _say(key: str, value: object) -> None:
    sys.stdout.write(json.dumps({key: value}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
