"""What waits to be sent, read when the metrics are shown."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from nightlatch.faces.metrics import Metrics, Reading
from nightlatch.ports import Backlog


def backlog_shown(
    backlog: Callable[[datetime], Awaitable[Backlog]],
    now: Callable[[], datetime],
    metrics: Metrics,
) -> Reading:
    """A reading for ``Metrics.reads`` that shows what the store says of its *backlog*."""

    async def read() -> None:
        at = now()
        metrics.show_backlog(await backlog(at), at)

    return read
