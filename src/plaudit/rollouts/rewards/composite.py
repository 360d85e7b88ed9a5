"""Several rewards as one: weighted, gated, and without ever counting None as a number."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec

from plaudit._util.aio import together
from plaudit.errors import PlauditError, UsageError
from plaudit.rollouts.rewards.base import ImmediateReward, Reward, unscored
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.types import Json

TOTAL = "total"
"""The name of the composite's own score beside those of its parts."""

Combine = Literal["sum", "mean"]
OnNone = Literal["abstain", "renormalise"]

_VERSION = 1
_DIGITS = 9
_NO_OUTCOME: tuple[type[PlauditError], ...] = ()


class Requirement(msgspec.Struct, frozen=True):
    """What another part must reach for a part to count."""

    part: str
    least: float | None = None
    """The least value; None: anything above 0."""

    def holds(self, value: float) -> bool:
        """Whether a value of that part is enough."""
        return value > 0 if self.least is None else value >= self.least


class RewardPart(msgspec.Struct, frozen=True, kw_only=True):
    """One reward of a composite."""

    name: str
    reward: Reward
    weight: float = 1.0
    """What its values are multiplied by; 0: it is reported and does not count."""
    on_none: OnNone = "abstain"
    """Where it has no value: the composite has none either, or goes on without it."""
    requires: tuple[Requirement, ...] = ()
    """It counts as 0 unless all of these hold."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most that it can add."""
        ends = [self.weight * self.reward.low, self.weight * self.reward.high]
        ends += [0.0] if self.requires else []
        return min(ends), max(ends)

    @property
    def is_penalty(self) -> bool:
        """Whether it can add nothing above 0."""
        return self.ends[1] <= 0


class Composite:
    """Rewards and penalties as one reward.

    `sum`: the sum of weight times value. `mean`: that sum by the weights of the rewards. A penalty
    is a part that can add nothing above 0; all others are rewards.

    A part without a value is never counted as 0. It makes the whole abstain, unless it is to be
    renormalised: then the weights of the other rewards (of the other penalties, for a penalty) are
    scaled up to the sum that they have together with it.
    """

    name = TOTAL

    def __init__(self, parts: Sequence[RewardPart], combine: Combine = "sum") -> None:
        """Combine parts.

        Raises:
            UsageError: names, weights or requirements cannot be used.
        """
        self.parts = tuple(parts)
        self.combine: Combine = combine
        _check(self.parts)
        found = [(p.name, p.reward) for p in parts if isinstance(p.reward, ImmediateReward)]
        self._immediate = found if len(found) == len(parts) else []
        self._counted = {part.name: part for part in self.parts if part.weight}
        self._rewards = [part for part in self._counted.values() if not part.is_penalty]
        self._penalties = [part for part in self._counted.values() if part.is_penalty]
        weight = _weight(self._rewards) or _weight(self._penalties)
        self._divisor = 1.0 if combine == "sum" else weight
        self.high, self.low = self._end(1), self._end(-1)

    @property
    def identity(self) -> Json:
        """Everything that its scores depend on."""
        parts = [[p.name, p.reward.identity, p.weight, p.on_none, p.requires] for p in self.parts]
        return msgspec.to_builtins([_VERSION, self.combine, parts])

    @property
    def fingerprint(self) -> str:
        """Hash of the identity, 32 hexadecimal digits."""
        data = msgspec.json.encode(self.identity, order="deterministic")
        return hashlib.blake2b(data, digest_size=16).hexdigest()

    async def score(self, trace: Trace) -> Score:
        """Score a trace; the scores of the parts are the components."""
        now = self.score_now(trace)
        if now is not None:
            return now
        scores = await together((p.reward.score(trace) for p in self.parts), _NO_OUTCOME)
        names = (part.name for part in self.parts)
        found = dict(zip(names, cast("list[Score]", scores), strict=True))
        return msgspec.structs.replace(self.join(found), components=found)

    def score_now(self, trace: Trace) -> Score | None:
        """Return what `score` does; None where a part has to wait for something."""
        found: dict[str, Score] = {}
        for name, reward in self._immediate:
            score = reward.score_now(trace)
            if score is None:
                return None
            found[name] = score
        return msgspec.structs.replace(self.join(found), components=found) if found else None

    def join(self, found: Mapping[str, Score]) -> Score:
        """Return the total of the parts' scores, by name; without components."""
        earned = self.earned(found)
        if isinstance(earned, Score):
            return earned
        total = math.fsum(earned.values())
        if not math.isfinite(total):
            return unscored(Unscored.BAD_RESULT, f"the total is {total}")
        gated = [name for name, part in self._counted.items() if _gate(part, found) is False]
        reason = f"not counted: {', '.join(gated)}" if gated else ""
        return Score(value=total, reason=reason)

    def earned(self, found: Mapping[str, Score]) -> dict[str, float] | Score:
        """Return what each part adds to the total, or the score of a total that abstains.

        Args:
            found: the scores of the parts, by name.
        """
        earned: dict[str, float] = {}
        for sort in (self._rewards, self._penalties):
            added = _added(sort, found)
            if isinstance(added, Score):
                return added
            earned |= added
        return {name: amount / self._divisor + 0.0 for name, amount in earned.items()}

    def _end(self, sign: int) -> float:
        most = _most(self._rewards, sign) + _most(self._penalties, sign)
        return sign * round(most / self._divisor, _DIGITS) + 0.0  # without a sign of its own

    async def close(self) -> None:
        """Free what the parts took."""
        for part in self.parts:
            await part.reward.close()


def _check(parts: Sequence[RewardPart]) -> None:
    names = [part.name for part in parts]
    if not any(part.weight for part in parts):
        raise UsageError("no reward counts: name one, with a weight other than 0")
    for part in parts:
        if names.count(part.name) > 1 or part.name == TOTAL:
            raise UsageError(f"the name {part.name!r} is taken: give the reward another one")
        if not math.isfinite(part.weight):
            raise UsageError(f"{part.name}: the weight must be a finite number")
        for requirement in part.requires:
            if requirement.part not in names or requirement.part == part.name:
                others = ", ".join(name for name in names if name != part.name) or "none"
                raise UsageError(
                    f"{part.name} requires {requirement.part!r}, which is no other reward; "
                    f"there are {others}"
                )


def _weight(parts: Sequence[RewardPart]) -> float:
    return sum(abs(part.weight) for part in parts)


def _added(parts: Sequence[RewardPart], found: Mapping[str, Score]) -> dict[str, float] | Score:
    """Return what parts of one sort add, by name, or why that is unknown."""
    added: dict[str, float] = {}
    present = 0.0
    for part in parts:
        value = _counted(part, found)
        if not isinstance(value, Score):
            present += abs(part.weight)
            added[part.name] = part.weight * value
        elif part.on_none == "abstain":
            return value
    if not added and any(not part.is_penalty for part in parts):
        return unscored(Unscored.PART_MISSING, "none of the rewards could be scored")
    if len(added) == len(parts):
        return added
    whole = _weight(parts)
    return {name: amount * (whole / present) for name, amount in added.items()}


def _counted(part: RewardPart, found: Mapping[str, Score]) -> float | Score:
    """Return the value with which a part counts, or why it has none."""
    gate = _gate(part, found)
    if isinstance(gate, Score):
        return gate
    return _value(part.name, found) if gate else 0.0


def _gate(part: RewardPart, found: Mapping[str, Score]) -> bool | Score:
    """Return whether a part's requirements hold, or why that is unknown."""
    if not part.requires:
        return True
    values = [(one, _value(one.part, found)) for one in part.requires]
    if any(not isinstance(value, Score) and not one.holds(value) for one, value in values):
        return False
    return next((value for _, value in values if isinstance(value, Score)), True)


def _value(name: str, found: Mapping[str, Score]) -> float | Score:
    score = found[name]
    if score.value is not None:
        return score.value
    cause = score.cause or Unscored.NONE_RETURNED
    return unscored(cause, f"{name} could not be scored: {score.reason or cause}")


def _most(parts: Sequence[RewardPart], sign: int = 1) -> float:
    """Return the most that parts of one sort can add, whichever of them are left out.

    What is left out scales the others up, so this is a greatest weighted mean: a part that may be
    left out is in it where it raises the mean.

    Args:
        parts: of one sort.
        sign: -1 for the least, with its sign turned.
    """
    if not parts:
        return 0.0
    ends = [(max(sign * end for end in part.ends), abs(part.weight), part) for part in parts]
    fixed = [one for one in ends if one[2].on_none == "abstain"]
    free = sorted((one for one in ends if one not in fixed), key=lambda one: -one[0] / one[1])
    total, weight = sum(one[0] for one in fixed), sum(one[1] for one in fixed)
    for most, own, _ in free:
        if not weight or most / own > total / weight:
            total, weight = total + most, weight + own
    found = total * (_weight(parts) / weight)
    alone = parts[0].is_penalty and not fixed  # then all may be left out
    return max(found, 0.0) if alone else found
