"""A pytest plugin: the fixture ``nightlatch`` is a running registry with one number.

pytest loads this module in every run of every project that has the package
installed, so it imports nothing heavy before the fixture is used.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nightlatch.testing import Registry


@pytest.fixture
def nightlatch() -> "Iterator[Registry]":
    """A running Nightlatch of this test's own; gone with all it held when the test ends."""
    from nightlatch.testing import running  # noqa: PLC0415 - heavy, and most runs need none of it

    with running() as registry:
        yield registry
