"""What the tests of the Manager may ask for."""

import pytest

from tests.manager_client import Office, open_office
from tests.town import Town


@pytest.fixture
async def office(town: Town) -> Office:
    """A running server; owner, admin and viewer have a login to the Manager."""
    return await open_office(town)
