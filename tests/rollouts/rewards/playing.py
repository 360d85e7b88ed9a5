"""Traces made by hand, and graders whose every word is known."""

import json
from collections.abc import Sequence
from typing import Any

from plaudit import CallableEngine
from plaudit.corpus.questions import Question
from plaudit.engines.base import Capabilities, Completion, Request
from plaudit.rollouts.rewards.cheats import SUBJECTS
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.trace import CallRecord, CallStatus, Score, StopReason, Trace, Turn
from plaudit.types import Json, Message

ASKED = "Who replaced the pilot of the command module?"
RIGHT = "Jack Swigert"
PASSAGE = "Three days before launch the pilot was taken off the crew. Jack Swigert flew instead."


def question(**fields: Any) -> Question:
    given = {"id": "q1", "question": ASKED, "answer": RIGHT, "chunk_ids": ["c1"], **fields}
    return Question(**given)


def chunks(*ids: str) -> list[dict[str, Json]]:
    return [{"chunk_id": id, "rank": n, "score": 1.0} for n, id in enumerate(ids, 1)]


class Found:
    """A search of a rollout and what came of it."""

    def __init__(
        self,
        query: Json = "pilot",
        text: str = PASSAGE,
        data: Json = None,
        status: CallStatus = "ok",
        tool: str = "search",
        truncated: bool = False,
    ) -> None:
        self.query, self.text, self.data, self.status, self.tool = query, text, data, status, tool
        self.truncated = truncated


def rollout(
    *searches: Found,
    answer: str | None = RIGHT,
    thoughts: str = "",
    stop: StopReason | None = StopReason.ANSWERED,
    asked: Question | None = None,
    written: str | None = None,
) -> Trace:
    """A rollout that makes these searches, a turn each, and then answers.

    written: the last turn's text as the model wrote it, where it is not thoughts and answer.
    """
    messages, turns, records = [Message("user", ASKED)], [], []
    for number, found in enumerate(searches):
        id = f"call-{number}-0"
        arguments = found.query if isinstance(found.query, dict) else {"query": found.query}
        turns.append(Turn(text="", calls=[id], finish_reason="tool_calls"))
        records.append(
            CallRecord(
                id=id, turn=number, name=found.tool, arguments=arguments,
                status=found.status, data=found.data, truncated=found.truncated,
            )
        )  # fmt: skip
        function = {"name": found.tool, "arguments": json.dumps(arguments)}
        messages += [
            Message("assistant", tool_calls=[{"id": id, "type": "function", "function": function}]),
            Message("tool", found.text, tool_call_id=id),
        ]
    if answer is not None or written is not None:
        text = f"<think>{thoughts}</think>{answer}" if thoughts else answer or ""
        turns.append(
            Turn(text=text if written is None else written, reasoning=thoughts, answer=answer or "")
        )
        messages.append(Message("assistant", answer))
    return Trace(
        id="q1/0", question_id="q1", group="q1", question=asked or question(), messages=messages,
        turns=turns, tool_calls=records, stop_reason=stop, final_answer=answer or None,
    )  # fmt: skip


def chat(*messages: Message, final_answer: str | None = None, **fields: Any) -> Trace:
    """A plain chat."""
    given = {"id": "chat", "question": question(), **fields}
    return Trace(messages=list(messages), final_answer=final_answer, **given)


def verdict(value: str = "correct", confidence: float = 0.9) -> str:
    return json.dumps({"reasoning": "so it is", "verdict": value, "confidence": confidence})


class Judge:
    """An engine that grades; it keeps what it was asked."""

    uri = "judge:"
    capabilities = Capabilities(json_schema=True, cacheable=False, remote=False)

    def __init__(self, reply: str | Exception = "", *, value: str = "correct") -> None:
        self.reply = reply or verdict(value)
        self.asked: list[str] = []

    async def identify(self) -> str:
        return "judge:1"

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def complete(self, request: Request) -> Completion:
        assert not isinstance(request.prompt, str)
        self.asked.append("\n".join(message.text for message in request.prompt))
        if isinstance(self.reply, Exception):
            raise self.reply
        return Completion(text=self.reply)

    @property
    def grader(self) -> Grader:
        return Grader(engine=self, cache=False)


def careful(prompts: Sequence[Any]) -> list[str]:
    """Grade as a careful person would: the reference is said, and nothing but it."""
    return [verdict("correct" if _is_right(p[-1]["content"]) else "incorrect") for p in prompts]


def _is_right(prompt: str) -> bool:
    reference = prompt.split("[[reference answer]]")[1].split("[[")[0].strip().casefold()
    answer = prompt.split("[[answer to check]]")[1].rsplit("[[check]]")[0].strip()
    if answer in {subject.sentence for subject in SUBJECTS}:
        return True
    plain = answer.replace(".", "").casefold()
    return plain.endswith(reference) and " or " not in plain and "not " not in plain


def gullible(prompts: Sequence[Any]) -> list[str]:
    """Find everything correct."""
    return [verdict("correct")] * len(prompts)


def grader(function: Any) -> Grader:
    return Grader(engine=CallableEngine(function, mode="chat"), cache=False)


def is_no_number(score: Score, cause: str) -> bool:
    """Whether an unscored trace has nothing that could be learned from."""
    return score.value is None and score.cause == cause and bool(score.reason)
