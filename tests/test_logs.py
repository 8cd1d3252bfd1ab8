"""Each line is one JSON object with fields from the list, whoever logs."""

import ast
import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from nightlatch import logs, traces
from nightlatch.logs import EVENTS, FIELDS

SOURCE = Path(logs.__file__).parent
SECRET = "271828"


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def logged() -> set[tuple[str, str]]:
    """Level and event of every call of a logger in the code."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            level, of = node.func.attr, ast.unparse(node.func.value)
            is_log = of in ("log", "self._log", "structlog.get_logger()")
            if is_log and level in ("debug", "info", "warning", "error"):
                assert isinstance(node.args[0], ast.Constant), f"{path}: an event is a constant"
                found.add((level, str(node.args[0].value)))
    return found


def test_every_event_that_is_logged_is_on_the_list_with_its_level():
    listed = {(level, event) for event, (level, _) in EVENTS.items() if event != "library"}

    assert logged() == listed


def test_a_line_has_time_level_and_event_and_no_field_beside_the_list(log):
    structlog.get_logger().info("request", route="GET_it", password=SECRET)

    (line,) = lines(log)
    assert line.keys() == {"timestamp", "level", "event", "route"}
    assert line.keys() <= FIELDS.keys()


def test_a_line_within_a_trace_bears_its_id(log, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traces, "trace_id", lambda: "ab" * 16)

    structlog.get_logger().info("request")

    assert lines(log)[0]["trace_id"] == "ab" * 16


def test_what_a_library_logs_is_a_line_too_without_its_message(log):
    library = logging.getLogger("some.library")

    library.debug("nobody hears of it")
    library.warning("it was sent %s", SECRET)
    try:
        raise OSError(SECRET)
    except OSError:
        library.exception("it broke: %s", SECRET)

    first, second = lines(log)
    assert (first["event"], first["level"], first["source"]) == (
        "library",
        "warning",
        "some.library",
    )
    assert str(first["where"]).startswith("test_logs.py:")
    assert (second["level"], second["error"]) == ("error", "OSError")
    assert SECRET not in log.getvalue()
