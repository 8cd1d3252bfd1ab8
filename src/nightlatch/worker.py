"""One of the server processes that ``nightlatch serve --workers`` starts.

``python -m nightlatch.worker NAME LISTENER...``: *NAME* is what it counts under, and each
*LISTENER* a listening socket that it inherits. Settings come from the environment. It says
``ready`` on standard output, ends on SIGTERM, and also when its standard input does: that is a
pipe which closes with the process that started it, however that one ends.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import uvloop
from prometheus_client import values

from nightlatch import bootstrap, logs
from nightlatch.domain.limits import STOP_SECONDS
from nightlatch.settings import SettingRefused, load

READY: Final = b"ready\n"
_BROKEN = 3
_LAST = 3 * STOP_SECONDS  # seconds after which a process that nobody needs ends in any case


def main(words: Sequence[str]) -> int:
    """Serve; the exit status."""
    name, *listeners = words
    counts: Any = values
    counts.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]  # untyped
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to everybody
        signal.signal(ignored, signal.SIG_IGN)
    try:
        uvloop.run(_serve([int(listener) for listener in listeners]))
    except (SettingRefused, bootstrap.StartRefused) as refused:
        print(f"nightlatch: {refused}", file=sys.stderr)  # noqa: T201 - as the commands do
        return _BROKEN
    return 0


async def _serve(listeners: Sequence[int]) -> None:
    settings = load()
    logs.configure(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    threading.Thread(target=_end_with_parent, args=(loop, stop), daemon=True).start()

    async def ready() -> None:
        os.write(sys.stdout.fileno(), READY)

    async with bootstrap.open_house(settings) as house:
        await bootstrap.serve(house, stop, ready, listeners)


def _end_with_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """A thread, so that not even a loop that hangs outlives the parent."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    try:
        loop.call_soon_threadsafe(stop.set)
    except RuntimeError:  # the loop is closed: we are ending
        return
    time.sleep(_LAST)
    os._exit(_BROKEN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
