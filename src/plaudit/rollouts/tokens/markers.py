"""What a chat template writes around replies, found out from conversations of its own making."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from plaudit.errors import CallError, UsageError
from plaudit.rollouts.tokens.conforming import Chat
from plaudit.rollouts.tokens.masks import Markers, assistant_mask, load_numpy, reply_begins
from plaudit.rollouts.tokens.replies import Span, locate_replies
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.types import Json

_SHAPES = (
    "user reply",
    "system user reply",
    "user reply user reply user reply",
    "system user reply user reply",
    "user reply reply",
    "reply user reply",
    "user call result reply",
    "user call result result reply user reply",
    "user calls result result call result reply",
    "user thought user thought",
)
"""Conversations that chat templates write differently."""
_WORDS = ("Yes.", "no", "7", '"', "灯 ", "(")
"""What messages say. Their beginnings differ: ids that change with them are no header's."""
_DEPTH = 4
"""Most control tokens that a header begins with."""


class _Sample(msgspec.Struct, frozen=True):
    """A conversation whose replies are known."""

    ids: Any
    mask: Any
    spans: list[Span]


def find_markers(template: SafeTemplate, tokenizer: FileTokenizer) -> Markers | None:
    """Return what begins and ends replies; None where ids alone cannot tell that.

    They are tried on conversations in which the replies' places are known otherwise, and taken only
    if they tell each token of all of them rightly.

    Raises:
        MissingDependencyError: numpy is not installed.
        UsageError: the template does not write what replies say.
    """
    samples = list(_samples(template, tokenizer))
    if not samples:
        raise UsageError(f"the chat template {template.name} refuses every conversation tried")
    control = frozenset(tokenizer.control.values())
    for depth in range(1, _DEPTH + 1):
        markers = _around(samples[::2], control, depth)
        if markers is None:
            return None
        markers = msgspec.structs.replace(markers, others=_others(samples, control, markers))
        if all(_fits(markers, sample) for sample in samples):
            return markers
    return None


def _around(samples: list[_Sample], control: frozenset[int], depth: int) -> Markers | None:
    """Return the ids around all replies: headers from the `depth`-th last control token on."""
    starts: set[tuple[int, ...]] = set()
    ends: set[int] = set()
    for sample in samples:
        ids = sample.ids.tolist()
        for begin, end in sample.spans:
            anchors = [place for place in range(begin) if ids[place] in control][-depth:]
            if not anchors or ids[end - 1] not in control:
                return None
            starts.add(tuple(ids[anchors[0] : begin]))
            ends.add(ids[end - 1])
    return Markers(tuple(sorted(starts)), tuple(sorted(ends)))


def _others(samples: list[_Sample], control: frozenset[int], markers: Markers) -> tuple[int, ...]:
    """Return the control tokens that follow a header where no reply begins."""
    after = {
        int(sample.ids[begin])
        for sample in samples
        for begin in reply_begins(sample.ids, markers)
        if begin not in {begin for begin, _ in sample.spans}
    }
    return tuple(sorted(after & control))


def _fits(markers: Markers, sample: _Sample) -> bool:
    found = assistant_mask(sample.ids, markers)
    return found.counts[0] == len(sample.spans) and bool((found.mask == sample.mask).all())


def _samples(template: SafeTemplate, tokenizer: FileTokenizer) -> Iterator[_Sample]:
    """Make the conversations that the template takes."""
    numpy = load_numpy()
    for shape, shift in itertools.product(_SHAPES, range(len(_WORDS))):
        words = itertools.cycle(_WORDS[shift:] + _WORDS[:shift])
        chat: Chat = [_turn(kind, next(words)) for kind in shape.split()]
        try:
            located = locate_replies(template, chat)
        except CallError:
            continue
        encoded = tokenizer.locate(located.text, located.spans)
        mask = numpy.zeros(len(encoded.ids), dtype=bool)
        for begin, end in encoded.spans:
            mask[begin:end] = True
        yield _Sample(numpy.array(encoded.ids), mask, encoded.spans)


def _turn(kind: str, words: str) -> dict[str, Json]:
    match kind:
        case "reply":
            return {"role": "assistant", "content": words}
        case "thought":
            return {"role": "assistant", "content": words, "reasoning_content": "Hm."}
        case "result":
            return {"role": "tool", "content": words, "name": "find", "tool_call_id": "call00001"}
        case "call" | "calls":
            count = 1 if kind == "call" else 2
            return {"role": "assistant", "content": None, "tool_calls": [_call()] * count}
        case _:
            return {"role": kind, "content": words}


def _call() -> dict[str, Json]:
    function = {"name": "find", "arguments": {"what": "x"}}
    return {"id": "call00001", "type": "function", "function": function}
