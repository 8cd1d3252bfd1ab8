"""Apps, system users and access tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import Base, changes, insert, refuse_full, select, update
from nightlatch.adapters.sql.rows import micros
from nightlatch.adapters.sql.step import Step
from nightlatch.domain.access import AccessToken, GraphApp, SystemUser
from nightlatch.domain.audit import Event
from nightlatch.domain.errors import (
    AccessTokenUnknown,
    AppUnknown,
    SystemUserUnknown,
    TooManyAccessTokens,
    TooManyApps,
    TooManySystemUsers,
)
from nightlatch.domain.limits import (
    ACCESS_TOKENS_PER_USER,
    APPS_PER_PORTFOLIO,
    SYSTEM_USERS_PER_PORTFOLIO,
)
from nightlatch.ports import AppChange, SystemUserChange

_APP: Final = select("apps", rows.APP_COLUMNS)
_USER: Final = select("system_users", rows.SYSTEM_USER_COLUMNS)
_TOKEN: Final = select("access_tokens", rows.ACCESS_TOKEN_COLUMNS)
_WHO: Final = (
    "SELECT "  # noqa: S608 - constants
    + ", ".join(
        [f"t.{column}" for column in rows.ACCESS_TOKEN_COLUMNS]
        + [f"u.{column}" for column in rows.SYSTEM_USER_COLUMNS]
        + [f"a.{column}" for column in rows.APP_COLUMNS]
    )
    + " FROM access_tokens t JOIN system_users u ON u.id = t.system_user"
    " JOIN apps a ON a.id = t.app WHERE t.hash = ?"
)
_REFERENCE: Final = 12
_TO_USER: Final = len(rows.ACCESS_TOKEN_COLUMNS)
_TO_APP: Final = _TO_USER + len(rows.SYSTEM_USER_COLUMNS)

Who = tuple[AccessToken, SystemUser, GraphApp]


class Access(Base):
    """The part of the ``Store`` port about who may use the Graph face."""

    async def app(self, id: str) -> GraphApp | None:
        async def read() -> GraphApp | None:
            row = await self._one(_APP + "WHERE id = ?", (id,))
            return None if row is None else rows.app_from_row(row)

        return await self._remembered(("app", id), read)

    async def apps(self, portfolio: str) -> Sequence[GraphApp]:
        found = await self._all(_APP + "WHERE portfolio = ? ORDER BY created_at, id", (portfolio,))
        return [rows.app_from_row(row) for row in found]

    async def add_app(self, app: GraphApp, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            await refuse_full(step, "apps", app.portfolio, APPS_PER_PORTFOLIO, TooManyApps())
            await step.run(insert("apps", rows.APP_COLUMNS), rows.app_to_row(app))
            await self._append_to_portfolio(step, app.portfolio, events)

        await self._step(work)

    async def update_app(self, id: str, change: AppChange) -> GraphApp:
        async def work(step: Step) -> GraphApp:
            before = await step.one(_APP + "WHERE id = ?", (id,))
            if before is None:
                raise AppUnknown
            decision = change(rows.app_from_row(before))
            after = rows.app_to_row(decision.app)
            await update(step, "apps", changes(rows.APP_COLUMNS, before, after), "id", id)
            await self._append_to_portfolio(step, decision.app.portfolio, decision.events)
            return decision.app

        return await self._step(work)

    async def remove_app(self, id: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            row = await step.one("DELETE FROM apps WHERE id = ? RETURNING portfolio", (id,))
            if row is None:
                raise AppUnknown
            await self._append_to_portfolio(step, row[0], events)

        await self._step(work)

    async def system_user(self, id: str) -> SystemUser | None:
        row = await self._one(_USER + "WHERE id = ?", (id,))
        return None if row is None else rows.system_user_from_row(row)

    async def system_users(self, portfolio: str) -> Sequence[SystemUser]:
        found = await self._all(_USER + "WHERE portfolio = ? ORDER BY created_at, id", (portfolio,))
        return [rows.system_user_from_row(row) for row in found]

    async def add_system_user(self, user: SystemUser, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            most = SYSTEM_USERS_PER_PORTFOLIO
            await refuse_full(step, "system_users", user.portfolio, most, TooManySystemUsers())
            await step.run(
                insert("system_users", rows.SYSTEM_USER_COLUMNS), rows.system_user_to_row(user)
            )
            await self._append_to_portfolio(step, user.portfolio, events)

        await self._step(work)

    async def update_system_user(self, id: str, change: SystemUserChange) -> SystemUser:
        async def work(step: Step) -> SystemUser:
            before = await step.one(_USER + "WHERE id = ?", (id,))
            if before is None:
                raise SystemUserUnknown
            decision = change(rows.system_user_from_row(before))
            after = rows.system_user_to_row(decision.user)
            changed = changes(rows.SYSTEM_USER_COLUMNS, before, after)
            await update(step, "system_users", changed, "id", id)
            await self._append_to_portfolio(step, decision.user.portfolio, decision.events)
            return decision.user

        return await self._step(work)

    async def remove_system_user(self, id: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            row = await step.one("DELETE FROM system_users WHERE id = ? RETURNING portfolio", (id,))
            if row is None:
                raise SystemUserUnknown
            await self._append_to_portfolio(step, row[0], events)

        await self._step(work)

    async def access_token(self, token_hash: bytes) -> Who | None:
        async def read() -> Who | None:
            row = await self._one(_WHO, (token_hash,))
            if row is None:
                return None
            return (
                rows.access_token_from_row(row[:_TO_USER]),
                rows.system_user_from_row(row[_TO_USER:_TO_APP]),
                rows.app_from_row(row[_TO_APP:]),
            )

        return await self._remembered(("access token", token_hash), read)

    async def access_tokens(self, user: str) -> Sequence[AccessToken]:
        found = await self._all(
            _TOKEN + 'WHERE "system_user" = ? ORDER BY issued_at DESC, hash', (user,)
        )
        return [rows.access_token_from_row(row) for row in found]

    async def add_access_token(
        self, token: AccessToken, events: Sequence[Event], now: datetime
    ) -> None:
        async def work(step: Step) -> None:
            row = await step.one("SELECT portfolio FROM system_users WHERE id = ?", (token.user,))
            if row is None:
                raise SystemUserUnknown
            if (await step.one("SELECT 1 FROM apps WHERE id = ?", (token.app,))) is None:
                raise AppUnknown
            (live,) = await step.one(
                "SELECT count(*) FROM access_tokens"
                ' WHERE "system_user" = ? AND (expires_at IS NULL OR expires_at > ?)',
                (token.user, micros(now)),
            )
            if live >= ACCESS_TOKENS_PER_USER:
                raise TooManyAccessTokens
            await step.run(
                insert("access_tokens", rows.ACCESS_TOKEN_COLUMNS), rows.access_token_to_row(token)
            )
            await self._append_to_portfolio(step, row[0], events)

        await self._step(work)

    async def revoke_access_token(self, user: str, reference: str, events: Sequence[Event]) -> None:
        async def work(step: Step) -> None:
            held = await step.all('SELECT hash FROM access_tokens WHERE "system_user" = ?', (user,))
            meant = [(hash,) for (hash,) in held if hash.hex()[:_REFERENCE] == reference]
            if not meant:
                raise AccessTokenUnknown
            await step.many("DELETE FROM access_tokens WHERE hash = ?", meant)
            (portfolio,) = await step.one(
                "SELECT portfolio FROM system_users WHERE id = ?", (user,)
            )
            await self._append_to_portfolio(step, portfolio, events)

        await self._step(work)
