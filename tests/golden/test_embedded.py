"""What identifies the judges of the embedded model, and what they ask it; not what it says."""

import json
from pathlib import Path

import pytest

from tests.golden import replies
from tests.golden.session import Session, check

MODEL = "smollm2-135m-instruct"
OPEN = {
    "id": "open",
    "question": "Why is the sea salt?",
    "answer": "Rivers bring minerals that stay when water evaporates.",
    "reference": "Dissolved minerals from rocks are carried there by rivers",
}
"""An answer that no rule decides."""


@pytest.mark.parametrize("kind", sorted(replies.WORDS))
def test_the_embedded_judge_asks_the_same(tmp_path: Path, kind: str) -> None:
    session = Session(tmp_path)
    listed = session.run("models", log=False).splitlines()
    if any(MODEL in line and "not here" in line for line in listed):
        pytest.skip("the embedded model is not in the cache")
    row = session.write("row.jsonl", [OPEN if kind == "verify" else replies.rows(kind)[0]])
    judge = ("judge", kind, row, "-e", "local", "--json")
    session.run(*judge, "--dry-run")
    summary = json.loads(session.run(*judge, "--prior", "none", "--shots", "0", log=False))
    session.record["without prior and shots"] = [
        summary[name] for name in ("judge", "readout", "mode")
    ]
    session.show_store()
    check(f"embedded {kind}", session.record)
