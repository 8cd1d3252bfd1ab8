"""The default sender: no network, the message is kept for ``nightlatch codes`` to show."""

from nightlatch.ports import Clock, HandsetMessage, OutboxMessage, Store


class HandsetSender:
    """The ``CodeSender`` port for numbers whose phone is this machine."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def send(self, waiting: OutboxMessage) -> None:
        message = waiting.message
        await self._store.put_on_handset(
            waiting.key,
            HandsetMessage(
                message.e164,
                message.method,
                waiting.number,
                message.sealed,
                self._clock.now(),
                message.expires_at,
            ),
        )
