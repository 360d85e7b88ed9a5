"""Juries: several verdicts on one sample made into one, and weights learned from labels."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

from plaudit.errors import Cause, UsageError
from plaudit.types import Failure, Json, Status, Value, Verdict

Combine = Literal["mean", "median", "majority", "weighted"]
Scale = Literal["labels", "pair", "scores"]
"""What the values are: labels; the labels `A`, `B`, `A=B` with a probability; or numbers."""

_LEVEL = 1e-9
"""Least difference that is one; what is less is rounding."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How a jury decides."""

    combine: Combine
    """`mean`, `median`: of the members' rewards; `majority`: the value with the most votes;
    `weighted`: votes with log-odds weights, or a weighted mean of scores."""
    scale: Scale
    labels: tuple[str, ...]
    """All values that the members can give; empty for scores."""
    weights: tuple[float, ...]
    """One a member, not negative; used by `weighted` alone."""
    quorum: int
    """Least number of `ok` verdicts that make a verdict."""


class JuryDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What a jury decided about one sample."""

    status: Status = "ok"
    value: Value | None = None
    reward: float | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    fields: dict[str, Json] = {}
    error: Failure | None = None


class _Vote(msgspec.Struct, frozen=True):
    """A usable verdict."""

    value: Value
    reward: float
    verdict: Verdict
    weight: float


def check(rule: Rule) -> None:
    """Refuse a rule that cannot decide.

    Raises:
        UsageError: with what can be done.
    """
    if rule.combine in ("mean", "median") and rule.scale == "labels":
        raise UsageError(
            f"labels have no {rule.combine}; combine this judge's verdicts by majority or weighted"
        )
    if not 1 <= rule.quorum <= len(rule.weights):
        raise UsageError(f"the quorum must be in 1..{len(rule.weights)}, not {rule.quorum}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in rule.weights):
        raise UsageError("the weights of a jury must be numbers from 0 on")
    if not any(rule.weights):
        raise UsageError("at least one member of a jury must have a weight above 0")


def decide(verdicts: Sequence[Verdict], rule: Rule) -> JuryDecision:
    """Combine the members' verdicts on one sample, in the order of the rule's weights.

    Only `ok` verdicts vote. Fewer than the quorum give no number: `failed` where the members that
    failed could have made the quorum (asking again may help), else `invalid` where the invalid
    ones could, else `abstained`; with the commonest cause of that status.
    """
    votes = [
        _Vote(verdict.value, verdict.reward, verdict, weight)
        for verdict, weight in zip(verdicts, rule.weights, strict=True)
        if verdict.status == "ok" and verdict.value is not None and verdict.reward is not None
    ]
    if len(votes) < rule.quorum:
        return _no_quorum(verdicts, len(votes), rule.quorum)
    return _RULES[rule.combine](votes, rule)


# Without a quorum


def _no_quorum(verdicts: Sequence[Verdict], usable: int, quorum: int) -> JuryDecision:
    status = _missing_status(verdicts, usable, quorum)
    missing = [v for v in verdicts if v.status == status and v.error is not None]
    causes = Counter(v.error.cause for v in missing if v.error is not None)
    cause, _ = causes.most_common(1)[0]
    values = {v.value for v in missing}
    error = Failure(
        cause,
        f"{usable} of {len(verdicts)} members have a usable verdict, {quorum} are needed; "
        f"{status}: {', '.join(f'{count} {name}' for name, count in causes.items())}",
        sum(v.error.attempts for v in missing if v.error is not None),
    )
    value = values.pop() if status == "abstained" and len(values) == 1 else None
    return JuryDecision(status=status, value=value, error=error)


def _missing_status(verdicts: Sequence[Verdict], usable: int, quorum: int) -> Status:
    statuses = Counter(verdict.status for verdict in verdicts)
    if usable + statuses["failed"] >= quorum:
        return "failed"
    if usable + statuses["failed"] + statuses["invalid"] >= quorum:
        return "invalid" if statuses["invalid"] else "failed"
    return "abstained"


def _tie(votes: Sequence[_Vote], what: str, fields: dict[str, Json]) -> JuryDecision:
    error = Failure(Cause.JURY_TIE, f"the jury is divided: {what}", len(votes))
    return JuryDecision(status="abstained", fields=fields, error=error)


# Rules


def _majority(votes: Sequence[_Vote], rule: Rule) -> JuryDecision:
    counts = Counter(vote.value for vote in votes)
    fields: dict[str, Json] = {"ballot": {str(value): n for value, n in counts.items()}}
    (value, most), *others = counts.most_common()
    if others and others[0][1] == most:
        return _tie(votes, _shown(counts), fields)
    winners = [vote for vote in votes if vote.value == value]
    reward = _mean([vote.reward for vote in winners])
    return JuryDecision(
        value=value,
        reward=reward,
        confidence=most / len(votes),
        fields=_with_p_a(fields, reward, rule),
    )


def _weighted(votes: Sequence[_Vote], rule: Rule) -> JuryDecision:
    """Take the most probable value, given what each vote says about it.

    With weights log((K - 1) p / (1 - p)) for members that are right with probability p, err
    evenly over K - 1 values and independently, the sums of weights are the values' log-odds and
    their maximum is the optimal decision: Nitzan and Paroush 1982 (International Economic Review
    23) for two values, Ben-Yashar and Paroush 2001 (Social Choice and Welfare 18) for more.
    """
    if rule.scale == "scores":
        return _score(votes, _weighted_mean)
    sums: dict[Value, float] = dict.fromkeys(rule.labels, 0.0)
    for vote in votes:
        sums[vote.value] = sums.get(vote.value, 0.0) + vote.weight
    fields: dict[str, Json] = {"ballot": {str(v): round(w, 9) for v, w in sums.items() if w}}
    (value, best), *others = sorted(sums.items(), key=lambda item: -item[1])
    if best <= 0 or (others and best - others[0][1] < _LEVEL):
        return _tie(votes, _shown({v: round(w, 3) for v, w in sums.items() if w}), fields)
    total = math.fsum(math.exp(weight - best) for weight in sums.values())
    posterior = {str(v): math.exp(weight - best) / total for v, weight in sums.items()}
    reward = _weighted_mean([v.reward for v in votes if v.value == value],
                            [v.weight for v in votes if v.value == value])  # fmt: skip
    return JuryDecision(
        value=value,
        reward=reward,
        confidence=posterior[str(value)],
        probabilities=posterior,
        fields=_with_p_a(fields, reward, rule),
    )


def _average(votes: Sequence[_Vote], rule: Rule) -> JuryDecision:
    if rule.scale == "scores":
        return _score(votes, lambda numbers, _: _mean(numbers))
    distributions = [vote.verdict.probabilities for vote in votes]
    mixed = _mixed([shown for shown in distributions if shown is not None])
    if mixed is None or None in distributions:
        return _pair(votes, _mean([_p_a(vote) for vote in votes]))
    p_a = mixed["A"] + mixed["A=B"] / 2
    value = max(mixed, key=mixed.__getitem__)
    if abs(mixed["A"] - mixed["B"]) < _LEVEL and value != "A=B":
        return _tie(votes, "A and B are equally probable", {"p_a": p_a})
    return JuryDecision(
        value=value,
        reward=2 * p_a - 1,
        confidence=mixed[value],
        probabilities=mixed,
        fields={"p_a": p_a},
    )


def _middle(votes: Sequence[_Vote], rule: Rule) -> JuryDecision:
    if rule.scale == "scores":
        return _score(votes, lambda numbers, _: median(numbers))
    return _pair(votes, median(_p_a(vote) for vote in votes))


_RULES: Mapping[Combine, Callable[[Sequence[_Vote], Rule], JuryDecision]] = {
    "mean": _average,
    "median": _middle,
    "majority": _majority,
    "weighted": _weighted,
}

_Pool = Callable[[Sequence[float], Sequence[float]], float]
"""Makes one number of several and their weights."""


def _score(votes: Sequence[_Vote], pool: _Pool) -> JuryDecision:
    """Pool scores; the value is on the judge's scale and need not be whole."""
    weights = [vote.weight for vote in votes]
    if pool is _weighted_mean and not any(weights):
        return _tie(votes, "no member with a weight has a vote", {})
    value = pool([float(vote.value) for vote in votes], weights)
    fields: dict[str, Json] = {}
    expected = [vote.verdict.fields.get("expected_score") for vote in votes]
    if None not in expected:
        fields["expected_score"] = pool([float(e) for e in expected if e is not None], weights)
    return JuryDecision(
        value=int(value) if value == int(value) else value,
        reward=pool([vote.reward for vote in votes], weights),
        fields=fields,
    )


def _pair(votes: Sequence[_Vote], p_a: float) -> JuryDecision:
    """Decide by the probability that A is better; level is `A=B` only where a member says so."""
    fields: dict[str, Json] = {"p_a": p_a}
    if abs(p_a - 0.5) >= _LEVEL:
        value = "A" if p_a > 0.5 else "B"
    elif any(vote.value == "A=B" for vote in votes):
        value = "A=B"
    else:
        return _tie(votes, "A and B are equally probable", fields)
    confidence = max(p_a, 1 - p_a)
    return JuryDecision(value=value, reward=2 * p_a - 1, confidence=confidence, fields=fields)


def _p_a(vote: _Vote) -> float:
    return (vote.reward + 1) / 2


def _with_p_a(fields: dict[str, Json], reward: float, rule: Rule) -> dict[str, Json]:
    return fields | {"p_a": (reward + 1) / 2} if rule.scale == "pair" else fields


def _mixed(distributions: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Return the mean of distributions over the same options."""
    if not distributions or any(d.keys() != distributions[0].keys() for d in distributions):
        return None
    return {label: _mean([d[label] for d in distributions]) for label in distributions[0]}


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _weighted_mean(numbers: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(n * w for n, w in zip(numbers, weights, strict=True)) / math.fsum(weights)


def _shown(counts: Mapping[Value, float]) -> str:
    return ", ".join(f"{number:g} for {value}" for value, number in counts.items())


# Weights from labels


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The weight of one member, and what it was learned from."""

    weight: float
    samples: int
    """Labelled samples with a usable vote."""
    accuracy: float | None = None
    """Share of them where the vote equals the label; None for scores."""
    error: float | None = None
    """Mean squared difference from the label; None for labels."""


def learn_weights(
    votes: Sequence[Sequence[Value | None]], labels: Sequence[Value], scale: Scale, options: int
) -> list[Learned]:
    """Learn the weights of members from labelled samples.

    Labels: w = log((K - 1) p / (1 - p)) with p = (right + 1) / (n + 2), Laplace's rule of
    succession; see `_weighted` for the source. A member no better than chance gets 0, and is not
    read backwards. Scores: w = 1 / mean squared error (Bates and Granger 1969, Operational
    Research Quarterly 20), with one more observation whose squared error is the labels' variance.

    Args:
        votes: for each member its values, one a sample, None where it has no usable vote.
        labels: the right values, one a sample.
        scale: what the values are.
        options: K, how many labels there are; for scores of no account.

    Raises:
        UsageError: no sample is labelled, or the labels say nothing about weights.
    """
    if not labels:
        raise UsageError("no sample has a label, so there is nothing to learn weights from")
    if scale == "scores":
        return _learn_scores(votes, [float(label) for label in labels])
    return [_learn_votes(own, labels, options) for own in votes]


def _learn_votes(own: Sequence[Value | None], labels: Sequence[Value], options: int) -> Learned:
    pairs = [(v, label) for v, label in zip(own, labels, strict=True) if v is not None]
    right = sum(str(value) == str(label) for value, label in pairs)
    p = (right + 1) / (len(pairs) + 2)
    weight = max(0.0, math.log((options - 1) * p / (1 - p))) if pairs else 0.0
    accuracy = right / len(pairs) if pairs else None
    return Learned(weight=weight, samples=len(pairs), accuracy=accuracy)


def _learn_scores(
    votes: Sequence[Sequence[Value | None]], labels: Sequence[float]
) -> list[Learned]:
    center = _mean(labels)
    spread = _mean([(label - center) ** 2 for label in labels])
    if spread == 0:
        raise UsageError("all labels are the same score, so they say nothing about the weights")
    found: list[Learned] = []
    for own in votes:
        squares = [
            (float(v) - label) ** 2 for v, label in zip(own, labels, strict=True) if v is not None
        ]
        error = math.fsum([*squares, spread]) / (len(squares) + 1)
        found.append(
            Learned(
                weight=1 / error if squares else 0.0,
                samples=len(squares),
                error=_mean(squares) if squares else None,
            )
        )
    return found
