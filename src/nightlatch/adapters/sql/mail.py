"""Letters on their way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nightlatch.adapters.sql import rows
from nightlatch.adapters.sql.base import Base, changes, select, update
from nightlatch.adapters.sql.rows import micros
from nightlatch.adapters.sql.step import Step
from nightlatch.domain.errors import MailUnknown
from nightlatch.domain.mail import Posted
from nightlatch.ports import MailChange

_MAIL: Final = select("mail", rows.MAIL_COLUMNS)


class Mails(Base):
    """The part of the ``Store`` port about mail."""

    async def lease_mail(self, now: datetime, until: datetime, limit: int) -> Sequence[Posted]:
        due = "SELECT key FROM mail WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?"
        if not await self._all(due, (micros(now), 1)):
            return []

        async def work(step: Step) -> list[Posted]:
            found = await step.all(
                "UPDATE mail SET due_at = ?, attempts = attempts + 1"  # noqa: S608 - constants
                f" WHERE key IN ({due}{self._UNLOCKED}) RETURNING {', '.join(rows.MAIL_COLUMNS)}",
                (micros(until), micros(now), limit),
            )
            return [rows.posted_from_row(row) for row in found]

        return await self._step(work)

    async def update_mail(self, key: str, change: MailChange) -> Posted:
        async def work(step: Step) -> Posted:
            before = await step.one(_MAIL + "WHERE key = ?", (key,))
            if before is None:
                raise MailUnknown
            posted = change(rows.posted_from_row(before))
            after = rows.posted_to_row(posted)
            await update(step, "mail", changes(rows.MAIL_COLUMNS, before, after), "key", key)
            return posted

        return await self._step(work)

    async def mail(self, key: str) -> Posted | None:
        row = await self._one(_MAIL + "WHERE key = ?", (key,))
        return None if row is None else rows.posted_from_row(row)

    async def mails(self, portfolio: str | None, limit: int) -> Sequence[Posted]:
        where = "" if portfolio is None else "WHERE portfolio = ? "
        found = await self._all(
            _MAIL + where + "ORDER BY posted_at DESC, key DESC LIMIT ?",
            (limit,) if portfolio is None else (portfolio, limit),
        )
        return [rows.posted_from_row(row) for row in found]

    async def failed_mails(self, portfolio: str | None) -> int:
        where = "" if portfolio is None else " AND portfolio = ?"
        row = await self._one(
            "SELECT count(*) FROM mail WHERE state = 'failed'" + where,  # noqa: S608 - constants
            () if portfolio is None else (portfolio,),
        )
        return int(row[0])
