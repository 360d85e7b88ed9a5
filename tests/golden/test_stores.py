"""A store that was written before the golden files answers for what is in it."""

import json
from pathlib import Path

import pytest

from tests.golden import replies
from tests.golden.session import FILES, Session, check

STORE = FILES / "store.sql"
COMMANDS = (
    "judge feedback feedback.jsonl -e scripted:script.jsonl --json --readout json",
    "judge feedback feedback.jsonl -e scripted:script.jsonl --json --readout logprob",
    "judge verify feedback-verify.jsonl --json",
    "rollout questions.jsonl -e scripted:rollout.jsonl --date 2026-11-21 -o traces.jsonl --json",
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(tmp_path)
    session.write("script.jsonl", replies.script("feedback"))
    session.write("feedback.jsonl", replies.rows("feedback"))
    session.write("feedback-verify.jsonl", replies.rows("verify"))
    session.write("questions.jsonl", [{"id": "q", "question": "How high?", "answer": "31 metres"}])
    session.write("rollout.jsonl", [{"match": {}, "replies": [{"text": "31 metres"}]}])
    return session


def test_a_store_answers_for_what_was_asked_before(session: Session) -> None:
    if not STORE.exists():
        for command in COMMANDS:
            session.run(*command.split(), log=False)
        session.dump_store(STORE)
    else:
        session.load_store(STORE)
    for command in COMMANDS:
        summary = json.loads(session.run(*command.split()))
        assert summary["engine_calls"] == 0, command
    session.run("show", "feedback-0001", "--limit", "2")
    session.show_store()
    check("store", session.record)
