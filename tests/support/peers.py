"""Stand-ins for trainers' own objects: the fields and calls that adapters read, and no more.

That the peers' objects have them is tested in tests/contracts.
"""

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tests.support.modules import stand_in_modules

Message = dict[str, Any]


class Model(SimpleNamespace):
    """An object like those of pydantic."""

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> dict[str, Any]:
        assert (mode, exclude_none) == ("json", True)
        return {name: _dumped(value) for name, value in vars(self).items() if value is not None}

    def model_copy(self, *, update: Mapping[str, Any]) -> "Model":
        found = copy.copy(self)
        vars(found).update(update)
        return found


def _dumped(value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode="json", exclude_none=True)
    return [_dumped(one) for one in value] if isinstance(value, list) else value


# verifiers


class VerifiersTrace(Model):
    """A trace of verifiers: nodes in branches, data of a task, metrics."""

    def record_metrics(self, values: Mapping[str, float]) -> None:
        self.metrics.update({name: float(value) for name, value in values.items()})


def verifiers_trace(prompt: Sequence[Message], wrote: Sequence[Message], **data: Any) -> Model:
    """A trace whose assistant messages were sampled, with the fields of a task's data."""
    nodes = [Model(message=_flat(one), sampled=False) for one in prompt]
    nodes += [Model(message=_flat(one), sampled=one["role"] == "assistant") for one in wrote]
    own = Model(idx=0, prompt=list(prompt), network_allow=["*"], timeout=Model(), **data)
    branch = Model(nodes=nodes)
    return VerifiersTrace(
        branches=[branch], root_reply=None, task=Model(data=own), metrics={}, rewards={}
    )


def _flat(message: Message) -> Model:
    """A message of verifiers, whose calls hold their names themselves."""
    calls = [
        Model(id=call["id"], type="function", **call["function"])
        for call in message.get("tool_calls", ())
    ]
    return Model(**message | {"tool_calls": calls or None})


# ART


def art_trajectory(prompt: Sequence[Message], wrote: Sequence[Message], **metadata: Any) -> Model:
    """A trajectory of ART: what the model sampled is a choice of OpenAI's client."""
    items = [
        Model(index=0, message=Model(**one)) if one["role"] == "assistant" else one for one in wrote
    ]
    return Model(
        messages_and_choices=[*prompt, *items],
        reward=0.0,
        metrics={},
        metadata=metadata,
        logs=[],
    )


def art_group(trajectories: Sequence[Model], **metadata: Any) -> Model:
    return Model(trajectories=list(trajectories), metadata=metadata, metrics={}, logs=[])


# SkyRL and rLLM


class BaseTextEnv:
    """SkyRL's base class."""

    def __init__(self) -> None:
        self.turns = 0
        self.max_turns = 1


@dataclass
class Signal:
    name: str
    value: float
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class EvalOutput:
    reward: float
    is_correct: bool
    signals: list[Signal] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class RewardOutput:
    reward: float
    metadata: dict[str, Any]
    is_correct: bool | None = None


_MODULES: dict[str, dict[str, Any]] = {
    "skyrl_gym.envs.base_text_env": {"BaseTextEnv": BaseTextEnv},
    "rllm.eval.types": {"EvalOutput": EvalOutput, "Signal": Signal},
    "rllm.rewards.reward_types": {"RewardOutput": RewardOutput},
}


def standing_in() -> AbstractContextManager[None]:
    """Have the modules of peers that adapters import."""
    return stand_in_modules(_MODULES)


def rllm_episode(chats: Sequence[Sequence[Message]] = (), **artifacts: Any) -> SimpleNamespace:
    """An episode of rLLM: a step for each chat, its last message sampled."""
    steps = [SimpleNamespace(chat_completions=list(chat), output=None) for chat in chats]
    trajectory = SimpleNamespace(steps=steps, output=None)
    return SimpleNamespace(trajectories=[trajectory], artifacts=artifacts)


# tinker-cookbook


@dataclass(frozen=True)
class Renderer:
    """Tokens are the characters of a text."""

    def parse_response(self, tokens: Sequence[int]) -> tuple[Message, bool]:
        return {"role": "assistant", "content": "".join(map(chr, tokens))}, True


@dataclass(frozen=True)
class ProblemEnv:
    question: str
    answer: str | None
    convo_prefix: tuple[Message, ...] = ()
    renderer: Renderer = Renderer()

    def get_question(self) -> str:
        return self.question

    def get_reference_answer(self) -> str | None:
        return self.answer


def tinker_trajectory(*texts: str) -> SimpleNamespace:
    """A trajectory with a transition for each text that was sampled."""
    sampled = [SimpleNamespace(tokens=[ord(one) for one in text]) for text in texts]
    return SimpleNamespace(transitions=[SimpleNamespace(ac=one) for one in sampled])


@dataclass(frozen=True)
class GroupBuilder:
    """Builds an environment for each row."""

    envs: tuple[ProblemEnv, ...]

    async def make_envs(self) -> Sequence[ProblemEnv]:
        return self.envs

    async def cleanup(self) -> None: ...

    def logging_tags(self) -> list[str]:
        return ["sums"]
