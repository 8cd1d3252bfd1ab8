"""Every store keeps every promise of the ``Store`` port."""

import pytest

from tests.contracts.checks import Check
from tests.contracts.makers import MakeSqlite
from tests.contracts.promises import CHECKS


def sentence(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("check", CHECKS, ids=sentence)
async def test_the_store_promises_that(check: Check, make_store: MakeSqlite):
    await check(make_store)
