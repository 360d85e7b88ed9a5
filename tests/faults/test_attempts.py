"""Every attempt is counted, and what became of failed ones is shown."""

import json

from tests.support.command import Plaudit


def test_every_attempt_is_counted_and_shown(plaudit: Plaudit, server_of, source_of) -> None:
    server = server_of("--faults", "500=100")
    args = ("judge", "feedback", source_of(1), "-e", server.engine, "--readout", "json")
    done = plaudit(*args, "--attempts", "3", "--json")
    assert done.status == 1
    assert done.summary["failed"] == 1
    assert done.summary["engine_calls"] == len(server.asked()) == 3
    reported = json.loads(plaudit("show", "last", "--json").stdout)
    assert reported["verdict"]["error"]["attempts"] == 3
    assert [(turn, cause) for turn, _, cause, *_ in reported["attempts"]] == [
        ("main", "server_error")
    ] * 3
    shown = plaudit("show", "last", "--failed").stdout
    assert shown.count("attempt failed") == 3
    assert "answered 500" in shown
