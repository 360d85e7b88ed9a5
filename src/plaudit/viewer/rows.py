"""One row for a page: a verdict, a trace, a pair or any other."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.errors import InputError
from plaudit.runs.labels import as_text as label_text
from plaudit.types import Json
from plaudit.viewer.chats import (
    Bubble,
    JudgedChat,
    as_text,
    bubbles_of,
    judged_of,
    unpacked,
)
from plaudit.viewer.strips import TokenStrip, strip_of
from plaudit.viewer.texts import Cut, DiffPart, cut, differences

TURNS = 200
"""Messages of a trace that a page shows."""
_PACKED = ("fields", "metadata", "input", "probabilities", "error", "usage")


class OptionShare(NamedTuple):
    """An option and its probability."""

    label: str
    share: float


class Order(NamedTuple):
    """One order of a pair, mapped back to A and B."""

    title: str
    value: str
    shares: list[OptionShare]
    p_a: float | None
    others: dict[str, Json]


class AskedPage(NamedTuple):
    """A member of a jury, or a step of a cascade, and what it said."""

    name: str
    judge: str
    status: str
    value: str
    reward: float | None
    confidence: float | None
    cause: str
    decided: bool
    """Whether a cascade ended with it."""


class VerdictPage(NamedTuple):
    """A verdict."""

    id: str
    status: str
    value: str
    reward: float | None
    confidence: float | None
    label: str | None
    cause: str
    message: str
    shares: list[OptionShare]
    orders: list[Order]
    members: list[AskedPage]
    judged: JudgedChat | None
    fields: dict[str, Json]
    metadata: dict[str, Json]
    facts: dict[str, Json]
    raw: list[Cut]


class TracePage(NamedTuple):
    """A trace."""

    id: str
    question: dict[str, Json]
    status: str
    messages: list["TraceMessage"]
    first: int
    """The number of the first message that is shown, from 0."""
    total: int
    rewards: list["RewardLine"]
    tokens: TokenStrip | None
    facts: dict[str, Json]


class RewardLine(NamedTuple):
    """A reward of a trace."""

    name: str
    value: float | None
    cause: str
    reason: str
    components: dict[str, float | None]


class TraceMessage(NamedTuple):
    """A message of a trace, with what is known of its turn."""

    bubble: Bubble
    thought: Cut | None
    seconds: float | None
    tokens: int | None
    status: str
    """Of a tool's result: what became of the call."""


class PairPage(NamedTuple):
    """A preference pair."""

    id: str
    prompt: list[Bubble]
    chosen: Sequence[DiffPart]
    rejected: Sequence[DiffPart]
    compared: bool
    """Whether differences are marked."""
    facts: dict[str, Json]
    metadata: dict[str, Json]


class OtherPage(NamedTuple):
    """A row of no known kind."""

    id: str
    judged: JudgedChat
    fields: dict[str, Json]


def decode_row(line: bytes, where: str) -> dict[str, Json]:
    """Return a line as a JSON object.

    Raises:
        InputError: it is none; the message names its place.
    """
    try:
        return decode_json(line, dict[str, Json])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not a row: {error}") from None


def judged_row(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a verdict is of, in the form of an input row; empty where the file lacks it."""
    return _object(unpacked(row, ("input",)).get("input"))


def verdict_page(row: Mapping[str, Json], whole: bool = False) -> VerdictPage:
    """Return a verdict for its page."""
    found = unpacked(row, _PACKED)
    fields, error = _object(found.get("fields")), _object(found.get("error"))
    metadata, given = _object(found.get("metadata")), _object(found.get("input"))
    orders = [_order(number, one) for number, one in enumerate(_objects(fields.pop("orders", [])))]
    members = [_asked(one, fields.get("step")) for one in _objects(fields.pop("members", []))]
    label = metadata.get("label")
    raw = found.get("raw")
    known = {"judge": found.get("judge"), "usage": found.get("usage"), "index": found.get("index")}
    return VerdictPage(
        id=str(found.get("id", "")),
        status=str(found.get("status", "")),
        value="" if found.get("value") is None else label_text(found["value"]),
        reward=_number(found.get("reward")),
        confidence=_number(found.get("confidence")),
        label=None if label is None else label_text(label),
        cause=str(error.get("cause", "")),
        message=str(error.get("message", "")),
        shares=_shares(found.get("probabilities")),
        orders=orders,
        members=members,
        judged=judged_of(given, whole) if given else None,
        fields=fields,
        metadata=metadata,
        facts={name: value for name, value in known.items() if value is not None},
        raw=[cut(as_text(one), whole) for one in cast("list[Any]", raw)]
        if isinstance(raw, list)
        else [],
    )


def trace_page(row: Mapping[str, Json], first: int = 0, whole: bool = False) -> TracePage:
    """Return a trace for its page, from a message on."""
    messages = cast("list[Any]", row.get("messages") or [])
    calls = {str(one.get("id")): one for one in _objects(row.get("tool_calls"))}
    turns = _objects(row.get("turns"))
    said = sum(_role(one) == "assistant" for one in messages[:first])
    shown: list[TraceMessage] = []
    for bubble in bubbles_of(messages[first : first + TURNS], whole):
        turn: Mapping[str, Json] = {}
        if bubble.role == "assistant":
            turn = turns[said] if said < len(turns) else {}
            said += 1
        shown.append(_trace_message(bubble, turn, calls.get(bubble.answers, {}), whole))
    timing, usage = _object(row.get("timing")), _object(row.get("usage"))
    known = {
        "stopped": row.get("stop_reason"),
        "final answer": row.get("final_answer"),
        "error": row.get("error"),
        "seconds": timing.get("total"),
        "seconds of the engine": timing.get("engine"),
        "seconds of tools": timing.get("tools"),
        "input tokens": usage.get("input_tokens"),
        "output tokens": usage.get("output_tokens"),
        "engine": row.get("engine"),
    }
    return TracePage(
        id=str(row.get("id", "")),
        question=_object(row.get("question")),
        status=str(row.get("stop_reason") or "chat"),
        messages=shown,
        first=first,
        total=len(messages),
        rewards=_rewards(row.get("rewards")),
        tokens=strip_of(_object(row.get("tokens"))),
        facts={name: value for name, value in known.items() if value is not None},
    )


def pair_page(row: Mapping[str, Json], whole: bool = False) -> PairPage:
    """Return a pair for its page, with what differs."""
    chosen, rejected = _response(row.get("chosen")), _response(row.get("rejected"))
    found = differences(rejected, chosen)
    left, right = found or (
        [DiffPart("same", cut(rejected, whole).text)],
        [DiffPart("same", cut(chosen, whole).text)],
    )
    prompt = row.get("prompt")
    own = {"prompt", "chosen", "rejected", "metadata"}
    names = [str(row[name]) for name in ("example_id", "turn_id") if row.get(name) is not None]
    return PairPage(
        id="/".join(names),
        prompt=judged_of({"prompt": prompt}, whole).shared if prompt else [],
        chosen=right,
        rejected=left,
        compared=found is not None,
        facts={
            **{name: value for name, value in row.items() if name not in own},
            "characters of chosen": len(chosen),
            "characters of rejected": len(rejected),
        },
        metadata=_object(row.get("metadata")),
    )


def row_page(row: Mapping[str, Json], whole: bool = False) -> OtherPage:
    """Return any row for its page."""
    judged = judged_of(row, whole)
    return OtherPage(str(row.get("id", "")), judged._replace(others={}), judged.others)


# Parts


def _order(number: int, found: dict[str, Json]) -> Order:
    known = {"value", "probabilities", "p_a"}
    return Order(
        title=("A shown first", "B shown first")[number] if number < 2 else f"order {number + 1}",
        value=str(found.get("value", "")),
        shares=_shares(found.get("probabilities")),
        p_a=_number(found.get("p_a")),
        others={name: value for name, value in found.items() if name not in known},
    )


def _asked(found: Mapping[str, Json], step: Json) -> AskedPage:
    return AskedPage(
        name=_text(found.get("name")),
        judge=_text(found.get("judge")),
        status=_text(found.get("status")),
        value=_text(found.get("value")),
        reward=_number(found.get("reward")),
        confidence=_number(found.get("confidence")),
        cause=_text(found.get("cause")),
        decided=step is not None and found.get("name") == step,
    )


def _text(value: Json) -> str:
    return "" if value is None else as_text(value)


def _trace_message(
    bubble: Bubble, turn: Mapping[str, Json], call: Mapping[str, Json], whole: bool
) -> TraceMessage:
    thought = str(turn.get("reasoning") or "")
    usage = _object(turn.get("usage"))
    tokens = usage.get("output_tokens")
    return TraceMessage(
        bubble,
        cut(thought, whole) if thought else None,
        _number(call.get("seconds")),
        tokens if isinstance(tokens, int) else None,
        str(call.get("status", "")),
    )


def _rewards(given: Json) -> list[RewardLine]:
    lines: list[RewardLine] = []
    for name, score in _object(given).items():
        found = _object(score)
        parts = {
            key: _number(_object(one).get("value"))
            for key, one in _object(found.get("components")).items()
        }
        lines.append(
            RewardLine(
                name,
                _number(found.get("value")),
                str(found.get("cause") or ""),
                str(found.get("reason") or ""),
                parts,
            )
        )
    return lines


def _shares(given: Json) -> list[OptionShare]:
    found = [
        OptionShare(label, share)
        for label, value in _object(given).items()
        if (share := _number(value)) is not None
    ]
    return sorted(found, key=lambda one: -one.share)


def _response(given: Json) -> str:
    if isinstance(given, list):
        return "\n\n".join(one.text.text for one in bubbles_of(cast("list[Any]", given), True))
    if isinstance(given, dict):
        return bubbles_of([given], True)[0].text.text
    return "" if given is None else as_text(given)


def _role(message: Any) -> str:
    return str(cast("dict[str, Json]", message).get("role")) if isinstance(message, dict) else ""


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _object(value: Json) -> dict[str, Json]:
    return dict(cast("dict[str, Json]", value)) if isinstance(value, dict) else {}


def _objects(value: Json) -> list[dict[str, Json]]:
    return [_object(one) for one in cast("list[Any]", value)] if isinstance(value, list) else []
