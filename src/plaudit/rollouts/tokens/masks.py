"""Which tokens of conversations are the assistant's, told from the ids alone.

A template writes control tokens around replies. Texts cannot hold these (`safe_template`), so the
sequences of ids that begin and end replies tell where they are, in any number of conversations at
once. `plaudit.rollouts.tokens.markers` finds out which sequences these are.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from plaudit.errors import MissingDependencyError


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
    """Tell which tokens belong to replies.

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
