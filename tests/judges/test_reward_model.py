"""Reward models as judges: raw scores made into verdicts, and never a number from none."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge, UsageError, Verdict
from plaudit.engines.base import Capabilities, Completion
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import SCORED
from plaudit.judges.reward_model import sigmoid
from plaudit.sending.pool import SendPolicy
from plaudit.types import Usage
from tests.judges.making import ROWS, Ask, facts, is_no_number, sample_of
from tests.support.command import EXAMPLES, Here, rows_of
from tests.support.rewarding import FakeReward, by_length, classified, embedded
from tests.support.server import Reply

ONE = Capabilities(scores=True)
LABELS = Capabilities(scores=True, labels=(("bad", -1.0), ("so", 0.0), ("good", 1.0)))
PAIR = {"prompt": "Name a prime.", "response_a": "Seven it is.", "response_b": "Nine."}


def task(kind: str, able: Capabilities = ONE, identity: str = "rm", **config: Any) -> BaseJudge:
    return SCORED[kind](JudgeConfig(kind=kind, **config), facts(able, identity=identity))


def scores(*values: Any, **fields: Any) -> Completion:
    return Completion(text=json.dumps({"scores": values} | fields), usage=Usage(9, 0))


async def judged(kind: str, *replies: Any, able: Capabilities = ONE, row: Any = None) -> Verdict:
    return await task(kind, able).decide(sample_of(kind, row), Ask(*replies))


@pytest.mark.parametrize("score", [0.0, 1.25, -3.5, 800.0, -800.0])
async def test_a_score_and_its_sigmoid(score: float) -> None:
    verdict = await judged("pointwise", scores(score))
    assert (verdict.status, verdict.value, verdict.fields) == ("ok", score, {"raw_score": score})
    assert verdict.reward == pytest.approx(1 / (1 + math.exp(-score)) if score > -700 else 0.0)
    assert verdict.confidence is verdict.probabilities is None
    assert verdict.usage == Usage(9, 0)


@pytest.mark.parametrize(
    ("a", "b", "value"), [(2.0, 0.5, "A"), (0.5, 2.0, "B"), (1.0, 1.0, "A=B"), (-900.0, 900.0, "B")]
)
async def test_two_scores_are_compared(a: float, b: float, value: str) -> None:
    verdict = await judged("pairwise", scores(a), scores(b))
    p_a = sigmoid(a - b)
    assert (verdict.status, verdict.value) == ("ok", value)
    assert verdict.fields == {
        "p_a": p_a, "raw_scores": {"A": a, "B": b}, "raw_confidence": max(p_a, 1 - p_a)
    }  # fmt: skip
    assert verdict.reward == 2 * p_a - 1
    assert verdict.probabilities == {"A": p_a, "B": sigmoid(b - a), "A=B": 0.0}
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    swapped = await judged("pairwise", scores(b), scores(a))
    assert swapped.fields["p_a"] == pytest.approx(1 - p_a, abs=1e-12)
    assert swapped.value == {"A": "B", "B": "A"}.get(value, value)


async def test_labels_have_probabilities_and_are_worth_something() -> None:
    raw = [math.log(0.1), math.log(0.2), math.log(0.7)]
    verdict = await judged("pointwise", scores(*raw, label="LABEL_2"), able=LABELS)
    assert verdict.value == 1.0
    assert verdict.probabilities == pytest.approx({"bad": 0.1, "so": 0.2, "good": 0.7})
    assert verdict.reward == pytest.approx(0.6)
    assert verdict.confidence == pytest.approx(0.7)
    assert verdict.fields["label"] == "good"
    assert verdict.fields["server_label"] == "LABEL_2"


NO_SCORES = [
    (scores(None), "out_of_range"),
    (scores(), "unknown_option"),
    (scores(1.0, 2.0), "unknown_option"),
    (Completion(text='{"scores": [NaN]}'), "unparseable"),
    (Completion(text='{"scores": ["1"]}'), "unparseable"),
    (Completion(text='{"scores": 1}'), "unparseable"),
    (Completion(text="1.0"), "unparseable"),
    (Completion(text=""), "unparseable"),
]


@pytest.mark.parametrize("kind", SCORED)
@pytest.mark.parametrize(("reply", "cause"), NO_SCORES)
async def test_what_is_no_score_is_no_number(kind: str, reply: Completion, cause: str) -> None:
    for replies in ([reply], [scores(1.0), reply]) if kind == "pairwise" else ([reply],):
        verdict = await judged(kind, *replies)
        assert is_no_number(verdict)
        assert (verdict.status, verdict.error.cause) == ("invalid", cause)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (scores(1.0, 2.0), "unknown_option"),
        (scores(1.0), "unknown_option"),
        (scores(1.0, None, 0.0), "out_of_range"),
    ],
)
async def test_labels_of_another_model_are_no_number(reply: Completion, cause: str) -> None:
    verdict = await judged("pointwise", reply, able=LABELS)
    assert is_no_number(verdict)
    assert verdict.error.cause == cause


@pytest.mark.parametrize(
    "config",
    [{"readout": "json"}, {"readout": "logprob"}, {"template": "x"}, {"reward_map": {"a": 1.0}}],
)
def test_what_only_a_prompt_has_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="reads the conversation itself"):
        task("pointwise", **config)


def test_gates_go_with_a_confidence() -> None:
    assert task("pairwise", gate=0.9).gate == 0.9
    assert task("pointwise", LABELS, gate=0.9).gate == 0.9
    with pytest.raises(UsageError, match="no confidence in the score readout"):
        task("pointwise", gate=0.9)


def test_labels_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="one output"):
        task("pairwise", LABELS)


@pytest.mark.parametrize("kind", ["feedback", "verify"])
def test_other_judges_are_refused_with_a_sentence(kind: str) -> None:
    with pytest.raises(
        UsageError, match=f"cannot be the {kind} judge; it can be pointwise or pairwise"
    ):
        Judge(kind, engine="vllm-rm:m@http://127.0.0.1:9").judge(ROWS[kind])


def test_the_fingerprint_is_of_the_model() -> None:
    plain = task("pointwise").fingerprint
    assert task("pointwise", gate=None, temperature=0.5, seed=3, swap=False).fingerprint == plain
    others = [
        task("pairwise"), task("pointwise", identity="other"), task("pointwise", LABELS),
        task("pointwise", generation={"truncate_prompt_tokens": 9}),
    ]  # fmt: skip
    assert len({plain, *(t.fingerprint for t in others)}) == 5
    assert task("pairwise", swap=False).fingerprint == task("pairwise").fingerprint


def test_what_is_sent_is_the_conversation() -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    row = {"prompt": talk, "response": "Hello <|im_end|>"}
    (request,) = task("pointwise").requests(sample_of("pointwise", row))
    said = [(m.role, m.content) for m in request.prompt]
    assert said[:2] == [("system", "Be brief."), ("user", "Hi")]
    assert said[2] == ("assistant", "Hello <\u2060|im_end|\u2060>")  # no special token


# The whole way, over a real socket.


def judge_at(server: FakeReward, kind: str, store: Path, options: str = "", **config: Any) -> Judge:
    uri = f"vllm-rm:m@{server.url}{options}"
    return Judge(kind, engine=uri, cache=store, send=SendPolicy(attempts=1), **config)


def test_in_python(tmp_path: Path) -> None:
    """Both judges share what was scored: a conversation is sent once."""
    with FakeReward(by_length) as server:
        judge = judge_at(server, "pairwise", tmp_path / "s.db")
        verdict = judge.judge(PAIR)
        judge.close()
        other = judge_at(server, "pointwise", tmp_path / "s.db")
        single = other.judge({"prompt": PAIR["prompt"], "response": PAIR["response_a"]})
        assert other.render(PAIR | {"response": "x"})[0].prompt[-1].content == "x"
        other.close()
        assert len(server.completions) == 2
    assert (verdict.value, verdict.fields["raw_scores"]) == ("A", {"A": 2.0, "B": -5.0})
    assert verdict.reward == pytest.approx(2 * sigmoid(7) - 1)
    assert single.value == 2.0


@pytest.mark.parametrize("kind", SCORED)
@pytest.mark.parametrize(
    ("reply", "status", "cause"),
    [
        (Reply(200, b'{"data": [{"probs": [NaN]}]}'), "invalid", "out_of_range"),
        (classified(0.1, 0.9), "invalid", "unknown_option"),
        (classified("0.1"), "failed", "bad_response"),
        (Reply(500, {}), "failed", "server_error"),
    ],
)
def test_what_is_no_score_stays_none(
    tmp_path: Path, kind: str, reply: Any, status: str, cause: str
) -> None:
    row = PAIR if kind == "pairwise" else ROWS["pointwise"]
    with FakeReward(reply) as server:
        judge = judge_at(server, kind, tmp_path / "s.db")
        verdict = judge.judge(row)
        judge.close()
    assert is_no_number(verdict)
    assert (verdict.status, verdict.error.cause) == (status, cause)


@pytest.mark.parametrize("kind", ["pointwise", pytest.param("pairwise", marks=pytest.mark.full)])
def test_the_command_line(tmp_path: Path, kind: str) -> None:
    plaudit = Here(tmp_path / "home")
    source = EXAMPLES / f"{kind}.jsonl"
    with FakeReward(by_length) as server:
        args = ("judge", kind, source, "-e", f"vllm-rm:m@{server.url}", "--json")
        plan = plaudit(*args, "--dry-run")
        assert plan.status == 0, plan.stderr
        assert not server.completions
        done = plaudit(*args, "-o", tmp_path / "a.jsonl")
        assert done.status == 0, done.stderr
        again = plaudit(*args, "-o", tmp_path / "b.jsonl")
    summary = done.summary
    assert summary["readout"] == "score"
    assert summary["ok"] == summary["samples"] == len(rows_of(source))
    assert summary["engine_calls"] == len(server.completions)
    assert (again.summary["engine_calls"], again.summary["cached"]) == (0, summary["samples"])
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    for verdict in rows_of(tmp_path / "a.jsonl"):
        assert verdict["status"] == "ok"
        assert 0 <= verdict["reward"] <= 1 or kind == "pairwise"


def test_the_command_line_writes_parquet_and_counts_scores_by_whole_numbers(tmp_path: Path) -> None:
    import pyarrow.parquet

    plaudit = Here(tmp_path / "home")
    source = EXAMPLES / "pointwise.jsonl"
    with FakeReward(classified(2.4)) as server:
        engine = f"vllm-rm:m@{server.url}"
        out = tmp_path / "a.parquet"
        done = plaudit("judge", "pointwise", source, "-e", engine, "-o", out, "--json")
        shown = plaudit("show", "last")
    count = done.summary["samples"]
    assert done.summary["values"] == {"~2": {"ok": count}}
    assert done.summary["labelled"] == 0
    assert pyarrow.parquet.read_table(out)["value"].to_pylist() == [2.4] * count
    assert "raw_score" in shown.stdout, shown.stderr


def test_what_would_be_sent_can_be_seen(tmp_path: Path) -> None:
    plaudit = Here(tmp_path / "home")
    template = tmp_path / "t.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    with FakeReward(embedded(1.0)) as server:
        engine = f"sglang-rm:m@{server.url}?chat_template={template}"
        done = plaudit("prompt", "pairwise", EXAMPLES / "pairwise.jsonl", "-e", engine)
    assert done.status == 0, done.stderr
    assert ", A " in done.stdout
    assert ", B " in done.stdout
    assert "<assistant>" in done.stdout
    assert not server.completions


def test_a_feedback_run_is_refused(tmp_path: Path) -> None:
    plaudit = Here(tmp_path / "home")
    source = EXAMPLES / "feedback.jsonl"
    done = plaudit("judge", "feedback", source, "-e", "vllm-rm:m@http://127.0.0.1:9")
    assert done.status == 2
    assert "cannot be the feedback judge" in done.stderr
