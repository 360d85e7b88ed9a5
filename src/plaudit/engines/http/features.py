"""Features of requests that an endpoint may refuse, and the terms on which it takes requests."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec

from plaudit.engines.base import RequestKind
from plaudit.engines.http.errors import ErrorReply
from plaudit.types import Json

PATIENCE_SECONDS = 0.5
"""Longest wait for the first request of a kind; shorter than any time limit of a request."""

_LOG = logging.getLogger(__name__)

Terms = TypeVar("Terms", bound=msgspec.Struct)
GivenUp = tuple["Feature[Any]", dict[str, Json]]
"""A feature that requests do without, and the fields of the terms that change."""


class Feature(msgspec.Struct, Generic[Terms], frozen=True, kw_only=True):
    """A part of a request that an endpoint may not know and that requests can do without."""

    fields: frozenset[str]
    """Fields of the request's body that carry it."""
    complaint: re.Pattern[str]
    """Matches what a server says that refuses it."""
    instead: dict[str, Json] = {}
    """Fields of the terms that change when it is given up."""
    note: str
    """The note about it; the changed fields are filled in."""
    quiet: bool = False
    """Whether nothing is lost without it: no warning is logged."""

    def is_meant_by(self, reply: ErrorReply) -> bool:
        """Return whether an error may be about this feature."""
        return bool(self.complaint.search(f"{reply.param} {reply.complaint}"))

    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> dict[str, Json]:
        """Return the fields of the terms to change, given the refused body and the error.

        Without a field that changes, nothing is left to give up.
        """
        return self.instead


def complains(*about: str) -> re.Pattern[str]:
    """Return a pattern for messages that call one of these fields unsupported.

    A message about a value out of range does not match: to drop a value silently is not what the
    user asked for.
    """
    words = "|".join(about)
    return re.compile(
        rf"(?s)(?=.*\b(?:{words})\b)(?=.*(?:not support|unsupported|deprecated|only the default"
        r"|not permitted|forbidden|unrecognized|unknown|unexpected|not allowed|cannot both"
        r"|not available|not implemented|incompatible))",
        re.IGNORECASE,
    )


class Negotiation(Generic[Terms]):
    """The terms on which an endpoint takes requests, learned from what it refuses.

    An endpoint that refuses a feature is asked again without it. The first request of each kind
    finds that out alone while the others wait a moment. Later requests take no lock.

    Attributes:
        terms: what requests ask for now.
        notes: what was given up, once each.
        refused: number of requests that were refused for a feature.
    """

    def __init__(self, name: str, terms: Terms, features: Sequence[Feature[Any]]) -> None:
        """Begin with terms from which nothing was given up.

        Args:
            name: the endpoint, as messages call it.
            terms: what requests ask for until something is refused.
            features: what can be given up, in the order in which it is tried.
        """
        self.terms = terms
        self.notes: list[str] = []
        self.refused = 0
        self._name = name
        self._features = features
        self._settled: set[RequestKind] = set()

    def is_settled(self, kind: RequestKind) -> bool:
        """Return whether a request of this kind was answered before."""
        return kind in self._settled

    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> GivenUp | None:
        """Return the feature that a refusal is about, with the change; None: there is none."""
        blamed = [f for f in self._features if reply.param in f.fields] or self._features
        for feature in blamed:
            if feature.fields.isdisjoint(body) or not feature.is_meant_by(reply):
                continue
            changes = feature.lower(terms, reply, body)
            if any(getattr(terms, name) != value for name, value in changes.items()):
                self.refused += 1
                return feature, changes
        return None

    def settle(self, kind: RequestKind, given_up: Sequence[GivenUp]) -> None:
        """Keep what was given up for a request of this kind that was answered then."""
        for feature, changes in given_up:
            self.terms = msgspec.structs.replace(self.terms, **changes)
            self.note(feature.note.format(**changes), quiet=feature.quiet)
        self._settled.add(kind)

    def note(self, note: str, *, quiet: bool = False) -> None:
        """Log once what the endpoint does not do, and keep the note."""
        if note not in self.notes:
            self.notes.append(note)
            level = logging.INFO if quiet else logging.WARNING
            _LOG.log(level, "%s: it %s", self._name, note)


@asynccontextmanager
async def patiently(lock: asyncio.Lock, seconds: float) -> AsyncGenerator[None]:
    """Wait for a lock, at most so many seconds: a slow first reply must not hold up the others.

    Refusals come before a model starts to write, so after this time the first request was accepted.
    """
    held = False
    try:
        async with asyncio.timeout(seconds):
            held = await lock.acquire()
    except TimeoutError:
        pass
    try:
        yield
    finally:
        if held:
            lock.release()


TOP_P: Feature[Any] = Feature(
    fields=frozenset({"top_p"}),
    complaint=complains("top_p"),
    instead={"top_p": False},
    note="does not take top_p; its default applies",
)
TEMPERATURE: Feature[Any] = Feature(
    fields=frozenset({"temperature"}),
    complaint=complains("temperature"),
    instead={"temperature": False},
    note="does not take the temperature; its default applies",
)
