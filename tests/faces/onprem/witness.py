"""Looks at a refusal from all sides: the answer, what is stored, the work done, the log."""

import io
import sqlite3
from collections.abc import Awaitable, Iterable
from typing import Any

from nightlatch.faces.onprem.errors import TITLES
from nightlatch.faces.onprem.wire import META
from tests.town import Reply, Town, exchange

Rows = dict[str, dict[str, Any]]

GUESS = frozenset(
    {"guess_ticket", "guess_run", "guess_paid", "guess_since", "guess_locked", "guess_forgiven"}
    | {"guess_warned", "attacked_at", "wait_ends_at"}
    | {"numbers.audit_seq", "numbers.audit_head"}
)
"""The columns that one compared PIN may change."""
LOGIN = frozenset({"wrong_logins", "last_wrong_at", "clients.audit_seq", "clients.audit_head"})
"""The columns that one compared password may change."""
CODE = frozenset(
    {"pending_checks", "pending_checked_at", "numbers.audit_seq", "numbers.audit_head"}
)
"""The columns that one compared registration code may change."""

_TABLES = {
    "numbers": "SELECT e164 AS key, * FROM numbers",
    "clients": "SELECT name AS key, * FROM clients",
    "users": "SELECT client || '/' || username AS key, * FROM users",
    "tokens": "SELECT hex(hash) AS key, * FROM tokens",
}


class Witness:
    """What the tests of this folder assert of every refusal."""

    def __init__(self, town: Town, log: io.StringIO) -> None:
        self._town = town
        self._log = log
        self._database = sqlite3.connect(
            f"file:{town.house.settings.database_file}?mode=ro", uri=True
        )
        self._database.row_factory = sqlite3.Row

    def close(self) -> None:
        self._database.close()

    def rows(self) -> Rows:
        """Every number, client, user and token as it is stored."""
        found: Rows = {}
        for table, query in _TABLES.items():
            for row in self._database.execute(query):
                found[f"{table} {row['key']}"] = dict(row)
        return found

    async def refused(
        self,
        answer: Awaitable[Reply],
        status: int,
        code: int,
        *,
        secrets: Iterable[str] = (),
        may_change: Iterable[str] = (),
        hashes: int = 0,
    ) -> Reply:
        """Wait for *answer* and look at it.

        Nothing stored may differ afterwards but the columns in *may_change*,
        exactly *hashes* slow hashes may be computed, and none of *secrets* may
        be in the answer or in the log.
        """
        before, computed = self.rows(), self._town.house.pool.computed
        got = await answer
        after = self.rows()

        assert got.verdict == (status, code), got
        assert got.body["meta"] == META
        assert got.error["title"] == TITLES[code]
        assert got.header("Content-Type") == "application/json"
        await self._href_resolves(got)
        self._retry_after_fits(got)
        assert _changed(before, after) <= set(may_change)
        assert self._town.house.pool.computed - computed == hashes
        shown = got.raw.decode() + str(got.headers)
        for secret in secrets:
            assert secret not in shown
            assert secret not in self._log.getvalue()
        return got

    async def _href_resolves(self, got: Reply) -> None:
        origin = f"http://127.0.0.1:{self._town.port}"
        href = got.error["href"]
        assert href.startswith(origin + "/")
        page = await exchange(self._town.port, "GET", href.removeprefix(origin))
        assert page.status == 200
        assert f"<h1>{got.error['code']} {got.error['title']}</h1>" in page.raw.decode()

    def _retry_after_fits(self, got: Reply) -> None:
        seconds = got.header("Retry-After")
        assert (seconds is not None) == (got.status in (429, 503))
        if seconds is not None:
            assert int(seconds) >= 1
        if got.status == 429:
            assert f"in {seconds} seconds" in got.error["details"]


def _changed(before: Rows, after: Rows) -> set[str]:
    """Columns that differ (audit ones with their table), and rows that came or went."""
    found = set(before.keys() ^ after.keys())
    for key in before.keys() & after.keys():
        table = key.partition(" ")[0]
        found |= {
            f"{table}.{column}" if column.startswith("audit_") else column
            for column, value in before[key].items()
            if after[key][column] != value
        }
    return found
