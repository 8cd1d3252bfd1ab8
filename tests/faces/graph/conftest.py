"""What the tests of the Graph face may ask for."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from nightlatch.faces.graph.errors import PROFILES
from nightlatch.faces.graph.openapi import document
from tests.faces.graph.desk import Desk, a_desk
from tests.faces.graph.sight import Sight
from tests.town import Town


@pytest.fixture
async def desk(town: Town) -> Desk:
    """A program with an access token of the owner's portfolio."""
    return await a_desk(town)


@pytest.fixture
def sight(desk: Desk, log: io.StringIO) -> Sight:
    """Looks at every refusal from all sides."""
    return Sight(desk, log)


@pytest.fixture(params=["docs"])
def profile(request: pytest.FixtureRequest) -> str:
    """Which words the server under test uses for errors."""
    return str(request.param)


@pytest.fixture(autouse=True)
def every_status_met_is_documented(log: io.StringIO, profile: str) -> Iterator[None]:
    """Each answer of a served call, in any test of this folder, stands in the OpenAPI document."""
    yield
    documented: dict[str, Any] = {}
    for path in document(PROFILES[profile])["paths"].values():
        for operation in path.values():
            documented[operation["operationId"]] = operation["responses"]
    for line in log.getvalue().splitlines():
        seen = json.loads(line)
        if seen["event"] != "request":
            continue
        name = re.sub(r"_graph_(number|waba|portfolio|app)$", "_graph_node", seen["route"])
        name = name if name in documented else seen["route"]
        if name not in documented:
            continue
        responses = documented[name]
        assert str(seen["status"]) in responses, seen
        if seen["code"] is not None:
            assert str(seen["code"]) in responses[str(seen["status"])]["description"], seen
