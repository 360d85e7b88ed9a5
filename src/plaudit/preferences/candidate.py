"""A scored response to a prompt, as the step between a judge and a preference."""

import msgspec
from msgspec import Raw

Id = str | int
"""Identities stay what they were: the number 1 and the text "1" are two."""


class Candidate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A response that competes with others for the same prompt.

    Prompt, response and metadata are JSON text as it was read, never decoded and encoded again, so
    that tool calls, images and numbers of any size come out as they went in.
    """

    example_id: Id
    """The example (a row of somebody's data set) that it belongs to; the unit of a split."""
    turn_id: Id
    """The turn within the example; candidates of one turn and one run compete."""
    run: Id | None = None
    """The run that it is of, where there are several: its file, or a column of its row."""
    index: int | None
    """Its number within the turn; None: it takes its place among those read."""
    prompt: Raw
    """A JSON text or a list of messages."""
    response: Raw
    """A JSON text, a message, or a list of messages."""
    score: float | None
    """Higher is better. None: no judgement is behind it (it was null, not finite, or not `ok`)."""
    confidence: float | None = None
    """0 to 1."""
    metadata: Raw | None = None
    """A JSON object."""
