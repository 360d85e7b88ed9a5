"""Rollouts and evaluations from Python."""

import asyncio
import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from plaudit.corpus.questions import Question
from plaudit.engines.base import Request
from plaudit.engines.callable import CallableEngine
from plaudit.errors import EngineUnusableError, InputError, MissingDependencyError, UsageError
from plaudit.rollout import aevaluate, arollout, evaluate, rollout, take_questions
from plaudit.rollouts.result import Rollouts
from plaudit.rollouts.trace import StopReason, Tokens
from plaudit.rollouts.traces import read_traces
from tests.rollouts.acting import Actor, search
from tests.support.command import write_rows

QUESTIONS = [
    Question(id=f"q{n}", question=f"Which number is {n}?", answer=f"It is {n}", split="test")
    for n in range(4)
]


def answers(prompts: list[Any]) -> list[str]:
    """Looks up first; is right about even numbers."""
    replies = []
    for chat in prompts:
        number = int(chat[1]["content"].split()[-1].rstrip("?"))
        if len(chat) == 2:
            call = {"name": "search", "arguments": {"query": f"{number}"}}
            replies.append(f"<tool_call>{json.dumps(call)}</tool_call>")
        else:
            replies.append(f"It is {number}" if number % 2 == 0 else "It is 99")
    return replies


def test_a_function_is_a_policy() -> None:
    found = rollout(answers, QUESTIONS, [search])
    assert [trace.id for trace in found] == ["q0/0", "q1/0", "q2/0", "q3/0"]
    assert found.final_answers == ["It is 0", "It is 99", "It is 2", "It is 99"]
    assert [m["role"] for m in found.chats[0]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert found[0].tool_calls[0].arguments == {"query": "0"}
    assert isinstance(found[1:3], Rollouts)
    assert len(found[1:3]) == 2


def test_groups_stand_beside_each_other_in_order() -> None:
    found = rollout(answers, QUESTIONS, [search], samples_per_question=3)
    assert [(t.question_id, t.draw) for t in found] == [
        (f"q{n}", draw) for n in range(4) for draw in range(3)
    ]


async def test_it_works_inside_a_running_loop() -> None:
    inside = await asyncio.to_thread(rollout, answers, QUESTIONS, [search])
    assert len(rollout(answers, QUESTIONS, [search])) == len(inside) == 4
    assert len(await arollout(answers, QUESTIONS, [search])) == 4
    assert (await aevaluate(answers, QUESTIONS, [search])).accuracy is not None


def test_the_sync_form_tells_its_arguments() -> None:
    assert "samples_per_question" in inspect.signature(rollout).parameters
    assert (rollout.__name__, evaluate.__name__) == ("rollout", "evaluate")
    assert not inspect.iscoroutinefunction(rollout)


def test_an_evaluation_has_an_accuracy_with_its_interval() -> None:
    found = evaluate(answers, QUESTIONS, [search])
    assert found.accuracy is not None
    assert found.accuracy.value == 0.5
    assert 0 < found.accuracy.low < 0.5 < found.accuracy.high < 1
    assert (found.questions, found.rollouts, found.answered) == (4, 4, 4)
    assert found.calls == {"search": 1.0}
    assert found.turns == 2
    assert found.rewards["correctness"].scored == 4


def test_pass_at_k_counts_questions_with_one_right_rollout() -> None:
    def sometimes(prompts: list[Any], requests: list[Request]) -> list[str]:
        return ["It is 0" if request.draw == 0 else "It is 977" for request in requests]

    found = evaluate(
        CallableEngine(sometimes, mode="chat"), [QUESTIONS[0]] * 3, samples_per_question=4
    )
    assert found.accuracy is not None
    assert found.accuracy.value == 0.25
    values = {k: round(estimate.value, 6) for k, estimate in found.pass_at.items()}
    assert values == {1: 0.25, 2: 0.5, 4: 1.0}


def test_defect_30_a_question_that_comes_again_is_a_group_of_its_own() -> None:
    found = rollout(answers, [*QUESTIONS[:2], QUESTIONS[0], QUESTIONS[0]], [search])
    assert [trace.id for trace in found] == ["q0/0", "q1/0", "q0#2/0", "q0#3/0"]
    assert [trace.group for trace in found] == ["q0", "q1", "q0#2", "q0#3"]
    texts = list(take_questions(["Which number is 1?", "Which number is 1?"]))
    assert texts[1].id == f"{texts[0].id}#2"


def test_defect_30_two_questions_with_one_id_are_refused(tmp_path: Path) -> None:
    rows = [{"id": "q", "question": "Which number is 1?"}, {"id": "q", "question": "And 2?"}]
    with pytest.raises(InputError, match="question 1: the id 'q' stands at question 0 too"):
        rollout(answers, rows, [search])
    path = write_rows(tmp_path / "q.jsonl", rows)
    with pytest.raises(InputError, match=rf"{path}:2: the id 'q' stands at {path}:1 too"):
        rollout(answers, path, [search])


def test_R5_a_failed_rollout_is_not_a_wrong_answer() -> None:
    def broken(prompts: list[Any]) -> list[str]:
        if any("number is 1?" in chat[1]["content"] for chat in prompts):
            raise RuntimeError("out of memory")
        return answers(prompts)

    engine = CallableEngine(broken, mode="chat", max_batch=1)
    found = evaluate(engine, QUESTIONS, [search])
    assert found.accuracy is not None
    assert round(found.accuracy.value, 6) == round(2 / 3, 6)
    assert found.broken_off == 1
    assert found.stop_reasons == {"answered": 3, "failed": 1}
    assert found.rewards["correctness"].unscored == {"broken_off": 1}


def test_rewards_come_with_the_traces() -> None:
    spec = {"rewards": {"correctness": {"by": "rules"}, "format": {"weight": 0.5}}}
    found = rollout(answers, QUESTIONS, [search], rewards=spec)
    assert found.values == [1.5, 0.5, 1.5, 0.5]
    assert found.evaluation.rewards["total"].mean is not None
    assert found.evaluation.rewards["total"].mean.value == 1.0
    with pytest.raises(UsageError, match="not scored"):
        _ = rollout(answers, QUESTIONS, [search]).values


def test_a_question_may_be_a_text_a_row_or_a_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", [{"question": "Number 0?", "split": "test"}])
    for given in (["Number 0?"], [{"question": "Number 0?"}], path, str(path)):
        (trace,) = rollout(lambda chats: ["x"] * len(chats), given)
        assert trace.question is not None
        assert trace.question.question == "Number 0?"
    assert list(rollout(answers, path, split="train")) == []
    assert len(list(take_questions(QUESTIONS, "test", 2))) == 2


@pytest.mark.parametrize(
    ("questions", "problem"),
    [
        ([{"question": 3}], "question 0: 'question' must be text"),
        (["x", ""], "question 1: 'question' is empty"),
        ([7], "question 0: not a text"),
        ("nowhere.jsonl", "no such file"),
    ],
)
def test_a_malformed_question_is_named(questions: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        rollout(answers, questions)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_turn": 3}, "no option 'max_turn'"),
        ({"max_turns": "three"}, "max_turns"),
        ({"max_turns": 0}, "max_turns"),
        ({"date": "today"}, "date"),
    ],
)
def test_wrong_options_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        rollout(answers, QUESTIONS, **fields)
    with pytest.raises(UsageError, match="no policy"):
        rollout(7, QUESTIONS)  # type: ignore[arg-type]


def test_an_unusable_engine_ends_it() -> None:
    with pytest.raises(EngineUnusableError):
        rollout(Actor(EngineUnusableError("no key")), QUESTIONS)


def test_finished_rollouts_are_kept_where_the_engines_weights_are_known(tmp_path: Path) -> None:
    script = write_rows(tmp_path / "s.jsonl", [{"match": {}, "replies": [{"text": "It is 2"}]}])
    store, engine = tmp_path / "store.sqlite", f"scripted:{script}"
    first = rollout(engine, QUESTIONS, cache=store)
    again = rollout(engine, QUESTIONS, cache=store)
    assert list(again) == list(first)  # times included: nothing was done again
    assert not list(tmp_path.glob("*.sqlite-wal"))


def test_progress_is_reported() -> None:
    seen: list[str] = []
    rollout(answers, QUESTIONS, [search], progress=lambda trace: seen.append(trace.id))
    assert sorted(seen) == ["q0/0", "q1/0", "q2/0", "q3/0"]


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    found = rollout(answers, QUESTIONS, [search])
    found.save(tmp_path / "traces.jsonl")
    assert list(read_traces(tmp_path / "traces.jsonl")) == list(found)


# Tokens


def with_tokens(found: Rollouts) -> Rollouts:
    def tokens(number: int) -> Tokens:
        return Tokens(
            ids=[9] * (2 + number) + [1, 2, 3], mask=[0] * (2 + number) + [1, 0, 1],
            logprobs=[None] * (2 + number) + [-0.5, None, -0.25], exactness="exact",
            prompt_length=2 + number,
        )  # fmt: skip

    replace = msgspec.structs.replace
    return Rollouts([replace(trace, tokens=tokens(n)) for n, trace in enumerate(found)])


def test_tokens_come_as_trainers_take_them() -> None:
    found = with_tokens(rollout(answers, QUESTIONS[:2], [search]))
    assert found.prompt_ids == [[9, 9], [9, 9, 9]]
    assert found.completion_ids == [[1, 2, 3]] * 2
    assert found.masks == [[1, 0, 1]] * 2
    assert found.logprobs == [[-0.5, None, -0.25]] * 2


def test_ids_of_outputs_like_vllms_are_taken() -> None:
    def generate(prompts: list[Any]) -> list[Any]:
        output = SimpleNamespace(
            text="x", token_ids=[5, 6], finish_reason="stop", logprobs=[-0.5, -0.25]
        )
        return [SimpleNamespace(prompt_token_ids=[1, 2, 3], outputs=[output]) for _ in prompts]

    found = rollout(generate, QUESTIONS[:1])
    assert (found.prompt_ids, found.completion_ids) == ([[1, 2, 3]], [[5, 6]])
    assert (found.masks, found.logprobs) == ([[1, 1]], [[-0.5, -0.25]])
    assert found[0].tokens is not None
    assert found[0].tokens.exactness == "exact"


def test_a_rollout_without_tokens_is_named_and_never_made_up() -> None:
    found = rollout(answers, QUESTIONS[:2], [search])
    with pytest.raises(UsageError, match=r"2 of 2 rollouts have no token ids, the first q0/0"):
        _ = found.masks
    assert len(found.usable) == 0
    known = with_tokens(found)
    late = msgspec.structs.replace(known[1], stop_reason=StopReason.DEADLINE)
    assert [trace.id for trace in Rollouts([known[0], late]).usable] == ["q0/0"]


def test_tensors_are_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(tensor=lambda rows, dtype=None: (rows, dtype), float32="float32")
    monkeypatch.setitem(sys.modules, "torch", fake)
    tensors = with_tokens(rollout(answers, QUESTIONS[:2], [search])).tensors(pad_id=7)
    assert tensors["prompt_ids"][0] == [[7, 9, 9], [9, 9, 9]]
    assert tensors["prompt_mask"][0] == [[0, 1, 1], [1, 1, 1]]
    assert tensors["completion_ids"][0] == [[1, 2, 3]] * 2
    assert tensors["completion_mask"][0] == [[1, 1, 1]] * 2
    assert tensors["sampled"][0] == [[1, 0, 1]] * 2
    assert tensors["logprobs"] == ([[-0.5, 0.0, -0.25]] * 2, "float32")


def test_without_torch_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="plaudit\\[trl\\]"):
        with_tokens(rollout(answers, QUESTIONS[:1], [search])).tensors()
