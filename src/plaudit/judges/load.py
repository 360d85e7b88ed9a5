"""From a configuration and an engine to a task."""

from collections.abc import Mapping
from typing import Any

from plaudit._util.choices import convert
from plaudit._util.forks import finished_before_a_fork
from plaudit.engines.base import Engine, check_generation
from plaudit.errors import ArgumentError, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.criteria import take_criteria
from plaudit.judges.feedback import FeedbackJudge
from plaudit.judges.pairwise import PairwiseJudge
from plaudit.judges.pointwise import PointwiseJudge
from plaudit.judges.reward_model import RewardModelPairwise, RewardModelPointwise
from plaudit.judges.verify import UnaskedVerifyJudge, VerifyJudge

KINDS: Mapping[str, type[BaseJudge]] = {
    task.kind: task for task in (FeedbackJudge, PointwiseJudge, PairwiseJudge, VerifyJudge)
}

SCORED: Mapping[str, type[BaseJudge]] = {
    task.kind: task for task in (RewardModelPointwise, RewardModelPairwise)
}
"""The judges that a trained reward model can be."""

UNASKED: Mapping[str, type[BaseJudge]] = {UnaskedVerifyJudge.kind: UnaskedVerifyJudge}
"""The judges that can do without a model."""


def task_type(kind: str) -> type[BaseJudge]:
    """Return the task of a kind.

    Raises:
        UsageError: there is no such judge.
    """
    found = KINDS.get(kind)
    if found is None:
        raise UsageError(f"there is no judge {kind!r}; there are {', '.join(KINDS)}")
    return found


def make_config(kind: str, fields: Mapping[str, Any]) -> JudgeConfig:
    """Check a judge's configuration.

    Raises:
        UsageError: a field is unknown or of the wrong type.
    """
    unknown = sorted(fields.keys() - set(JudgeConfig.__struct_fields__))
    if unknown:
        known = ", ".join(JudgeConfig.__struct_fields__)
        raise UsageError(f"a judge has no option {unknown[0]!r}; it has {known}")
    if "criteria" in fields:
        fields = {**fields, "criteria": take_criteria(fields["criteria"])}
    try:
        return convert({"kind": kind, **fields}, JudgeConfig)
    except ArgumentError:
        raise
    except UsageError as error:
        raise UsageError(f"judge options: {error}") from None


async def bind(config: JudgeConfig, engine: Engine) -> BaseJudge:
    """Make the task of a configuration for an engine's model.

    Raises:
        UsageError: the engine cannot do what the configuration asks for.
        EngineUnusableError: the engine's model cannot be found out.
    """
    check_generation(config.generation, engine)
    make: Any = task_type(config.kind)
    if engine.capabilities.scores:
        make = _scored_type(config.kind)
    if not engine.capabilities.model:
        make = _unasked_type(config.kind)
    facts = EngineFacts(
        identity=await engine.identify(),
        capabilities=engine.capabilities,
        special_tokens=tuple(getattr(engine, "special_tokens", ())),
        reasoning=bool(getattr(engine, "reasoning", False)),
    )
    with finished_before_a_fork():
        return make(config, facts)


def _scored_type(kind: str) -> type[BaseJudge]:
    if kind not in SCORED:
        raise UsageError(
            f"a reward model scores responses, so it cannot be the {kind} judge; it can be "
            + " or ".join(SCORED)
        )
    return SCORED[kind]


def _unasked_type(kind: str) -> type[BaseJudge]:
    if kind not in UNASKED:
        raise UsageError(
            f"the {kind} judge asks a model, and the engine none: has none; name another engine, "
            "such as local"
        )
    return UNASKED[kind]
