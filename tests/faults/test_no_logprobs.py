"""Servers that ignore that log-probabilities are asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge, UsageError
from plaudit.sending.pool import SendPolicy
from tests.support.command import Done, Here, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI, chat, error

GOOD = json.dumps({"rationale": "Says thanks.", "label": "pos_praise", "confidence": 0.9})
SEND = SendPolicy(attempts=2, backoff=0.001, max_backoff=0.002)


def row(number: int) -> dict[str, str]:
    return {"id": str(number), "query": f"Case {number}?", "answer": "So.", "follow_up": "Thanks!"}


ROWS = [row(number) for number in range(30)]


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


def ignores(body: Any) -> Any:
    """Answer in JSON where a schema is asked for, else with a word, and never with more."""
    return GOOD if "response_format" in body else chat("praise")


def with_logprobs(bodies: list[Any]) -> int:
    return sum("logprobs" in body for body in bodies)


def judged(plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path, *options: str) -> Done:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(source, ROWS)
    engine = f"vllm:m@{server.url}"
    return plaudit("judge", "feedback", source, "-e", engine, "-o", out, "--json", *options)


@pytest.mark.parametrize("prior", ["auto", "none"])
def test_defect_13_auto_falls_back_to_json_once_and_remembers_it(
    plaudit: Plaudit, tmp_path: Path, prior: str
) -> None:
    options = ("--prior", prior)
    with FakeOpenAI(ignores) as server:
        done = judged(plaudit, server, tmp_path, *options)
        assert done.status == 0, done.stderr
        assert done.stderr.count("the json readout is used") == 1
        assert "no log-probabilities" in done.stderr
        verdicts = rows_of(tmp_path / "out.jsonl")
        assert {verdict["value"] for verdict in verdicts} == {"pos_praise"}
        assert len({verdict["judge"] for verdict in verdicts}) == 1
        summary = done.summary
        assert (summary["readout"], summary["judge"]) == ("json", verdicts[0]["judge"])
        assert "no log-probabilities" in summary["notes"][-1]

        before = len(server.bodies)
        again = judged(plaudit, server, tmp_path, *options)
        assert (again.status, again.summary["cached"]) == (0, 30)
        assert len(server.bodies) == before
        assert rows_of(tmp_path / "out.jsonl") == verdicts
        assert again.summary["notes"] == summary["notes"]
        shown = plaudit("show", "last", "--json").stdout
        assert '"rationale' in shown


def test_defect_13_a_stopped_run_goes_on_without_a_probe(plaudit: Plaudit, tmp_path: Path) -> None:
    def revoked(body: Any) -> Any:
        answered = sum("response_format" in one for one in server.bodies)
        return ignores(body) if answered < 12 else error(401, "revoked")

    with FakeOpenAI(revoked) as server:
        assert judged(plaudit, server, tmp_path).status == 3
        server.reply = ignores
        before = len(server.bodies)
        done = judged(plaudit, server, tmp_path)
        assert (done.status, done.summary["ok"]) == (0, 30)
        assert with_logprobs(server.bodies[before:]) == 0


def test_what_was_found_out_is_found_out_again_with_fresh(plaudit: Plaudit, tmp_path: Path) -> None:
    with FakeOpenAI(ignores) as server:
        judged(plaudit, server, tmp_path)
        before = len(server.bodies)
        assert judged(plaudit, server, tmp_path, "--fresh").summary["readout"] == "json"
        assert with_logprobs(server.bodies[before:])


@pytest.mark.parametrize(("prior", "status"), [("auto", 3), ("none", 1)])
def test_the_logprob_readout_by_name_is_not_given_up(
    plaudit: Plaudit, tmp_path: Path, prior: str, status: int
) -> None:
    with FakeOpenAI(ignores) as server:
        done = judged(plaudit, server, tmp_path, "--readout", "logprob", "--prior", prior)
    assert done.status == status
    if status == 3:
        assert "use --readout json" in done.stderr
    else:
        assert done.summary["causes"] == {"options_not_visible": 30}


def test_in_python_all_verdicts_are_of_one_judge() -> None:
    with FakeOpenAI(ignores) as server:
        judge = Judge(
            "feedback", engine=f"vllm:m@{server.url}", cache=False, send=SEND, prior="none"
        )
        try:
            verdicts = judge.judge_batch(ROWS)
            assert {(verdict.value, verdict.judge) for verdict in verdicts} == {
                ("pos_praise", verdicts[0].judge)
            }
            assert with_logprobs(server.bodies) == 1
        finally:
            judge.close()


def test_a_first_sample_that_is_never_answered_decides_nothing() -> None:
    def reply(body: Any) -> Any:
        return error(500, "boom") if "Case 0?" in json.dumps(body) else ignores(body)

    with FakeOpenAI(reply) as server:
        judge = Judge(
            "feedback", engine=f"vllm:m@{server.url}", cache=False, send=SEND, prior="none"
        )
        try:
            verdicts = judge.judge_batch(ROWS)
        finally:
            judge.close()
    assert [verdict.status for verdict in verdicts] == ["failed", *["ok"] * 29]


def test_one_reply_without_them_changes_nothing_where_others_have_them() -> None:
    words = ("praise", "requirement", "correction", "confusion", "neutral", "next", "unrelated")
    even = [(word, -1.96) for word in words]  # Of the rows by which the prior is measured.
    sure = [("praise", -0.05), *((word, -5.0) for word in words[1:])]

    def reply(body: Any) -> Any:
        if "Case 7?" in json.dumps(body):
            return chat("praise")
        return chat("praise", sure if "Case " in json.dumps(body) else even)

    with FakeOpenAI(reply) as server:
        judge = Judge("feedback", engine=f"vllm:m@{server.url}", cache=False, send=SEND, gate=0.0)
        try:
            verdicts = judge.judge_batch(ROWS)
        finally:
            judge.close()
    assert [verdict.status for verdict in verdicts].count("invalid") == 1
    assert verdicts[7].error is not None
    assert verdicts[7].error.cause == "options_not_visible"


def test_what_json_cannot_do_is_named() -> None:
    with FakeOpenAI(ignores) as server:
        judge = Judge("pointwise", engine=f"vllm:m@{server.url}", cache=False, send=SEND, gate=0.5)
        try:
            with pytest.raises(UsageError, match=r"no log-probabilities.*cannot be gated"):
                judge.judge({"prompt": "Why?", "response": "So."})
        finally:
            judge.close()


def test_a_jury_whose_member_falls_back_has_one_name(plaudit: Plaudit, tmp_path: Path) -> None:
    with FakeOpenAI(ignores) as server:
        members = [
            {"name": name, "engine": f"vllm:{name}@{server.url}"} for name in ("first", "second")
        ]
        spec = tmp_path / "jury.json"
        spec.write_text(json.dumps({"members": members}))
        done = judged(plaudit, server, tmp_path, "--jury", str(spec))
        assert (done.status, done.summary["readout"]) == (0, "json"), done.stderr
        verdicts = rows_of(tmp_path / "out.jsonl")
        assert {verdict["judge"] for verdict in verdicts} == {done.summary["judge"]}
        before = len(server.bodies)
        assert judged(plaudit, server, tmp_path, "--jury", str(spec)).status == 0
        assert len(server.bodies) == before
        assert rows_of(tmp_path / "out.jsonl") == verdicts
