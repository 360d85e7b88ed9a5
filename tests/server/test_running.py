"""The log: JSON, a line each, without texts of rows."""

import json
import logging
import sys

from plaudit.server.running import Address, JSONLines


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("plaudit.server", logging.INFO, __file__, 1, message, (), None)
    made.__dict__.update(more)
    return made


def test_a_record_is_a_line_with_its_facts() -> None:
    line = json.loads(JSONLines().format(record("request", facts={"status": 200, "rows": 3})))
    assert (line["event"], line["level"], line["status"], line["rows"]) == (
        "request",
        "info",
        200,
        3,
    )


def test_a_traceback_has_no_message_since_that_may_hold_a_text() -> None:
    try:
        raise ValueError("what a user wrote")
    except ValueError:
        line = JSONLines().format(record("scoring failed", exc_info=sys.exc_info()))
    assert "what a user wrote" not in json.loads(line)["traceback"].splitlines()[-1]
    assert json.loads(line)["traceback"].endswith("ValueError")
    assert "\n" not in line


def test_an_address_is_a_url() -> None:
    assert Address("::1", 80).url == "http://[::1]:80"
