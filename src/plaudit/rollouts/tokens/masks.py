"""Which tokens of conversations are the assistant's, found from the ids alone.

A template writes control tokens around replies. Texts cannot hold these (`safe_template`), so the
sequences of ids that begin and end replies show where they are, in any number of conversations at
once. `find_markers` finds out which sequences these are, from conversations that it makes itself.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from plaudit.errors import CallError, MissingDependencyError, UsageError
from plaudit.rollouts.tokens.conforming import Chat, sample_call
from plaudit.rollouts.tokens.replies import Span, locate_replies
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.types import Json


class Markers(msgspec.Struct, frozen=True):
    """What a template writes around replies, as ids."""

    starts: tuple[tuple[int, ...], ...]
    """Sequences after which a reply begins; where several fit at one place, the longest counts."""
    ends: tuple[int, ...]
    """Tokens that end a reply, and belong to it."""
    others: tuple[int, ...] = ()
    """Tokens that begin other messages: a start right before one begins no reply."""


class Replies(msgspec.Struct, frozen=True):
    """Where replies are in C conversations of T tokens, all in one array."""

    mask: Any
    """Boolean array of length T: whether a token belongs to a reply, its end token included."""
    counts: Any
    """Integer array of length C: how many replies each conversation has."""


def assistant_mask(ids: Any, markers: Markers, lengths: Sequence[int] | None = None) -> Replies:
    """Return which tokens belong to replies.

    A reply without an end token goes on to the last token of its conversation.

    Args:
        ids: T ids, best as an array of integers: one conversation, or several one after another.
        markers: what begins and ends replies.
        lengths: how many of the ids are each conversation's; None: there is one.

    Raises:
        MissingDependencyError: numpy is not installed.
    """
    numpy = load_numpy()
    ids = numpy.asarray(ids)
    bounds = numpy.cumsum([len(ids)] if lengths is None else lengths)
    begins = _begins(numpy, ids, markers, bounds)
    stops = [numpy.flatnonzero(ids == end) + 1 for end in markers.ends]
    stops = numpy.unique(numpy.concatenate([*stops, bounds]))
    # The first stop after each begin; a header within a reply begins no other one.
    finishes = stops[numpy.searchsorted(stops, begins, side="right")]
    finishes, first = numpy.unique(finishes, return_index=True)
    begins = begins[first]
    steps = numpy.zeros(len(ids) + 1, dtype=numpy.int8)
    steps[begins] = 1
    steps[finishes] = -1
    mask = numpy.cumsum(steps[:-1], dtype=numpy.int8).view(bool)
    owners = numpy.searchsorted(bounds, begins, side="right")
    return Replies(mask, numpy.bincount(owners, minlength=len(bounds)))


def load_numpy() -> Any:
    """Import numpy.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import numpy
    except ImportError:
        raise MissingDependencyError("numpy", "tokens") from None
    return numpy


def reply_begins(ids: Any, markers: Markers) -> list[int]:
    """Return where headers end in one conversation: where replies begin, if the markers are right.

    Raises:
        MissingDependencyError: numpy is not installed.
    """
    numpy = load_numpy()
    ids = numpy.asarray(ids)
    return _begins(numpy, ids, markers, numpy.array([len(ids)])).tolist()


def _begins(numpy: Any, ids: Any, markers: Markers, bounds: Any) -> Any:
    """Return where replies begin, in order: after the longest header at each place."""
    places = begins = numpy.zeros(0, dtype=numpy.intp)
    for start in sorted(markers.starts, key=len, reverse=True):
        found = _matches(numpy, ids, start)
        found = found[~numpy.isin(found, places)]
        places = numpy.concatenate([places, found])
        begins = numpy.concatenate([begins, found + len(start)])
    # A header at a conversation's end begins nothing, and none goes over into the next one.
    owners = numpy.searchsorted(bounds, [places, begins], side="right")
    begins = numpy.sort(begins[owners[0] == owners[1]])
    return begins[~numpy.isin(ids[begins], markers.others)]


def _matches(numpy: Any, ids: Any, sequence: tuple[int, ...]) -> Any:
    """Return where a sequence stands."""
    last = max(0, len(ids) - len(sequence) + 1)
    found = numpy.flatnonzero(ids[:last] == sequence[0])
    for offset, token in enumerate(sequence[1:], 1):
        found = found[ids[found + offset] == token]
    return found


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
    """Return what begins and ends replies; None where ids alone do not show that.

    They are tried on conversations in which the replies' places are known otherwise, and taken only
    if they mask each token of all of them rightly.

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
            return {"role": "assistant", "content": None, "tool_calls": [sample_call()] * count}
        case _:
            return {"role": kind, "content": words}
