"""Stand-ins for OpenRLHF, slime, NeMo Gym and NeMo RL: what they hand over, and how they call.

Written after their published sources; that the installed ones do the same is tested in
tests/contracts where they can be installed.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.support.modules import stand_in_modules

CHAT = "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"
"""A prompt as a template renders it."""
ASKED = {"role": "user", "content": "What is 2 + 2?"}
TOOL_TURNS: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "sum", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "5"},
]
"""A call, and a result that is no answer of the model."""


class Tensor(list[Any]):
    """Numbers in one dimension."""

    def __init__(self, values: Sequence[Any], dtype: Any = None) -> None:
        super().__init__(values)
        self.dtype = dtype

    def tolist(self) -> list[Any]:
        return list(self)


class Body(SimpleNamespace):
    """A model of pydantic that keeps further fields."""

    model_config: Mapping[str, Any] = {}

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return dict(vars(self))

    def model_copy(self, *, update: Mapping[str, Any]) -> "Body":
        return type(self)(**{**vars(self), **update})

    @classmethod
    def model_validate(cls, fields: Mapping[str, Any]) -> "Body":
        assert cls.model_config == {"extra": "allow"}
        assert isinstance(fields["reward"], float)
        return cls(**fields)


class SimpleResourcesServer:
    """Gym's server, without the HTTP."""

    async def aggregate_metrics(self, body: Body) -> Body:
        rewards = [row["reward"] for row in body.verify_responses]
        metrics = {"mean/reward": sum(rewards) / len(rewards)} if rewards else {}
        return Body(group_level_metrics=[], agent_metrics=metrics, key_metrics=metrics)


class HTTPException(Exception):
    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code


class EnvironmentInterface:
    """NeMo RL's base class."""


class EnvironmentReturn(NamedTuple):
    """What a step of NeMo RL returns; all is batched."""

    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[Any]
    rewards: Any
    terminateds: Any
    answers: list[str | None] | None = None


_MODULES: dict[str, dict[str, Any]] = {
    "torch": {
        "tensor": Tensor,
        "ones": lambda count, dtype: Tensor([True] * count, dtype),
        "float32": "float32",
        "bool": "bool",
    },
    "fastapi": {"HTTPException": HTTPException},
    "nemo_gym.base_resources_server": {
        "SimpleResourcesServer": SimpleResourcesServer,
        "BaseVerifyRequest": Body,
        "BaseVerifyResponse": Body,
    },
    "nemo_rl.environments.interfaces": {
        "EnvironmentInterface": EnvironmentInterface,
        "EnvironmentReturn": EnvironmentReturn,
    },
}


def standing_in() -> AbstractContextManager[None]:
    """Have the modules of peers that adapters import."""
    return stand_in_modules(_MODULES)


# OpenRLHF


def openrlhf_function(file: Path) -> Any:
    """Load `reward_func` of a file as `SingleTurnAgentExecutor` does."""
    spec = importlib.util.spec_from_file_location("reward_func", str(file))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reward_func


# slime


@dataclass
class Sample:
    """A sample of slime, with the fields that a reward function reads and writes."""

    prompt: str | list[dict[str, Any]] = CHAT
    response: str = "4"
    label: Any = "4"
    reward: Any = None
    loss_mask: list[int] | None = None
    remove_sample: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


def slime_args(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"group_rm": False, "reward_key": None, **given})


async def slime_group(reward: Any, args: Any, group: Sequence[Sample]) -> list[float]:
    """Reward a group as `generate_and_rm_group` does, and return its centred rewards."""
    if args.group_rm:
        rewards = await reward(args, group)
    else:
        rewards = [await reward(args, sample) for sample in group]
    for sample, value in zip(group, rewards, strict=True):
        sample.reward = value
    key = args.reward_key
    raw = [sample.reward[key] if key else sample.reward for sample in group]
    mean = sum(raw) / len(raw)
    return [value - mean for value in raw]


# NeMo Gym


def gym_body(*items: Mapping[str, Any], **row: Any) -> dict[str, Any]:
    """What an agent of NeMo Gym posts to `/verify`."""
    return {
        "responses_create_params": {"input": [ASKED]},
        "response": {
            "id": "r",
            "created_at": 0.0,
            "model": "m",
            "object": "response",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "output": list(items),
        },
        **row,
    }


def gym_text(said: str) -> dict[str, Any]:
    text = {"type": "output_text", "text": said, "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    return message | {"content": [text]}


GYM_CALL = (
    {"type": "function_call", "call_id": "c", "name": "sum", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "5"},
)
