"""A dry run counts what a run then asks."""

import math
from pathlib import Path
from typing import Any

from tests.support.command import Here, write_rows
from tests.support.server import FakeOpenAI, chat

SHOWN = [(word, math.log(0.1)) for word in ("praise", "requirement", "correction")]
ROWS = [
    {"id": str(n), "query": f"Case {n}?", "answer": "So.", "follow_up": "Thanks!"} for n in range(3)
]


def like_vllm(body: Any) -> Any:
    """Show three options of seven, and tell the log-probability of a given text."""
    if "prompt_logprobs" not in body:
        return chat("praise", SHOWN)
    word = body["messages"][-1]["content"]
    token = {"1": {"logprob": math.log(0.12), "rank": 1, "decoded_token": word}}
    return chat("x") | {"prompt_logprobs": [None, token]}


def test_defect_16_a_dry_run_counts_the_prior_and_continuations(tmp_path: Path) -> None:
    plaudit = Here(tmp_path / "home")
    source = write_rows(tmp_path / "in.jsonl", ROWS)
    with FakeOpenAI(like_vllm) as server:
        command = ("judge", "feedback", source, "-e", f"vllm:m@{server.url}", "--json")
        plan = plaudit(*command, "--dry-run").summary
        assert server.bodies == []
        done = plaudit(*command)
        assert done.status == 0, done.stderr
        assert plan["prior_calls"] > 3
        assert plan["calls"] == plan["prior_calls"] + 3
        assert plan["continuation_calls_limit"] == 7 * plan["calls"]
        assert done.summary["engine_calls"] == len(server.bodies)
        assert done.summary["engine_calls"] == plan["calls"] + plan["continuation_calls_limit"]
        again = plaudit(*command, "--dry-run").summary
        assert (again["calls"], again["continuation_calls_limit"]) == (0, 0)
        assert again["stored"] == done.summary["engine_calls"]
        text = plaudit(*command[:-1], "--dry-run", "--fresh").stdout
        assert f"{plan['calls']} calls to send, {plan['prior_calls']} of them for the prior" in text
        assert f"up to {plan['continuation_calls_limit']} calls more" in text
