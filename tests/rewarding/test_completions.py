"""Rows of trainers as traces: what counts as the model's own, and what as evidence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.corpus.questions import Question, question_dataset, read_questions
from plaudit.errors import InputError
from plaudit.rewarding.completions import trace_of_completion, with_columns
from plaudit.rollouts.rewards.reading import calls_of, results_of
from plaudit.rollouts.trace import Trace
from plaudit.types import Message

QUESTION = [{"role": "user", "content": "Where was the rope?"}]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A call as TRL's parser gives it: without an id, its arguments an object."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(content: str, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": content} | (
        {"tool_calls": list(calls)} if calls else {}
    )


def tool(name: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "name": name, "content": content}


def trace(completion: Any, prompt: Any = QUESTION, **columns: Any) -> Trace:
    return trace_of_completion(prompt, completion, columns)


def test_text_is_a_question_and_an_answer() -> None:
    found = trace_of_completion(
        "Where was it?", "<think>hm</think>In the tent.", {"answer": "tent"}
    )
    assert found.final_answer == "In the tent."
    assert found.question is not None
    assert found.question.question == "Where was it?"
    assert found.question.references == ("tent",)
    assert found.turns[0].reasoning == "hm"
    assert found.tokens is None
    assert found.stop_reason is None


def test_calls_without_ids_are_paired_with_their_results() -> None:
    found = trace(
        [
            assistant("", call("search", query="rope")),
            tool("search", "The rope was in the boat."),
            assistant("In the boat."),
        ]
    )
    (result,) = results_of(found)
    assert result.text == "The rope was in the boat."
    assert result.call.arguments == {"query": "rope"}
    assert found.final_answer == "In the boat."


def test_results_out_of_order_belong_to_the_call_of_their_name() -> None:
    """TRL puts results of async tools behind those of sync ones, whatever was called first."""
    found = trace(
        [
            assistant(
                "", call("search", query="a"), call("lookup", key="b"), call("search", query="c")
            ),
            tool("lookup", "B"),
            tool("search", "A"),
            tool("search", "C"),
            assistant("Done."),
        ]
    )
    results = [(r.call.name, r.call.arguments, r.text) for r in results_of(found)]
    assert sorted(results, key=lambda r: r[2]) == [
        ("search", {"query": "a"}, "A"),
        ("lookup", {"key": "b"}, "B"),
        ("search", {"query": "c"}, "C"),
    ]


def test_ids_that_are_there_decide() -> None:
    given = [{**call("search", query=q), "id": f"own-{q}"} for q in "ab"]
    found = trace(
        [
            assistant("", *given),
            {"role": "tool", "content": "B", "tool_call_id": "own-b"},
            {"role": "tool", "content": "A", "tool_call_id": "own-a"},
            assistant("Done."),
        ]
    )
    assert {r.call.id: r.text for r in results_of(found)} == {"own-a": "A", "own-b": "B"}


def test_a_call_written_as_text_is_no_answer() -> None:
    written = '<tool_call>\n{"name": "search", "arguments": {"query": "a } b"}}\n</tool_call>'
    found = trace([assistant(f"<think>I look.</think>{written}")])
    (made,) = calls_of(found)
    assert (made.name, made.arguments) == ("search", {"query": "a } b"})
    assert found.final_answer is None
    assert found.turns[0].reasoning == "I look."


def test_thoughts_that_a_parser_took_out_are_thoughts_again() -> None:
    reported = {"role": "assistant", "content": "The boat.", "reasoning_content": "Rope, boat..."}
    found = trace([reported])
    assert found.turns[0].reasoning == "Rope, boat..."
    assert found.final_answer == "The boat."


def test_R5_a_chat_that_ends_on_a_tool_result_has_no_answer() -> None:
    found = trace([assistant("", call("search", query="rope")), tool("search", "in the boat")])
    assert found.final_answer is None


def test_what_stands_in_the_prompt_is_not_what_the_model_wrote() -> None:
    earlier = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello"},
        assistant("", call("search", query="earlier")),
        tool("search", "earlier result"),
        assistant("An earlier answer."),
        *QUESTION,
    ]
    found = trace([assistant("The boat.")], earlier)
    assert [m.role for m in found.messages] == ["system", "user", "assistant"]
    assert calls_of(found) == []
    assert [turn.text for turn in found.turns] == ["The boat."]
    assert found.question is not None
    assert found.question.question == "Where was the rope?"


def test_columns_say_what_the_question_is_about() -> None:
    found = trace(
        [assistant("x")],
        question="What of the rope?",
        answer=["boat", "the boat"],
        chunk_ids=["c1"],
        supporting_text=None,
        difficulty="easy",
        id="q7",
        source="own",
    ).question
    assert found == Question(
        id="q7",
        question="What of the rope?",
        answer=["boat", "the boat"],
        chunk_ids=["c1"],
        difficulty="easy",
        metadata={"source": "own"},
    )


def test_columns_may_be_those_of_a_data_set_of_questions(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    row = {"id": "q1", "question": "Where?", "answer": ["boat", "a boat"], "source": "own"}
    path.write_text(json.dumps(row))
    (columns,) = question_dataset(path).to_list()
    assert trace([assistant("x")], **columns).question == read_questions(path)[0]
    with pytest.raises(InputError, match="no JSON"):
        trace([assistant("x")], metadata="{")


def test_columns_add_to_a_trace_that_was_made_elsewhere() -> None:
    made = Trace(
        id="1/0",
        messages=[Message("user", "Answer this: Where?")],
        question=Question(id="1", question="Where?"),
    )
    found = with_columns(made, {"answer": "Here", "chunk_ids": ["c1"]}).question
    assert found is not None
    assert (found.question, found.answer, found.chunk_ids) == ("Where?", "Here", ["c1"])
    assert with_columns(Trace(id="1", messages=[]), {"answer": "Here"}).question is None


@pytest.mark.parametrize(
    ("prompt", "completion", "columns"),
    [
        (QUESTION, None, {}),
        (None, "x", {}),
        (QUESTION, [{"content": "no role"}], {}),
        (QUESTION, ["text"], {}),
        (QUESTION, [{"role": "wizard", "content": "x"}], {}),
        (QUESTION, "x", {"answer": {"no": "text"}}),
        (QUESTION, "x", {"chunk_ids": [1]}),
        (QUESTION, "x", {"question": 3}),
    ],
)
def test_what_is_no_chat_is_refused(prompt: Any, completion: Any, columns: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        trace_of_completion(prompt, completion, columns)


def test_an_empty_completion_has_no_answer() -> None:
    assert trace("").final_answer is None
    assert trace([]).final_answer is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(st.dictionaries(st.sampled_from(["id", "function", "type"]), JSON), max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "tool", "user"])},
    optional={"content": st.text() | JSON, "tool_calls": CALLS | JSON, "name": st.text() | JSON},
)


@given(
    st.lists(MESSAGE, max_size=5) | JSON, st.dictionaries(st.sampled_from(["answer", "id"]), JSON)
)
def test_any_row_is_a_trace_or_an_input_error(completion: Any, columns: dict[str, Any]) -> None:
    try:
        found = trace_of_completion(QUESTION, completion, columns)
    except InputError:
        return
    assert isinstance(found, Trace)
