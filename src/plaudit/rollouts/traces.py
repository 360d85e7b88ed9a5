"""Traces from files: our own, and plain chats of anyone's."""

from collections.abc import Mapping
from typing import Any

import msgspec

from plaudit.errors import InputError
from plaudit.judges import rows
from plaudit.rollouts.parsing import read_reply
from plaudit.rollouts.question import Question
from plaudit.rollouts.trace import SCHEMA, Trace
from plaudit.types import Json, Message

_CHAT_FIELDS = frozenset(
    {"id", "messages", "question", "answer", "reference", "chunk_ids", "supporting_text"}
)


def read_trace(row: Mapping[str, Json], index: int) -> list[Trace]:
    """Take the trace of a row: one that plaudit wrote, or a plain `{"messages": [...]}`.

    A plain chat may say what was asked and what the answer is: `question` (else its first user
    message), `reference` or `answer` (a text or several), `chunk_ids` and `supporting_text`.

    Args:
        row: one row of a file.
        index: how many traces were taken before it.

    Raises:
        InputError: it is neither, or of a newer schema than this plaudit knows.
    """
    return [_own(row) if "schema" in row else _chat(row)]


def _own(row: Mapping[str, Json]) -> Trace:
    schema = row["schema"]
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"the trace has schema {schema}, and this plaudit reads up to {SCHEMA}: "
            "install a newer plaudit"
        )
    try:
        trace = msgspec.convert(row, Trace)
    except msgspec.ValidationError as error:
        raise InputError(f"not a trace: {error}") from None
    _check_tokens(trace)
    return trace


def _check_tokens(trace: Trace) -> None:
    tokens = trace.tokens
    if tokens is None:
        return
    if not len(tokens.ids) == len(tokens.mask) == len(tokens.logprobs):
        raise InputError(
            f"tokens: {len(tokens.ids)} ids, {len(tokens.mask)} in the mask and "
            f"{len(tokens.logprobs)} log-probabilities, where there must be as many of each"
        )


def _chat(row: Mapping[str, Json]) -> Trace:
    messages = rows.take_messages(row, "messages")
    id = rows.row_id(row, msgspec.to_builtins(messages))
    return Trace(
        id=id,
        question_id=id,
        group=id,
        question=_question(row, id, messages),
        messages=list(messages),
        final_answer=final_answer(messages),
    )


def final_answer(messages: "list[Message] | tuple[Message, ...]") -> str | None:
    """Return the text of the last assistant message without thoughts, None where it calls a tool.

    What comes after it, such as a tool's result, is never an answer.
    """
    last = next((m for m in reversed(messages) if m.role == "assistant"), None)
    if last is None or last.tool_calls:
        return None
    reply = read_reply(_text(last))
    return None if reply.attempts else reply.text or None


def _question(row: Mapping[str, Json], id: str, messages: tuple[Message, ...]) -> Question:
    asked = next((_text(m) for m in messages if m.role == "user"), "")
    fields: dict[str, Any] = {
        "id": id,
        "question": asked if row.get("question") is None else row["question"],
        "answer": row.get("reference") if row.get("reference") is not None else row.get("answer"),
        "chunk_ids": row.get("chunk_ids") or [],
        "supporting_text": row.get("supporting_text"),
        "metadata": rows.unknown_columns(row, _CHAT_FIELDS),
    }
    try:
        return msgspec.convert(fields, Question)
    except msgspec.ValidationError as error:
        raise InputError(f"not a chat with a question: {error}") from None


def _text(message: Message) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    texts = [part.get("text") for part in message.content]
    return "\n".join(text for text in texts if isinstance(text, str))
