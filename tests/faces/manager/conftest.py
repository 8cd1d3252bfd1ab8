"""What the tests of the Manager may ask for."""

import pytest

from nightlatch import bootstrap
from tests.manager_client import Office, open_office
from tests.town import Town


@pytest.fixture(autouse=True)
def no_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test does changes the file, however long it takes; except once at the start."""
    monkeypatch.setattr(bootstrap, "_TIDY_EVERY", 3600.0)


@pytest.fixture
async def office(town: Town) -> Office:
    """A running server; owner, admin and viewer have a login to the Manager."""
    return await open_office(town)
