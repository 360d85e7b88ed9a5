"""What a model wrote in a rollout of verl, apart from what tools and the template added."""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from plaudit.errors import InputError

_RESULT = re.compile(r"<tool_response>\n?(.*?)\n?</tool_response>", re.DOTALL)
_ROLE = re.compile(r"\s*(?:tool|ipython|user|function|observation)\s*\n")
_ASKED = [{"role": "user", "content": "?"}]


class TurnPart(NamedTuple):
    """Ids that stand together in a response."""

    written: bool
    """Whether the model sampled them."""
    ids: list[int]


class TurnMarkers(NamedTuple):
    """Ids by which a tokenizer's template parts turns."""

    header: tuple[int, ...]
    """What begins a turn of the assistant; empty where the template writes nothing there."""
    ends: frozenset[int]
    """Any of them ends a turn."""
    special: frozenset[int]
    """All special ids."""


def markers_of(tokenizer: Any, options: Mapping[str, Any] | None = None) -> TurnMarkers:
    """Return the markers of a tokenizer from Hugging Face.

    Args:
        tokenizer: with or without a chat template.
        options: further arguments of its template.
    """
    special = frozenset(tokenizer.all_special_ids)
    ends = {tokenizer.eos_token_id} - {None}
    if not getattr(tokenizer, "chat_template", None):
        return TurnMarkers((), frozenset(ends), special)

    def render(messages: Sequence[Mapping[str, str]], prompt: bool = False) -> str:
        given = {"tokenize": False, "add_generation_prompt": prompt, **(options or {})}
        return tokenizer.apply_chat_template(messages, **given)

    asked = render(_ASKED)
    header = tuple(_ids(tokenizer, render(_ASKED, True).removeprefix(asked)))
    answered = render([*_ASKED, {"role": "assistant", "content": "!!"}])
    tail = _ids(tokenizer, answered.rpartition("!!")[2])
    ends |= {one for one in tail if one in special}
    return TurnMarkers(header, frozenset(ends), special)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def parts_of_mask(ids: Sequence[int], mask: Sequence[int]) -> list[TurnPart]:
    """Part a response by the mask that it is trained with.

    Raises:
        InputError: the mask is of another response.
    """
    if len(mask) < len(ids):
        raise InputError(f"the mask covers {len(mask)} of {len(ids)} tokens of the response")
    paired = zip(ids, mask, strict=False)
    grouped = groupby(paired, key=lambda one: bool(one[1]))
    return [TurnPart(written, [one for one, _ in group]) for written, group in grouped]


def parts_of_markers(ids: Sequence[int], markers: TurnMarkers, turns: int) -> list[TurnPart]:
    """Part a response by the markers of its template, where that is certain.

    A turn of the model goes up to the first token that ends one, and the next begins behind the
    next header. A tool's result can hold such tokens too, so the turns are counted.

    Args:
        ids: of the response.
        markers: of its tokenizer.
        turns: how many turns the model had.

    Raises:
        InputError: it has another number of turns, or one of them holds what begins a turn.
    """
    parts = [_turn(ids, 0, markers.ends)]
    place = len(parts[0].ids)
    while markers.header and (begin := _find(ids, markers.header, place)) is not None:
        begin += len(markers.header)
        turn = _turn(ids, begin, markers.ends)
        parts += [TurnPart(False, list(ids[place:begin])), turn]
        place = begin + len(turn.ids)
    written = [part.ids for part in parts if part.written]
    if len(written) != turns:
        raise InputError(
            f"the template's markers show {len(written)} turns where the model had {turns}, so it "
            "is not certain what the model wrote; a mask says it"
        )
    opening = [one for one in markers.header[:1] if one in markers.special]
    if any(one in turn for one in opening for turn in written):
        raise InputError("a turn of the model holds what begins another; a mask says where it ends")
    return parts


def _turn(ids: Sequence[int], start: int, ends: Collection[int]) -> TurnPart:
    stop = next((n for n in range(start, len(ids)) if ids[n] in ends), len(ids) - 1)
    return TurnPart(True, list(ids[start : stop + 1]))


def _find(ids: Sequence[int], wanted: Sequence[int], start: int) -> int | None:
    last = len(ids) - len(wanted)
    return next(
        (n for n in range(start, last + 1) if tuple(ids[n : n + len(wanted)]) == tuple(wanted)),
        None,
    )


def messages_of(
    parts: Sequence[TurnPart], tokenizer: Any, markers: TurnMarkers
) -> list[dict[str, str]]:
    """Return parts as messages: the model's turns, and between them the results of tools."""
    header = tokenizer.decode(markers.header, skip_special_tokens=True)
    messages: list[dict[str, str]] = []
    for part in parts:
        if part.written:
            kept = _without_end(part.ids, markers.special)
            text = tokenizer.decode(kept, skip_special_tokens=False)
            messages.append({"role": "assistant", "content": text})
        else:
            text = tokenizer.decode(part.ids, skip_special_tokens=True)
            messages += _results(text.removesuffix(header))
    return messages


def _without_end(ids: Sequence[int], special: Collection[int]) -> list[int]:
    kept = list(ids)
    while kept and kept[-1] in special:
        kept.pop()
    return kept


def _results(text: str) -> list[dict[str, str]]:
    """Return what a template wrote between two turns of the model as results of tools."""
    found: list[str] = _RESULT.findall(text)
    if not found:
        role = _ROLE.match(text)
        found = [(text[role.end() :] if role else text).strip()]
    return [{"role": "tool", "content": one} for one in found if one.strip()]
