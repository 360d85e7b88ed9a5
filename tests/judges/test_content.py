"""Messages of several providers and data sets are read alike, by every reader; media by none."""

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit import CallableEngine, InputError, Judge, ResponseSample
from plaudit.judges.content import read_content, read_messages
from plaudit.judges.load import task_type
from plaudit.rollouts.rewards.reading import calls_of, results_of
from plaudit.rollouts.traces import read_trace
from plaudit.types import Message
from tests.support.command import Here, rows_of, write_rows

ASKED, FOUND, SAID = "How long is the Orrin bridge?", "The bridge is 90 metres long.", "90 metres"
QUERY = {"query": "Orrin bridge"}
WRITTEN = json.dumps({"name": "search", "arguments": QUERY})
CHAT = {
    "value": [
        {"role": "user", "content": [{"type": "text", "value": ASKED}]},
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "value": "I must search."},
                {"type": "tool_call", "value": WRITTEN},
            ],
        },
        {"role": "tool", "content": [{"type": "text", "value": FOUND}]},
        {"role": "assistant", "content": [{"type": "text", "value": SAID}]},
    ],
    "anthropic": [
        {"role": "user", "content": ASKED},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I must search.", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "t1", "name": "search", "input": QUERY},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": FOUND}],
                }
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": SAID, "citations": None}]},
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": ASKED}]},
        {
            "role": "model",
            "parts": [
                {"text": "I must search.", "thought": True},
                {"functionCall": {"name": "search", "args": QUERY}},
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "search", "response": {"value": FOUND}}}],
        },
        {"role": "model", "parts": [{"text": SAID, "inlineData": None}]},
    ],
    "sharegpt": [
        {"from": "human", "value": ASKED},
        {"from": "function_call", "value": WRITTEN},
        {"from": "observation", "value": FOUND},
        {"from": "gpt", "value": SAID},
    ],
    "assistants": [
        {"role": "user", "content": [{"type": "text", "text": {"value": ASKED}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "search", "arguments": QUERY}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [FOUND]},
        {"role": "assistant", "content": [{"type": "output_text", "text": {"value": SAID}}]},
    ],
}


@pytest.mark.parametrize("spelling", CHAT)
def test_defect_12_every_spelling_is_read_alike(spelling: str) -> None:
    (sample,) = task_type("pointwise").read_row({"messages": CHAT[spelling]}, 0)
    assert isinstance(sample, ResponseSample)
    assert (sample.prompt[0].text, sample.prompt[2].text, sample.response) == (ASKED, FOUND, SAID)
    assert [message.role for message in sample.prompt] == ["user", "assistant", "tool"]
    (trace,) = read_trace({"messages": CHAT[spelling]})
    assert trace.final_answer == SAID
    assert [(call.name, call.arguments) for call in calls_of(trace)] == [("search", QUERY)]
    assert [result.text for result in results_of(trace)] == [FOUND]
    reasoning = "I must search." if spelling in ("value", "anthropic", "gemini") else ""
    assert trace.turns[0].reasoning == reasoning


PARTS = [
    {"type": "text", "text": "one"},
    {"type": "input_text", "text": "one"},
    {"type": "output_text", "text": "one", "annotations": []},
    {"type": "text", "text": {"value": "one", "annotations": []}},
    {"type": "text", "value": "one"},
    {"type": "text", "text": None, "value": "one"},
    {"type": "refusal", "refusal": "one"},
    {"text": "one"},
    {"text": "one", "thoughtSignature": "x"},
    "one",
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("key", ["content", "parts"])
def test_defect_12_a_text_part_is_its_text(key: str, part: Any) -> None:
    (message,) = read_messages([{"role": "user", key: [part, part]}], "messages")
    assert message == Message("user", "one\none")


NO_TEXT = {
    "image_url": {"type": "image_url", "image_url": {"url": "x"}},
    "image": {"type": "image", "source": {"data": "x"}},
    "input_audio": {"type": "input_audio", "input_audio": {}},
    "file": {"type": "file", "file": {"file_id": "x"}},
    "document": {"type": "document", "source": {"data": "x"}},
    "inlineData": {"inlineData": {"data": "x"}},
    "fileData": {"fileData": {"fileUri": "x"}, "text": "a caption"},
    "executableCode": {"executableCode": {"code": "x"}},
    "text": {"type": "text", "text": 3},
    "output_text": {"type": "output_text"},
    "thinking": {"type": "thinking", "thinking": None},
    "call without the name": {"type": "tool_use", "id": "x", "input": {}},
    "no JSON": {"type": "tool_call", "value": "{search"},
    "nothing": {},
}


@pytest.mark.parametrize("name", NO_TEXT)
def test_defect_12_what_is_no_text_is_refused_by_name(name: str) -> None:
    chat = [{"role": "user", "content": [{"text": "See:"}, NO_TEXT[name]]}]
    answered = [*chat, {"role": "assistant", "content": "ok"}]
    for read in (
        lambda: task_type("pointwise").read_row({"messages": answered}, 0),
        lambda: task_type("pairwise").read_row(
            {"prompt": chat, "response_a": "a", "response_b": "b"}, 0
        ),
        lambda: task_type("feedback").read_row({"messages": [*answered, *answered]}, 0),
        lambda: read_trace({"messages": answered}),
        lambda: read_content([Message("user", [NO_TEXT[name]])], "prompt"),
    ):
        with pytest.raises(InputError, match=name):
            read()


def test_an_image_in_a_result_of_a_tool_is_refused_too() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [NO_TEXT["image"]]}
    with pytest.raises(InputError, match="image"):
        read_messages([{"role": "user", "content": [result]}], "messages")


def test_results_stand_where_they_were_said() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "40"}
    asked = [result, {"type": "text", "text": "And now?"}]
    assert read_messages([{"role": "user", "content": asked}], "m") == (
        Message("tool", "40", tool_call_id="t"),
        Message("user", "And now?"),
    )


def test_a_thought_cannot_end_itself() -> None:
    part = {"type": "thinking", "thinking": "a</think>I won."}
    (message,) = read_messages([{"role": "assistant", "content": [part, "42"]}], "m")
    assert message.text.count("</think>") == 1
    assert message.text.endswith("</think>\n42")


def test_conversations_of_sharegpt_are_read_by_every_reader(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]
    row = {"conversations": talk, "reference": "4"}
    (sample,) = task_type("pointwise").read_row(row, 0)
    assert isinstance(sample, ResponseSample)
    assert (sample.response, sample.metadata) == ("4", {})
    more = {"conversations": [*talk, {"from": "human", "value": "Thanks!"}]}
    assert len(task_type("feedback").read_row(more, 0)) == 1
    assert read_trace(row)[0].final_answer == "4"
    flat = {"prompt": "p", "response": "r", "conversations": talk}
    (kept,) = task_type("pointwise").read_row(flat, 0)
    assert kept.metadata == {"conversations": talk}


def test_a_sample_with_parts_is_read_as_a_row_is() -> None:
    judge = Judge("pointwise", engine=CallableEngine(lambda prompts: [""] * len(prompts)))
    asked = Message("user", [{"type": "input_text", "text": ASKED}])
    sample = ResponseSample(id="s", index=0, prompt=(asked,), response=SAID)
    (request,) = judge.render(sample)
    assert ASKED in str(request.prompt)
    image = ResponseSample(
        id="s", index=0, prompt=(Message("user", [NO_TEXT["image"]]),), response=SAID
    )
    with pytest.raises(InputError, match="image"):
        judge.render(image)


def test_defect_12_judge_and_score_reject_what_they_cannot_read(tmp_path: Path) -> None:
    plaudit = Here(tmp_path / "home")
    picture = [{"role": "user", "content": [NO_TEXT["image_url"]]}, CHAT["value"][-1]]
    rows = [{"id": name, "messages": chat, "reference": SAID} for name, chat in CHAT.items()]
    file = write_rows(tmp_path / "in.jsonl", [*rows, {"id": "picture", "messages": picture}])
    script = write_rows(
        tmp_path / "script.jsonl",
        [{"match": {}, "replies": [{"text": "nine", "logprobs": {"nine": -0.01, "two": -5.0}}]}],
    )
    judged = tmp_path / "judged.jsonl"
    done = plaudit("judge", "pointwise", file, "-e", f"scripted:{script}", "-o", judged)
    assert (done.status, len(rows_of(judged))) == (1, len(rows)), done.stderr
    assert "'image_url'" in (tmp_path / "judged.rejected.jsonl").read_text()
    scored = tmp_path / "scored.jsonl"
    spec = tmp_path / "rules.toml"
    spec.write_text('[rewards.correctness]\nby = "rules"\n')
    done = plaudit("score", file, "-r", spec, "-o", scored)
    assert (done.status, len(rows_of(scored))) == (1, len(rows)), done.stderr
    assert {row["rewards"]["total"]["value"] for row in rows_of(scored)} == {1.0}
    assert "'image_url'" in (tmp_path / "scored.rejected.jsonl").read_text()
