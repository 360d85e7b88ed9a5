"""Cascades: what a step settles, what the whole promises, and what it saved."""

from collections.abc import Sequence

import msgspec

from plaudit.errors import Cause
from plaudit.types import Usage, Verdict

_ANSWERS = frozenset({Cause.TOPIC_SHIFT})
"""Abstentions that are an answer about the sample, so that no further judge need be asked."""


def settles(verdict: Verdict, gate: float) -> bool:
    """Return whether a step's verdict stays, so that the next step is not asked.

    It does where it is `ok`, which it is only from the step's gate on. An abstention that is an
    answer stays too, where its confidence reaches the gate. What lies below the gate, contradicts
    itself, is invalid or failed goes on.
    """
    if verdict.status == "ok":
        return True
    answered = verdict.error is not None and verdict.error.cause in _ANSWERS
    return answered and (verdict.confidence is None or verdict.confidence >= gate)


class GatePromise(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibrated gate promises about the samples that pass it."""

    agreement: float
    """Least share of them that agrees with the labels."""
    delta: float
    """Chance that the promise does not hold, over the labelled samples it was calibrated on."""


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """What a cascade promises about the samples that its gates settled."""

    agreement: float
    """Least share of them that agrees with the labels."""
    probability: float
    """Chance, at least, that all gates keep their promises."""
    samples: int
    """Samples that were settled under a promise; about the others nothing is promised."""


def promised(steps: Sequence[tuple[GatePromise | None, int]]) -> Promised | None:
    """Combine the promises of steps, each given with the number of samples that it settled.

    By the union bound all promises hold with probability at least 1 minus the sum of the deltas,
    whatever the gates have in common; then the agreement over all that they settled is at least
    the mean of their promises, weighted by what each settled. Only as good as its parts: a step's
    promise is about samples like those it was calibrated on, which for a later step are those that
    the steps before it pass on. None where no step promises anything.
    """
    made = [(promise, settled) for promise, settled in steps if promise is not None]
    if not made:
        return None
    settled = sum(count for _, count in made)
    agreement = (
        sum(promise.agreement * count for promise, count in made) / settled
        if settled
        else min(promise.agreement for promise, _ in made)
    )
    return Promised(
        agreement=round(agreement, 9),
        probability=round(max(0.0, 1 - sum(promise.delta for promise, _ in made)), 9),
        samples=settled,
    )


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a step was asked: replies from the store count like new ones."""

    samples: int = 0
    requests: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    """None: unknown."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What a cascade saved against asking its last step about every sample; negative: it lost.

    The last step's part is its mean a sample over the samples that reached it, so this is an
    estimate. None where nothing reached it, or where a price is not known.
    """

    samples: int
    """Samples that the last step was not asked about."""
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


def saved(steps: Sequence[Spent], samples: int) -> Saved:
    """Compare what the steps were asked with the last one alone, for `samples` samples in all."""
    last = steps[-1]
    spared = samples - last.samples
    if not last.samples:
        return Saved(samples=spared)
    scale = samples / last.samples
    costs = [step.cost_usd for step in steps]
    known = [cost for cost in costs if cost is not None]
    whole = None if last.cost_usd is None else last.cost_usd * scale
    return Saved(
        samples=spared,
        requests=round(last.requests * scale) - sum(step.requests for step in steps),
        input_tokens=round(last.usage.input_tokens * scale)
        - sum(step.usage.input_tokens for step in steps),
        output_tokens=round(last.usage.output_tokens * scale)
        - sum(step.usage.output_tokens for step in steps),
        cost_usd=None if whole is None or len(known) < len(costs) else round(whole - sum(known), 9),
    )
