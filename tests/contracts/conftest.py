"""The stores under contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.makers import MAKERS, MakeSqlite


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSqlite]:
    """Opens stores of one kind, all on the same storage, which is empty at first."""
    made = request.param(tmp_path)
    yield made
    made.close()
