"""Trace files: JSON Lines, one rollout a line, or plain chats, which are traces without tokens."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from plaudit._util import disk
from plaudit.corpus.questions import OnReject, Question, read_question, read_rows
from plaudit.errors import InputError
from plaudit.io.partial import PartialFile
from plaudit.judges import rows
from plaudit.judges.content import read_content
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.trace import SCHEMA, Trace, Turn
from plaudit.types import Json, Message

_TEXTS = frozenset({"id", "question_id", "group", "stop_reason", "final_answer", "engine"})
"""Fields that are text; in tables the others may be JSON text."""
_OF_QUESTION = frozenset({"question", "answer", "reference", "chunk_ids", "supporting_text"})

encode_trace = msgspec.json.Encoder().encode
"""A trace as JSON, without a line end."""


def read_traces(path: str | Path, on_reject: OnReject | None = None) -> Iterator[Trace]:
    """Read traces one after the other: memory does not grow with the file.

    ::

        for trace in read_traces("traces.jsonl"):
            print(trace.id, trace.stop_reason, trace.final_answer)

    Args:
        path: what `plaudit rollout -o` or `write_traces` wrote, rows of `{"messages": [...]}`, or
            `-` for standard input; in any form that an input may have.
        on_reject: called with the place and the error of each malformed row, which is then left
            out; None: the first one raises.

    Raises:
        InputError: there are no rows, or one of them is malformed.
    """

    def take(row: dict[str, Json], where: str, number: int) -> Trace:
        del where
        return read_trace(row, number)[0]

    return read_rows(path, take, on_reject)


def write_traces(traces: Iterable[Trace], out: str | Path) -> int:
    """Write traces as JSON Lines, the whole file or none; return how many.

    Raises:
        StoreError: it cannot be written.
    """
    path, count = Path(out), 0
    try:
        partial = PartialFile(path)
        try:
            for count, trace in enumerate(traces, 1):  # noqa: B007
                partial.file.write(encode_trace(trace) + b"\n")
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise disk.output_error(path, error) from error
    return count


def read_trace(row: Mapping[str, Json], index: int = 0) -> list[Trace]:
    """Take the trace of a row: one that plaudit wrote, or a plain `{"messages": [...]}`.

    A plain chat may say what was asked and what the answer is: `question` (else its first user
    message), `answer` or `reference` (a text or several), `chunk_ids` and `supporting_text`.

    Args:
        row: has `schema`, or else `messages`.
        index: how many traces were taken before it.

    Raises:
        InputError: it is neither, or of a newer schema than this plaudit knows.
    """
    return [_own(row) if "schema" in row else _plain(row, index)]


def _own(row: Mapping[str, Json]) -> Trace:
    schema = row["schema"]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise InputError(f"'schema' must be a number from 1, not {rows.json_type(schema)}")
    if schema > SCHEMA:
        raise InputError(
            f"the trace has schema {schema}, and this plaudit knows up to {SCHEMA}: upgrade with "
            "pip install -U plaudit"
        )
    try:
        trace = msgspec.convert(_unpacked(row), Trace)
    except msgspec.ValidationError as error:
        raise InputError(f"not a trace: {error}") from None
    _check_tokens(trace)
    return msgspec.structs.replace(trace, messages=list(read_content(trace.messages, "messages")))


def _check_tokens(trace: Trace) -> None:
    tokens = trace.tokens
    if tokens is None:
        return
    lengths = [len(tokens.ids), len(tokens.mask), len(tokens.logprobs)]
    if len(set(lengths)) > 1 or not 0 <= tokens.prompt_length <= lengths[0]:
        raise InputError(
            f"tokens: {lengths[0]} ids, {lengths[1]} in the mask, {lengths[2]} log-probabilities "
            f"and a prompt of {tokens.prompt_length} do not go together"
        )


def _unpacked(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a row of a table with its JSON texts read; others as they are."""
    texts = {k for k, v in row.items() if isinstance(v, str) and k not in _TEXTS}
    found = dict(row)
    for name in texts:
        try:
            found[name] = msgspec.json.decode(row[name])
        except msgspec.DecodeError:
            raise InputError(f"not a trace: {name!r} is text") from None
    return found


# Plain chats


def trace_of_chat(
    messages: Sequence[Message], *, id: str = "", question: Question | None = None
) -> Trace:
    """Return a plain chat as a trace: without tokens, and without a stop reason.

    Thoughts (`<think>...</think>`) are taken out of what the assistant says; `turns` has them.

    Args:
        messages: in the OpenAI format.
        id: what it is called; empty: a hash of the messages.
        question: what was asked, where that is known.
    """
    chat: list[Message] = []
    turns: list[Turn] = []
    for message in messages:
        if message.role == "assistant":
            turn = _turn(message, len(turns))
            turns.append(turn)
            message = _without_thoughts(message, turn)
        chat.append(message)
    return Trace(
        id=id or hashlib.blake2b(msgspec.json.encode(chat), digest_size=8).hexdigest(),
        question_id="" if question is None else question.id,
        group="" if question is None else question.id,
        question=question,
        messages=chat,
        turns=turns,
        final_answer=final_answer(messages),
    )


def final_answer(messages: Sequence[Message]) -> str | None:
    """Return the text of the last assistant message without thoughts; None where it calls a tool.

    What comes after it, such as a tool's result, is never an answer.
    """
    last = next((one for one in reversed(messages) if one.role == "assistant"), None)
    if last is None or last.tool_calls:
        return None
    said = read_reply(last.text)
    return None if said.attempts else said.text or None


def _plain(row: Mapping[str, Json], number: int) -> Trace:
    name = rows.chat_name(row, ["messages"], ()) or "messages"
    messages = rows.take_messages(row, name)
    given = row.get("id")
    trace = trace_of_chat(
        messages,
        id=f"row-{number}" if given is None else str(given),
        question=_question(row, messages),
    )
    try:
        own = msgspec.convert(row, _Own)
    except msgspec.ValidationError as error:
        raise InputError(f"not a chat: {error}") from None
    return msgspec.structs.replace(
        trace,
        question_id=own.question_id or trace.question_id,
        group=own.group or trace.group,
        draw=own.draw,
    )


class _Own(msgspec.Struct, frozen=True):
    """What of a trace a plain chat may say."""

    question_id: str | None = None
    group: str | None = None
    draw: int = 0


def _question(row: Mapping[str, Json], messages: Iterable[Message]) -> Question | None:
    """Return what was asked, where the row says more of it than the chat does."""
    if not _OF_QUESTION & row.keys():
        return None
    found = row.get("question")
    if isinstance(found, dict):
        return read_question(cast("dict[str, Json]", found))
    fields = {name: row[name] for name in Question.__struct_fields__ if name in row}
    fields["id"] = row.get("question_id", row.get("id"))
    fields.setdefault("answer", row.get("reference"))
    if not isinstance(found, str):
        fields["question"] = next((m.text for m in messages if m.role == "user"), "")
    return read_question(fields)


def _turn(message: Message, number: int) -> Turn:
    said = read_reply(message.text, forms=(), turn=number)
    calls = [str(call.get("id", "")) for call in message.tool_calls or ()]
    return Turn(text=message.text, reasoning=said.reasoning, answer=said.text, calls=calls)


def _without_thoughts(message: Message, turn: Turn) -> Message:
    if not turn.reasoning or isinstance(message.content, list):
        return message
    return msgspec.structs.replace(message, content=turn.answer or None)
