"""The stores under contract."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.makers import Make


@pytest.fixture
async def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make[Any]]:
    """Opens stores of one kind, all on the same storage, which is empty at first."""
    made = request.param(tmp_path)
    yield made
    await made.close()
