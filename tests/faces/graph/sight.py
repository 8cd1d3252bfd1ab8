"""Looks at a refusal from all sides: the answer, what is stored, the work done, the log."""

import io
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from typing import Any

from nightlatch.domain.guesses import Guesses
from nightlatch.domain.numbers import Number, RegistrationBudget
from tests.faces.graph.desk import Desk, GraphReply


class Sight:
    """What the tests of this folder assert of every refusal."""

    def __init__(self, desk: Desk, log: io.StringIO) -> None:
        self._desk = desk
        self._log = log

    async def state(self) -> dict[str, Any]:
        """Everything that a call could change, through the store's own reads."""
        store = self._desk.town.house.store
        found: dict[str, Any] = {}
        for number in await store.numbers():
            found[f"number {number.id}"] = number
            found[f"profile {number.id}"] = await store.profile(number.id)
        for portfolio in await store.portfolios():
            for app in await store.apps(portfolio.id):
                found[f"app {app.id}"] = app
            for waba in await store.wabas(portfolio.id):
                found[f"subscriptions {waba.id}"] = list(await store.subscriptions(waba.id))
        found["heads"] = sorted(await store.audit_heads())
        return found

    async def refused(
        self,
        answer: Awaitable[GraphReply],
        status: int,
        code: int,
        *,
        secrets: Iterable[str] = (),
        guesses: int = 0,
    ) -> GraphReply:
        """Wait for *answer* and look at it.

        Nothing stored may differ afterwards but the *guesses* that were compared (each
        of which is also a registration, right or wrong),
        as many slow hashes may be computed, and none of *secrets* may be in the
        answer or in the log.
        """
        pool = self._desk.town.house.pool
        before, computed = await self.state(), pool.computed
        got = await answer
        after = await self.state()

        assert got.verdict == (status, code), got
        assert got.header("Content-Type") == "application/json; charset=UTF-8"
        if guesses:
            key = f"number {self._desk.number}"
            assert after[key].guesses.ticket == before[key].guesses.ticket + guesses
            before, after = _without_guesses(before), _without_guesses(after)
        assert after == before
        assert pool.computed - computed == guesses
        shown = got.reply.raw.decode() + str(got.reply.headers)
        for secret in secrets:
            assert secret not in shown
            assert secret not in self._log.getvalue()
        return got


def _without_guesses(state: dict[str, Any]) -> dict[str, Any]:
    return {
        key: replace(value, guesses=Guesses(), registrations=RegistrationBudget())
        if isinstance(value, Number)
        else value
        for key, value in state.items()
        if key != "heads"
    }
