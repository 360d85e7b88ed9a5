"""Candidates from intermediate steps of the NeMo Agent Toolkit."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SerializeAsAny

from plaudit.errors import InputError
from plaudit.preferences.formats.traces import Steps, candidate_of_step
from plaudit.preferences.types import Candidate

IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "move", "arguments": '{"to": 4}'}}


class Kind(StrEnum):
    TTC_START = "TTC_START"
    TTC_END = "TTC_END"


class Message(BaseModel):
    role: str
    content: Any


class Data(BaseModel):
    model_config = ConfigDict(extra="allow")
    input: Any = None
    output: Any = None


class Metadata(BaseModel):
    model_config = ConfigDict(extra="allow")
    tool_info: Any = None


class Payload(BaseModel):
    event_type: Kind = Kind.TTC_END
    name: str | None = "dpo_candidate_move"
    metadata: dict[str, Any] | Metadata | None = None
    data: SerializeAsAny[Data] | None = None
    UUID: str = "u-1"


class Step(BaseModel):
    """As the toolkit has it, with the fields that matter here."""

    parent_id: str = "root"
    function_ancestry: dict[str, Any] = {"function_id": "root"}
    payload: Payload


def step(*, kind: Kind = Kind.TTC_END, name: str = "dpo_candidate_move", **data: Any) -> Step:
    held = {"turn_id": "t", "candidate_index": 1, "score": 0.5, "input": "p", "output": "r"} | data
    return Step(payload=Payload(event_type=kind, name=name, data=Data(**held)))


def stored(*steps: Step) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in steps]


def read(*rows: Any, name: str = "dpo_candidate_move") -> list[Candidate]:
    steps = Steps(name)
    lines = [json.dumps(row).encode() for row in rows]
    return [one for n, line in enumerate(lines) for one in steps.read(line, n)]


def text(raw: object) -> str:
    return bytes(raw).decode()  # pyright: ignore


def test_D2_a_step_gives_its_ids_index_score_prompt_and_response() -> None:
    one = candidate_of_step("ex", step())
    assert one is not None
    assert (one.example_id, one.turn_id, one.index, one.score) == ("ex", "t", 1, 0.5)
    assert (text(one.prompt), text(one.response)) == ('"p"', '"r"')
    assert one.metadata is None


def test_D2_no_index_is_not_the_index_0() -> None:
    zero, none = (candidate_of_step("ex", step(candidate_index=i)) for i in (0, None))
    assert zero is not None
    assert none is not None
    assert zero.index == 0
    assert none.index is None


def test_D2_steps_without_turn_or_score_are_candidates_that_are_counted() -> None:
    lost = [candidate_of_step("ex", step(turn_id=None, score=None)) for _ in range(2)]
    other = candidate_of_step("ex", step(turn_id=None, score=None, input="q"))
    assert all(one is not None and one.score is None for one in (*lost, other))
    turns = [one.turn_id for one in (*lost, other) if one is not None]
    assert turns[0] == turns[1] != turns[2]


def test_D2_a_step_without_data_is_counted_too() -> None:
    one = candidate_of_step("ex", Step(payload=Payload()))
    assert one is not None
    assert (one.score, text(one.response)) == (None, '""')


def test_D2_ids_that_would_be_joined_to_one_text_stay_two() -> None:
    a = candidate_of_step("a::b", step(turn_id="c"))
    b = candidate_of_step("a", step(turn_id="b::c"))
    assert a is not None
    assert b is not None
    assert (a.example_id, a.turn_id) != (b.example_id, b.turn_id)


@pytest.mark.parametrize("other", [{"kind": Kind.TTC_START}, {"name": "another"}])
def test_D2_other_steps_are_none(other: dict[str, Any]) -> None:
    assert candidate_of_step("ex", step(**other)) is None
    assert read({"id": 1, "trajectory": stored(step(**other))}) == []


def test_D3_messages_of_any_kind_survive_and_nothing_is_a_repr() -> None:
    messages = [
        Message(role="user", content=IMAGE),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        Message(role="tool", content="'quoted' \"text\""),
    ]
    one = candidate_of_step("ex", step(input=messages, output={"role": "assistant", "x": [True]}))
    assert one is not None
    prompt = json.loads(text(one.prompt))
    assert prompt[0] == {"role": "user", "content": IMAGE}
    assert prompt[1]["tool_calls"] == [CALL]
    assert prompt[2]["content"] == "'quoted' \"text\""
    assert json.loads(text(one.response)) == {"role": "assistant", "x": [True]}


def test_D3_stored_and_typed_steps_give_the_same() -> None:
    typed = step(input=[Message(role="user", content=IMAGE)], output="r", score=2)
    typed.payload.metadata = Metadata(tool_info=None, move=[1, "é"])  # pyright: ignore
    one = candidate_of_step("ex", typed)
    (read_back,) = read({"id": "ex", "intermediate_steps": stored(typed)})
    assert one is not None
    for name in ("example_id", "turn_id", "index", "score"):
        assert getattr(one, name) == getattr(read_back, name)
    for name in ("prompt", "response", "metadata"):
        assert json.loads(text(getattr(one, name))) == json.loads(text(getattr(read_back, name)))


def test_a_step_can_be_a_mapping() -> None:
    (plain,) = stored(step())
    assert candidate_of_step(3, plain) == candidate_of_step(3, plain)
    one = candidate_of_step(3, plain)
    assert one is not None
    assert (one.example_id, one.score) == (3, 0.5)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), None, "nan"])
def test_no_number_is_no_score(score: Any) -> None:
    one = candidate_of_step("ex", step(score=score))
    assert one is not None
    assert one.score is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"score": "high"}, "score is a text that is no number"),
        ({"score": "true"}, "score is a text that is no number"),
        ({"score": [1]}, "score is a list"),
        ({"candidate_index": -1}, "candidate_index -1"),
        ({"candidate_index": "-1"}, "candidate_index"),
        ({"candidate_index": 1.5}, "candidate_index"),
        ({"candidate_index": "first"}, "candidate_index"),
        ({"candidate_index": "true"}, "candidate_index"),
        ({"candidate_index": []}, "candidate_index"),
        (
            {"output": {"type": "remove", "content": "", "additional_kwargs": {}}},
            "its output is a LangChain message of type 'remove'",
        ),
        ({"turn_id": 1.5}, "turn_id"),
        ({"output": "half \ud800"}, "what JSON cannot"),
        ({"output": lambda: 1}, "what JSON cannot"),
    ],
)
def test_a_malformed_step_is_an_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        candidate_of_step("ex", step(**wrong))


@pytest.mark.parametrize(
    ("given", "score"),
    [("0.9", 0.9), (" 0.9 ", 0.9), ("1e-1", 0.1), (True, 1.0), (False, 0.0), (1, 1.0), ("2", 2.0)],
)
def test_defect_36_scores_are_read_as_the_toolkit_reads_them(given: Any, score: float) -> None:
    one = candidate_of_step("ex", step(score=given))
    (read_back,) = read({"id": "ex", "trajectory": stored(step(score=given))})
    assert one is not None
    assert one.score == read_back.score == score


@pytest.mark.parametrize(
    ("given", "index"),
    [(0.0, 0), (3.0, 3), ("1", 1), (" 1 ", 1), ("1.0", 1), (True, 1), (False, 0), ("+2", 2)],
)
def test_defect_36_indices_are_read_as_the_toolkit_reads_them(given: Any, index: int) -> None:
    one = candidate_of_step("ex", step(candidate_index=given))
    assert one is not None
    assert one.index == index


def test_defect_36_messages_of_langchain_in_a_file_are_messages() -> None:
    human = {"type": "human", "content": "q", "additional_kwargs": {}, "id": None}
    said = {"type": "ai", "content": "a", "additional_kwargs": {}, "tool_calls": [], "id": "x"}
    (one,) = read({"id": 1, "trajectory": stored(step(input=[human], output=said))})
    assert text(one.prompt) == '[{"role":"user","content":"q"}]'
    assert text(one.response) == '{"role":"assistant","content":"a"}'


def test_a_step_that_holds_any_object_names_its_type() -> None:
    @dataclass(slots=True)
    class Payload:
        event_type: str
        name: str
        data: object
        metadata: object = None

    @dataclass
    class Outer:
        payload: Payload

    held = Outer(Payload("TTC_END", "dpo_candidate_move", {"output": object()}))
    with pytest.raises(InputError, match="object of type object"):
        candidate_of_step("ex", held)


def test_rows_are_items_profiler_traces_single_steps_or_payloads() -> None:
    (one,) = stored(step())
    rows = [
        {"id": 7, "question": "q", "intermediate_steps": [one]},
        {"id": "e", "input_obj": "q", "trajectory": [one, one]},
        {"request_number": 0, "intermediate_steps": [one]},
        {"example_id": "s", **one},
        one,
        {"example_id": "p", **one["payload"]},
        {"id": "empty", "intermediate_steps": []},
    ]
    ids = [found.example_id for found in read(*rows)]
    assert ids[:5] == [7, "e", "e", 0, "s"]
    assert ids[6:] == ["p"]
    assert isinstance(ids[5], str)  # a hash of the prompt


def test_data_of_other_steps_may_be_anything() -> None:
    data = {"score": "none", "turn_id": []}
    llm = {"payload": {"event_type": "LLM_END", "name": "m", "data": data}}
    assert len(read({"id": 1, "intermediate_steps": [llm, *stored(step()), None]})) == 1


def test_numbers_and_keys_stay_as_they_were_written() -> None:
    row = (
        b'{"id": 1, "trajectory": [{"payload": {"event_type": "TTC_END", "name": "n", "metadata":'
        b' {"b": 1.00, "a": 123456789012345678901234567890}, "data": {"turn_id": "t",'
        b' "score": 1e999, "input": [{"role":"user",  "content": "\\u00e9"}], "output": 1.50}}}]}'
    )
    (one,) = Steps("n").read(row, 0)
    assert text(one.prompt) == '[{"role":"user",  "content": "\\u00e9"}]'
    assert text(one.metadata) == '{"b": 1.00, "a": 123456789012345678901234567890}'
    assert text(one.response) == "1.50"
    assert one.score is None


def test_nothing_found_is_said_with_the_steps_seen() -> None:
    steps = Steps("right")
    row = {"id": 1, "intermediate_steps": stored(step(name="wrong"), step(kind=Kind.TTC_START))}
    assert steps.read(json.dumps(row).encode(), 0) == []
    said = steps.nothing_found()
    assert "'right'" in said
    assert "'wrong' (TTC_END)" in said
    assert "'dpo_candidate_move' (TTC_START)" in said
    assert "workflow_output_step_filter" in said


def test_names_seen_do_not_grow_without_end() -> None:
    steps = Steps("right")
    for n in range(200):
        row = {"id": 1, "intermediate_steps": stored(step(name=f"name-{n}"))}
        steps.read(json.dumps(row).encode(), n)
    assert len(steps.nothing_found()) < 1_000


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"intermediate_steps": 5}',
        b'{"intermediate_steps": [[]]}',
        b'{"intermediate_steps": [{"payload": null}]}',
        b'{"id": 1.5, "intermediate_steps": []}',
        b'{"payload": ' + b"[" * 100_000,
    ],
)
def test_a_malformed_row_is_an_error(line: bytes) -> None:
    with pytest.raises(InputError, match="not a row of intermediate steps"):
        Steps().read(line, 0)
