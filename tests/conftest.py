"""What every test may ask for."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from nightlatch import logs
from nightlatch.bootstrap import House
from tests.town import Town, a_house, a_town

pytest.register_assert_rewrite(  # before any test imports them
    *(
        f"tests.contracts.{name}"
        for name in ("checks", "people", "letters", "lists", "access", "webhooks")
    )
)

# The same examples in every run, half of the usual number, so that the gate stays short; for
# new ones and all of them: pytest --hypothesis-profile=default
hypothesis.settings.register_profile(
    "steady", max_examples=50, deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("steady")


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Everything that is logged during the test, as JSON lines."""
    logs.configure("json", "debug")
    written = io.StringIO()
    structlog.configure(
        logger_factory=structlog.WriteLoggerFactory(written), cache_logger_on_first_use=False
    )
    yield written
    structlog.reset_defaults()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A data folder that is set up, with cheap hashing and a clock to step."""
    async with a_house(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A running server on a real socket; owner and thief have logged in."""
    async with a_town(tmp_path / "data") as running:
        yield running
