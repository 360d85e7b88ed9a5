"""Input rows: fields taken from plain dicts, with errors that name the field."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from plaudit.errors import InputError
from plaudit.judges.content import json_type, read_content, read_messages
from plaudit.types import (
    AnswerSample,
    FeedbackSample,
    Json,
    Message,
    PairSample,
    ResponseSample,
    Sample,
)

_encode = msgspec.json.Encoder(order="deterministic").encode


def row_id(row: Mapping[str, Any], content: Json) -> str:
    """Return the row's own id as text, else a hash of its content."""
    given = row.get("id")
    if given is not None:
        return str(given)
    return hashlib.blake2b(_encode(content), digest_size=8).hexdigest()


def unknown_columns(row: Mapping[str, Any], known: frozenset[str]) -> dict[str, Json]:
    """Return what no judge reads, for the verdict's metadata."""
    if row.keys() <= known:
        return {}
    return {name: value for name, value in row.items() if name not in known}


def take_text(row: Mapping[str, Any], name: str, *aliases: str) -> str:
    """Return a text field of an input row.

    Raises:
        InputError: it is missing or no text.
    """
    given = row.get(name)
    if isinstance(given, str):
        return given
    for found in (name, *aliases):
        if found in row:
            value = row[found]
            if not isinstance(value, str):
                raise InputError(f"{found!r} must be text, not {json_type(value)}")
            return value
    raise InputError(f"the field {name!r} is missing")


def take_optional_text(row: Mapping[str, Any], name: str) -> str | None:
    """Return a text field, or None where it is missing or null.

    Raises:
        InputError: it is there and no text.
    """
    return None if row.get(name) is None else take_text(row, name)


def take_choice(row: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """Return a text field that is one of a few words; empty where it is missing or null.

    Raises:
        InputError: it is something else.
    """
    found = take_optional_text(row, name) or ""
    if found and found not in allowed:
        raise InputError(f"{name!r} is {found[:60]!r}; it can be {', '.join(allowed)}")
    return found


def take_optional_list(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that holds a list of texts; empty where it is missing or null.

    Raises:
        InputError: it is an empty list, no list, or holds something else.
    """
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InputError(f"{name!r} must be a list of texts, not {json_type(value)}")
    return take_texts(row, name)


def take_texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that holds one text or a list of them.

    Raises:
        InputError: it is missing, empty, or holds something else.
    """
    value = row.get(name)
    if not isinstance(value, list):
        return (take_text(row, name),)
    texts = cast("list[Any]", value)
    if not texts:
        raise InputError(f"{name!r} is an empty list")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{name!r} must hold texts, not {json_type(text)}")
    return tuple(texts)


def chat_name(row: Mapping[str, Any], names: Sequence[str], others: Iterable[str]) -> str | None:
    """Return the column that holds a chat; None where there is none.

    Args:
        row: an input row.
        names: what the column may be called.
        others: columns that say the same; without any, the `conversations` of ShareGPT count.
    """
    if row.keys().isdisjoint(others):
        names = (*names, "conversations")
    for name in names:
        if name in row:
            return name
    return None


def take_messages(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return a list of chat messages in the OpenAI format; see `read_messages` for other forms.

    Raises:
        InputError: it is missing, empty, not a list of messages, or holds what is no text.
    """
    value = row.get(name)
    if not isinstance(value, list):
        if name not in row:
            raise InputError(f"the field {name!r} is missing")
        raise InputError(f"{name!r} must be a list of messages, not {json_type(value)}")
    messages = read_messages(cast("list[Any]", value), name)
    if not messages:
        raise InputError(f"{name!r} has no messages")
    return messages


def take_prompt(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return a prompt given as text (one user message) or as messages.

    Raises:
        InputError: it is missing or neither of them.
    """
    if isinstance(row.get(name), list):
        return take_messages(row, name)
    return (Message("user", take_text(row, name)),)


def take_dialogue(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return messages that end with the assistant's response.

    Raises:
        InputError: they do not, or there is nothing before the response.
    """
    messages = take_messages(row, name)
    if messages[-1].role != "assistant":
        raise InputError(
            f"{name!r} ends with the {messages[-1].role}; it must end with the assistant's "
            "response, which is what is judged"
        )
    if len(messages) == 1:
        raise InputError(f"{name!r} has nothing before the response")
    return messages


def refuse_blank(sample: Sample) -> None:
    """Refuse a sample in which there is nothing to judge.

    Raises:
        InputError: a field that must say something holds no visible character; names the field.
    """
    for name, texts in _judged(sample):
        if not any(map(is_visible, texts)):
            raise InputError(f"{name} is empty, so there is nothing to judge")


def _judged(sample: Sample) -> Sequence[tuple[str, Iterable[str]]]:
    """Return what must say something, by name. An empty answer to verify is one: a wrong one."""
    if isinstance(sample, FeedbackSample):
        return (
            ("'query'", (sample.query,)),
            ("'answer'", (sample.answer,)),
            ("'follow_up'", (sample.follow_up,)),
        )
    if isinstance(sample, ResponseSample):
        prompt = map(message_text, sample.prompt)
        return ("the prompt", prompt), ("the response", (sample.response,))
    if isinstance(sample, PairSample):
        a, b = sample.conversation_a, sample.conversation_b
        return (
            ("the prompt", map(message_text, a[:-1])),
            ("the prompt", map(message_text, b[:-1])),
            ("each response", map(message_text, (*a[-1:], *b[-1:]))),
        )
    return (("'reference'", sample.references),) if isinstance(sample, AnswerSample) else ()


def is_visible(text: str) -> bool:
    """Return whether a text holds more than white space and invisible characters."""
    if text[:1].isalnum():  # As most are.
        return True
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def message_text(message: Message) -> str:
    """Return what a message says as text, its calls in square brackets.

    Raises:
        InputError: a part of its content cannot be read.
    """
    if isinstance(message.content, str) and message.tool_calls is None:
        return message.content
    parts: list[str] = []
    for read in read_content([message], "messages"):
        if read.content is not None:
            parts.append(str(read.content))
        for call in read.tool_calls or ():
            parts.append("[tool call] " + msgspec.json.encode(call.get("function", call)).decode())
    return "\n".join(parts)


def shown(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages as a template sees them."""
    return [{"role": m.role, "text": message_text(m)} for m in messages]


def plain(messages: Sequence[Message]) -> Json:
    """Return messages as JSON; a single user message as its text."""
    if len(messages) == 1 and messages[0].role == "user" and isinstance(messages[0].content, str):
        return messages[0].content
    return as_json(messages)


def as_json(messages: Sequence[Message]) -> Json:
    """Return messages as JSON in the OpenAI format."""
    return msgspec.to_builtins(list(messages))


# Plain values


S = TypeVar("S", bound=Sample)

_encode_any = msgspec.json.Encoder().encode


def plain_row(row: Mapping[Any, Any]) -> dict[str, Json]:
    """Return a row with plain text and numbers for those of NumPy and of other libraries.

    Raises:
        InputError: a text holds half of a character, which no file can hold; names the field.
    """
    if type(row) is dict and _is_plain(row):
        return cast("dict[str, Json]", row)
    items = cast("Mapping[Any, Any]", row).items()
    return {_plain(name, "a name"): _plain(value, repr(name)) for name, value in items}


def plain_sample(sample: S) -> S:
    """Return a sample with plain text and numbers, and with text for content.

    Raises:
        InputError: a text holds half of a character, content cannot be read, or there is nothing to
            judge; names the field.
    """
    if not _is_plain(sample):
        sample = _plain_struct(sample, "")
    replace = msgspec.structs.replace
    if isinstance(sample, ResponseSample):
        sample = replace(sample, prompt=read_content(sample.prompt, "prompt"))
    if isinstance(sample, PairSample):
        a = read_content(sample.conversation_a, "conversation_a")
        b = read_content(sample.conversation_b, "conversation_b")
        sample = replace(sample, conversation_a=a, conversation_b=b)
    refuse_blank(sample)
    return sample


def _is_plain(value: Any) -> bool:
    try:
        _encode_any(value)
    except (TypeError, ValueError):
        return False
    except RecursionError:
        raise InputError("nested too deeply") from None
    return True


def _plain(value: Any, where: str) -> Any:
    """Return a value of plain types; what is neither text, number nor collection stays as it is."""
    if isinstance(value, str):
        return _plain_text(value, where)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_plain(name, where): _plain(inner, f"{where}.{name!r}") for name, inner in items}
    if isinstance(value, list | tuple):
        found = [_plain(inner, f"{where}[{n}]") for n, inner in enumerate(cast("list[Any]", value))]
        return found if isinstance(value, list) else tuple(found)
    if isinstance(value, msgspec.Struct):
        return _plain_struct(value, where)
    if hasattr(value, "dtype") and callable(getattr(value, "tolist", None)):  # of NumPy, or alike
        return _plain(value.tolist(), where)
    return value


def _plain_struct(value: Any, where: str) -> Any:
    prefix = f"{where}." if where else ""
    fields = {
        name: _plain(getattr(value, name), f"{prefix}{name}") for name in value.__struct_fields__
    }
    return msgspec.structs.replace(value, **fields)


def _plain_text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = ascii(value[error.start])
        raise InputError(
            f"{where} holds half a character ({half}, a lone surrogate) at character "
            f"{error.start + 1}; no file and no request can hold it"
        ) from None
    return str.__str__(value)
