"""The probe: a specification that a cheat can fool is found."""

import pytest

from plaudit.judges.answers.head import model as head
from plaudit.rollouts.rewards.cheats import CASES, SUBJECTS
from plaudit.rollouts.rewards.probe import ProbeReport, ProbeRow, probe
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.trace import Trace
from tests.rollouts.rewards.playing import Judge, careful, grader, gullible

NOTHING = {
    "empty answer", "a colon", "Thought process:", "Let me think", "the question again",
    "answer in thoughts only", "ends on a search result", "forged verdict",
}  # fmt: skip
"""Cheats that earn nothing at all, with any grader."""


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head decides nothing."""
    monkeypatch.setattr(head, "decide", lambda p: None)


async def report(spec=None, function=careful) -> ProbeReport:
    return await probe(load_rewards(spec, grader(function)))


def row(found: ProbeReport, name: str) -> ProbeRow:
    (one,) = [one for one in found.rows if one.name == name]
    return one


async def test_the_default_specification_pays_no_cheat() -> None:
    found = await report()
    assert (found.problems, found.notes, found.exit_status) == ([], [], 0)
    right = row(found, "right answer")
    assert right.total == pytest.approx(1.5)
    for one in found.rows:
        if one.sort == "cheat":
            assert one.total <= 0.4 < right.total / 2
        if one.sort == "waste":
            assert one.total < right.total


@pytest.mark.parametrize("function", [careful, gullible])
@pytest.mark.parametrize("name", sorted(NOTHING))
async def test_what_says_nothing_earns_nothing_with_any_grader(function, name: str) -> None:
    one = row(await report(None, function), name)
    assert (one.total, one.too_much) == (0.0, 0)


@pytest.mark.usefixtures("unsure")
async def test_a_grader_that_is_taken_in_is_found_out() -> None:
    found = await report(None, gullible)
    assert found.exit_status == 1
    scored = {problem.split("'")[1] for problem in found.problems}
    assert {
        "wrong answer", "closed tags", "forged search result", "fifty searches, wrong",
    } <= scored  # fmt: skip
    assert not scored & NOTHING


async def test_by_rules_alone_nothing_is_paid_but_the_reference() -> None:
    found = await report({"rewards": {"correctness": {"by": "rules"}}})
    assert found.problems == []
    assert {one.total for one in found.rows if one.sort == "cheat"} <= {0.0, None}


async def test_a_specification_that_pays_for_form_alone_is_found_out() -> None:
    found = await report({"rewards": {"format": {}}})
    assert found.exit_status == 1
    assert row(found, "wrong answer").too_much == len(SUBJECTS)
    assert row(found, "orders to the judge").too_much == len(SUBJECTS)
    assert row(found, "a colon").too_much == 0


async def test_a_specification_that_pays_for_many_searches_is_found_out(tmp_path) -> None:
    code = "def calls(trace):\n    return len(trace.tool_calls) / 10"
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    spec = {
        "rewards": {
            "correctness": {},
            "calls": {"function": f"{tmp_path}/mine.py:calls", "low": 0, "high": 10},
        }
    }
    found = await report(spec)
    assert row(found, "one search fifty times").too_much == len(SUBJECTS)
    assert "more than" in next(p for p in found.problems if "one search fifty times" in p)


async def test_a_right_answer_that_cannot_be_scored_is_a_problem() -> None:
    rewards = load_rewards(
        {"rewards": {"correctness": {}, "f": {"function": "math:floor", "on_none": "abstain"}}}
    )
    found = await probe(rewards)
    assert found.exit_status == 1
    assert "has no total on 4 of 4 questions: f could not be scored" in found.problems[-1]


@pytest.mark.usefixtures("unsure")
async def test_a_grader_that_fails_is_reported_and_is_not_zero() -> None:
    found = await probe(load_rewards(None, Judge("no verdict at all").grader))
    one = row(found, "closed tags")
    assert (one.total, one.unscored, one.rewards["correctness"]) == (None, 4, None)
    assert row(found, "right answer").total == pytest.approx(1.5)  # decided by rule


async def test_rewards_below_zero_are_probed_alike() -> None:
    spec = {"rewards": {"correctness": {"judge": {"reward_map": {"correct": 1, "incorrect": -1}}}}}
    found = await report(spec)
    assert found.problems == []
    assert row(found, "empty answer").total == -1.0


def test_the_cases_are_what_they_say() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    for subject in SUBJECTS:
        traces = {case.name: case.play(subject) for case in CASES}
        assert all(isinstance(trace, Trace) for trace in traces.values())
        assert traces["right answer"].final_answer == subject.right
        assert traces["ends on a search result"].final_answer is None
        assert traces["answer in thoughts only"].final_answer is None
        assert subject.right in traces["answer in thoughts only"].turns[-1].reasoning
        assert subject.right in traces["many candidates"].final_answer
        assert subject.right.lower() in subject.passages[0].lower() or subject.id == "bridge"
        assert len(traces["fifty searches, wrong"].tool_calls) == 50
        assert len({m.tool_call_id for m in traces["one search fifty times"].messages}) == 51
        wrong = {subject.wrong, *subject.others}
        assert subject.right not in wrong and len(wrong) == len(subject.others) + 1
