"""A readout head: what a small model's next-token distribution says about the options.

A small model knows more than it writes: its distribution over a few hundred tokens separates the
options far better than the option words alone. A head is a multinomial logistic regression on the
log-probabilities of the `view` most probable first tokens (Dirichlet calibration, Kull et al. 2019,
arXiv:1910.12656, widened from the options to a vocabulary), fitted on shipped labelled samples for
one prompt and one model. It may weigh cues beside the tokens: numbers that do not come from the
model, such as the sentiment of a text. Where a reply shows fewer tokens than the view, what is
hidden is bounded, and if it could change the winner there is none.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec

from plaudit.engines.base import Completion
from plaudit.errors import Cause, ReplyError
from plaudit.scoring.calibration import Platt

_TOLERANCE = 0.1
"""Natural logarithms by which two servers of one model may differ in a likely token."""


_MIN_MASS = 0.05
"""Least probability on the vocabulary; under it the reply is no answer to the question."""
_SPELLINGS = 5
"""Most further spellings of a shown token that can be hidden: with a space, title, upper case."""
_HIDDEN_SUM = math.log(_SPELLINGS + 1)
"""By how much the hidden spellings of a hidden token together exceed the likeliest of them."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted head. Plain data, shipped as JSON."""

    prompt: str
    """Digest of the prompt that it was fitted with."""
    model: str
    """Identity of the model that it was fitted on."""
    view: int
    """Log-probabilities that it reads."""
    floor: float
    """Log-probability below which a token counts as this."""
    labels: list[str]
    tokens: list[str]
    """Vocabulary: texts of tokens, without spaces around them and in lower case."""
    weights: list[list[float]]
    """One row a label, one number a token."""
    cues: dict[str, list[float]] = {}
    """Weights of further inputs by name, one number a label."""
    bias: list[float]
    reference: list[dict[str, float]]
    """The likeliest tokens of the model's replies to the probes, by which it is recognised."""
    samples: int
    """Labelled samples that it was fitted on."""
    calibration: Platt
    """Of the probability that the head gives to its winner, cross-validated on the same samples."""

    def distribution(
        self, completion: Completion, cues: Mapping[str, float] = {}
    ) -> dict[str, float]:
        """Return the options' probabilities, summing to 1.

        Args:
            completion: the reply.
            cues: a value for each name in `self.cues`; others do not count.

        Raises:
            ReplyError: what the reply does not show could change the winner, or next to nothing
                of its probability is on the vocabulary.
        """
        seen = look(completion, tuple(self.tokens), self.view, self.floor)
        mass = math.fsum(math.exp(x) for x in seen.shown.values())
        if mass < _MIN_MASS:
            raise ReplyError(
                Cause.LOW_OPTION_MASS if seen.whole else Cause.OPTIONS_NOT_VISIBLE,
                f"only {mass:.3f} of the probability is on the tokens that the judge reads; the "
                f"reply began with {completion.text[:40]!r}",
            )
        scores = [
            bias
            + math.fsum(pull[label] * cues[name] for name, pull in self.cues.items())
            + math.fsum(row[i] * x for i, x in seen.shown.items())
            + seen.most * math.fsum(row[i] for i in seen.hidden)
            for label, (row, bias) in enumerate(zip(self.weights, self.bias, strict=True))
        ]
        best = max(range(len(scores)), key=scores.__getitem__)
        if not seen.whole:
            self._check_winner(scores, best, seen)
        weights = [math.exp(score - scores[best]) for score in scores]
        total = math.fsum(weights)
        return {label: w / total for label, w in zip(self.labels, weights, strict=True)}

    def _check_winner(self, scores: Sequence[float], best: int, seen: "Seen") -> None:
        """Refuse where hidden tokens, or hidden spellings of shown ones, could change the winner.

        Hidden tokens stand at `most` in the scores and may be as low as the floor; a shown token
        may be higher by the spellings that are hidden.
        """
        room = seen.most - self.floor
        more = {
            i: math.log(math.exp(x) + _SPELLINGS * math.exp(seen.most)) - x
            for i, x in seen.shown.items()
        }
        for rival, score in enumerate(scores):
            lead = [a - b for a, b in zip(self.weights[best], self.weights[rival], strict=True)]
            loss = room * math.fsum(max(0.0, lead[i]) for i in seen.hidden)
            loss += math.fsum(max(0.0, -lead[i]) * rise for i, rise in more.items())
            loss += math.fsum(max(0.0, -lead[i]) * _HIDDEN_SUM for i in seen.hidden)
            if rival != best and score > scores[best] - loss:
                raise ReplyError(
                    Cause.OPTIONS_NOT_VISIBLE,
                    f"{len(seen.hidden)} of the {len(self.tokens)} tokens that the judge reads are "
                    f"not shown, too many to tell {self.labels[best]!r} from "
                    f"{self.labels[rival]!r}; let the server show {self.view} log-probabilities",
                )

    def fits(self, replies: Sequence[Completion]) -> bool:
        """Whether replies to the probes are those of the model that the head was fitted on."""
        return len(replies) == len(self.reference) and all(
            _agrees(expected, reply)
            for expected, reply in zip(self.reference, replies, strict=True)
        )


class Seen(msgspec.Struct, frozen=True):
    """What a reply shows of a vocabulary."""

    shown: dict[int, float]
    """Log-probabilities by position in the vocabulary, the floor at least."""
    hidden: list[int]
    """Positions of the tokens that are not shown."""
    most: float
    """The log-probability that a hidden token has at most."""
    whole: bool
    """Whether the reply shows as much as the view; then hidden tokens count as `most`."""


def look(completion: Completion, tokens: tuple[str, ...], view: int, floor: float) -> Seen:
    """Find a vocabulary's tokens among the `view` most probable ones; spellings are summed."""
    candidates = (completion.logprobs or ())[:view]
    places = _places(tokens)
    sums: dict[int, float] = {}
    for candidate in candidates:
        place = places.get(plain_token(candidate.token))
        if place is not None:
            sums[place] = sums.get(place, 0.0) + math.exp(candidate.logprob)
    shown = {i: max(floor, math.log(p)) for i, p in sums.items() if p > 0}
    hidden = [i for i in range(len(tokens)) if i not in shown]
    whole = len(candidates) >= view
    last = candidates[-1].logprob if candidates else 0.0
    smallest = completion.logprob_floor if completion.logprob_floor is not None else last
    return Seen(shown, hidden, max(floor, last if whole else smallest), whole)


def plain_token(token: str) -> str:
    """Return a token's text as a head's vocabulary has it."""
    return token.strip(" \u2581\u0120\t\r\n").casefold()


def likeliest(completion: Completion, count: int = 5) -> dict[str, float]:
    """Return the likeliest tokens of a reply, as a head keeps them for recognition."""
    return {c.token: c.logprob for c in (completion.logprobs or ())[:count]}


@cache
def _places(tokens: tuple[str, ...]) -> dict[str, int]:
    return {token: place for place, token in enumerate(tokens)}


def _agrees(expected: dict[str, float], reply: Completion) -> bool:
    shown = {c.token: c.logprob for c in reply.logprobs or ()}
    return all(
        token in shown and abs(shown[token] - logprob) <= _TOLERANCE
        for token, logprob in expected.items()
    )


@cache
def shipped_heads(kind: str) -> tuple[Head, ...]:
    """Return the heads that ship for a judge."""
    path = resources.files("plaudit.scoring") / "heads" / f"{kind}.json"
    if not path.is_file():
        return ()
    return tuple(msgspec.json.decode(path.read_bytes(), type=list[Head]))
