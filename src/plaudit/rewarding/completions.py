"""What trainers hand to a reward, prompt, completion and columns of a row, as a trace."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.corpus.questions import Question, read_question
from plaudit.engines.replies import as_thought
from plaudit.errors import InputError
from plaudit.judges import rows
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.calls.syntax import TAGGED
from plaudit.rollouts.forms import as_openai
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import trace_of_chat
from plaudit.types import Json, Message

Chat = str | Sequence[Mapping[str, Json]]
"""A text, or messages in the OpenAI format."""

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_ASKING = ("system", "developer")


def trace_of_completion(prompt: Chat, completion: Chat, columns: Mapping[str, Json]) -> Trace:
    """Return what a model wrote after a prompt as a trace, without tokens.

    Of the prompt only its instructions and its last question are in the trace: what an assistant
    said in an earlier turn is not what this model wrote. Calls are those in `tool_calls`, or
    written as text between tags; results without an id belong to the call of their name that has
    waited longest.

    Args:
        prompt: what the model read.
        completion: what followed: a text, or the new messages, with the results of tools.
        columns: the other columns of the row: `answer`, `chunk_ids` and so on, as in a file of
            questions. What was asked is `question`, else the last text of the user.

    Raises:
        InputError: it is no chat, or a column has the wrong type.
    """
    asked = _opening(_messages(prompt, "prompt", "user"))
    written = _read_calls(_messages(completion, "completion", "assistant"))
    question = _question("".join(m.text for m in asked if m.role == "user"), columns)
    return trace_of_chat([*asked, *_paired(written)], question=question)


def with_columns(trace: Trace, columns: Mapping[str, Json]) -> Trace:
    """Return a trace whose question has what the columns say of it, such as its id and answer.

    The trace goes with that question: rows of the same text that are other questions, by their ids
    or answers, are groups of their own.

    Raises:
        InputError: a column has the wrong type.
    """
    asked = "" if trace.question is None else trace.question.question
    question = _question(asked, columns)
    if question is None:
        return trace
    return trace.of(question, trace.draw)


def _question(asked: str, columns: Mapping[str, Json]) -> Question | None:
    """Return what was asked; None where neither the chat nor a column says it."""
    given = {name: value for name, value in columns.items() if value is not None}
    if isinstance(given.get("metadata"), str):  # A data set of questions has it as JSON text.
        given["metadata"] = _decoded(given["metadata"])
    if not asked.strip() and "question" not in given:
        return None
    return read_question({"question": asked} | given)


def _decoded(text: str) -> Json:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        raise InputError("'metadata' is text that is no JSON") from None


def _messages(chat: Chat, name: str, role: str) -> list[Message]:
    if isinstance(chat, str):
        return [Message(role, chat)]
    if not isinstance(chat, list):
        raise InputError(f"{name!r} must be text or a list of messages, not {rows.json_type(chat)}")
    reported = [_with_thoughts(message) for message in cast("list[Any]", chat)]
    return list(rows.take_messages({name: reported}, name)) if reported else []


def _with_thoughts(message: Any) -> Any:
    """Put thoughts that a parser took out of a message back to where the model wrote them."""
    if not isinstance(message, dict):
        return message
    fields = cast("dict[str, Any]", message)
    thoughts = next((fields[name] for name in _THOUGHTS if fields.get(name)), None)
    content = fields.get("content") or ""
    if not isinstance(thoughts, str) or not isinstance(content, str):
        return fields
    return fields | {"content": f"{as_thought(thoughts)}\n{content}"}


def _opening(prompt: Sequence[Message]) -> list[Message]:
    asked = [message for message in prompt if message.role == "user"][-1:]
    return [message for message in prompt if message.role in _ASKING] + asked


def _read_calls(messages: Sequence[Message]) -> list[Message]:
    """Move calls that are written as text to where calls belong, and number those without an id."""
    found: list[Message] = []
    turn = 0
    for message in messages:
        if message.role != "assistant":
            found.append(message)
            continue
        found.append(_numbered(message, turn) if message.tool_calls else _parsed(message, turn))
        turn += 1
    return found


def _parsed(message: Message, turn: int) -> Message:
    said = read_reply(message.text, forms=TAGGED, turn=turn)
    if not said.attempts:
        return message
    calls = [as_openai(call) for call in said.attempts]
    thoughts = f"{as_thought(said.reasoning)}\n" if said.reasoning else ""
    return msgspec.structs.replace(
        message, content=f"{thoughts}{said.text}" or None, tool_calls=calls
    )


def _numbered(message: Message, turn: int) -> Message:
    calls = [
        call if call.get("id") else {"id": f"call-{turn}-{number}", **call}
        for number, call in enumerate(message.tool_calls or ())
    ]
    return msgspec.structs.replace(message, tool_calls=calls)


def _paired(messages: Sequence[Message]) -> list[Message]:
    """Give each result the id of the call that it answers."""
    waiting: list[tuple[str, str]] = []
    paired: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            waiting = [(str(call.get("id")), _name(call)) for call in message.tool_calls or ()]
        elif message.role == "tool" and waiting:
            message = _answering(message, waiting)
        paired.append(message)
    return paired


def _answering(message: Message, waiting: list[tuple[str, str]]) -> Message:
    known = [one for one in waiting if one[0] == message.tool_call_id]
    named = [one for one in waiting if one[1] == message.name]
    call = (known or named or waiting)[0]
    waiting.remove(call)
    if message.tool_call_id:
        return message
    return msgspec.structs.replace(message, tool_call_id=call[0])


def _name(call: Mapping[str, Json]) -> str:
    function = call.get("function")
    return str(cast("dict[str, Any]", function).get("name")) if isinstance(function, dict) else ""
