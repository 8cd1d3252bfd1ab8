"""Every store keeps every promise of the ``Store`` port."""

from typing import Any

import pytest

from tests.contracts.checks import Check
from tests.contracts.make_postgres import MakePostgres
from tests.contracts.makers import Make, MakeSqlite
from tests.contracts.promises import CHECKS

MAKERS: list[type[Make[Any]]] = [MakeSqlite, MakePostgres]
"""A further store joins the contract by one more entry here."""
KEPT = [
    (maker, check) for maker in MAKERS for check in CHECKS if check.__name__ not in maker.without
]


def sentence(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize(
    ("make_store", "check"),
    KEPT,
    ids=[f"{maker.name}-{sentence(check)}" for maker, check in KEPT],
    indirect=["make_store"],
)
async def test_the_store_promises_that(check: Check, make_store: Make[Any]):
    await check(make_store)


def test_what_a_store_need_not_promise_is_a_promise():
    known = {check.__name__ for check in CHECKS}

    assert [name for maker in MAKERS for name in maker.without if name not in known] == []
