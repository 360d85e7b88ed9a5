"""verl: plaudit's rewards as its reward function, and as its reward manager."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from plaudit.engines.base import Engine
from plaudit.errors import InputError
from plaudit.integrations.verl_turns import (
    TurnPart,
    markers_of,
    messages_of,
    parts_of_markers,
    parts_of_mask,
)
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice, value_of
from plaudit.rewarding.rows import RowCause, ScoredRow, unscored_row
from plaudit.rewarding.unscored import UnscoredChoice

MASK = "assistant_mask"
"""The field of `extra_fields` in which an agent loop can hand over its `response_mask`."""
PATIENCE_S = 240.0
"""Seconds for which an answer is waited for: less than the 300 of verl's `rate_limited`."""

VerlReward = Callable[..., Coroutine[Any, Any, dict[str, Any]]]

_CHOICES = ("error", "number")
_COLUMNS = ("question", "chunk_ids", "supporting_text", "difficulty", "metadata")
"""What is read of `extra_info`; verl and its agent loops keep much else there."""
_TOOLS = re.compile(r"<tool_response>|\nassistant\n")


def as_verl_reward(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = PATIENCE_S,
) -> VerlReward:
    """Make a reward function for verl of a reward, for rollouts of one turn.

    ::

        compute_score = as_verl_reward("rewards.toml", when_unscored=0.0)  # in rewards.py

    and `reward.custom_reward_function.path=rewards.py reward.custom_reward_function.name=
    compute_score`. The reference is `ground_truth`; the question is `question` in `extra_info`.

    verl hands a function the text of a rollout without its special tokens. Such a text does not
    show where the model's words end and a tool's begin, so a rollout of several turns has no value
    here: use `as_verl_manager` for those.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: verl takes no null, so choose: `"error"`, which ends the training, or a
            number, which is learned from. The metric `abstained` is 1 for such a row, else 0.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; None: see `RowReward`.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
    """
    adapted = RowReward(reward, engine=engine, deadline=deadline)
    choice = take_choice("verl", _CHOICES, when_unscored)

    async def compute_score(
        data_source: str = "",
        solution_str: str = "",
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        **further: Any,
    ) -> dict[str, Any]:
        del data_source, further
        columns = _columns(ground_truth, extra_info)
        row = {**columns, "prompt": columns.get("question") or "", "completion": solution_str}
        problem = _problem_of(row, _of_several_turns(solution_str, extra_info or {}))
        if problem:
            scored = unscored_row(row, RowCause.NO_PROMPT, problem, status="rejected")
        else:
            (scored,) = await adapted.ascore([row])
        return _figures(scored, choice)

    return compute_score


class _Manager:
    """Scores rollouts one by one. The methods are those of verl's `RewardManagerBase`."""

    reward: RowReward
    choice: UnscoredChoice

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        del compute_score, reward_router_address, reward_model_tokenizer
        self.config, self.tokenizer = config, tokenizer
        options = _get(_get(config, "data"), "apply_chat_template_kwargs")
        self.markers = markers_of(tokenizer, options)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score a rollout; of one that was sampled as several sequences, the last.

        Raises:
            UnscoredError: there is no value, and `error` was chosen.
        """
        one = data[-1]
        row = self._columns(one)
        try:
            row["completion"] = self._completion(one)
        except InputError as error:
            scored = unscored_row(row, RowCause.NO_PROMPT, str(error), status="rejected")
        else:
            (scored,) = await self.reward.ascore([row])
        found = _figures(scored, self.choice)
        return {"reward_score": found["score"], "reward_extra_info": found}

    def _columns(self, one: Any) -> dict[str, Any]:
        beside: Mapping[str, Any] = one.non_tensor_batch
        truth = _get(beside.get("reward_model"), "ground_truth")
        prompt = _plain(beside.get("raw_prompt"))
        if prompt is None:
            attended = one.batch["attention_mask"].tolist()
            ids = [n for n, m in zip(one.batch["prompts"].tolist(), attended, strict=False) if m]
            prompt = self.tokenizer.decode(ids, skip_special_tokens=True)
        return {**_columns(truth, beside.get("extra_info")), "prompt": prompt}

    def _completion(self, one: Any) -> list[dict[str, str]]:
        """Return what the model wrote, and what tools answered.

        Raises:
            InputError: it is not certain which is which.
        """
        ids = _response_of(one)
        return messages_of(self._parts(one, ids), self.tokenizer, self.markers)

    def _parts(self, one: Any, ids: Sequence[int]) -> list[TurnPart]:
        beside: Mapping[str, Any] = one.non_tensor_batch
        mask = _get(beside.get("tool_extra_fields"), MASK)
        if mask is None and "response_mask" in one.batch:
            mask = one.batch["response_mask"]
        if mask is not None:
            return parts_of_mask(ids, _plain(mask))
        return parts_of_markers(ids, self.markers, _turns(beside.get("__num_turns__")))


def as_verl_manager(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = PATIENCE_S,
) -> type[Any]:
    """Make a reward manager class for verl of a reward, for rollouts of any number of turns.

    ::

        Manager = as_verl_manager("rewards.toml", when_unscored=0.0)  # in rewards.py

    and `reward.reward_manager.source=importlib reward.reward_manager.module.path=rewards.py
    reward.reward_manager.name=Manager`. It reads the prompt's messages, and of the response only
    what the model wrote counts as its own: by the mask where it has one, else by the markers of
    the chat template. Where these leave a doubt, the rollout has no value.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: see `as_verl_reward`.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; None: see `RowReward`.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
        ModuleNotFoundError: verl is not installed.
    """
    adapted = RowReward(reward, engine=engine, deadline=deadline)
    choice = take_choice("verl", _CHOICES, when_unscored)
    base = import_module("verl.experimental.reward_loop.reward_manager.base").RewardManagerBase
    return type("PlauditManager", (_Manager, base), {"reward": adapted, "choice": choice})


def _figures(scored: ScoredRow, choice: UnscoredChoice) -> dict[str, Any]:
    """Return the fields that verl keeps of a rollout: the same ones for each.

    Raises:
        UnscoredError: there is no value, and `error` was chosen.
    """
    return {
        "score": value_of(scored, choice),
        "abstained": float(scored.value is None),
        "status": str(scored.status),
        "cause": scored.cause or "",
        "reason": scored.reason,
    }


def _columns(truth: Any, info: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns of a row that verl's data set holds."""
    given = {name: _plain(value) for name, value in (info or {}).items() if name in _COLUMNS}
    known = {name: value for name, value in given.items() if value is not None}
    return known | {"answer": _reference(truth)}


def _reference(truth: Any) -> Any:
    """Return a reference; some data sets hold it as the `target` of a mapping."""
    if isinstance(truth, dict):
        return _plain(cast("dict[str, Any]", truth).get("target"))
    return _plain(truth)


def _get(mapping: Mapping[str, Any] | None, name: str) -> Any:
    """Return a field; None where there is none, or no mapping."""
    return None if mapping is None else mapping.get(name)


def _plain(value: Any) -> Any:
    """Return a value as Python's own types; verl holds lists and numbers as arrays."""
    return value.tolist() if hasattr(value, "tolist") else value


def _turns(count: Any) -> int:
    """Return how many turns the model had; verl counts the prompt and each round of tools too."""
    return max(1, int(count or 0) // 2)


def _of_several_turns(text: str, info: Mapping[str, Any]) -> bool:
    counted = info.get("num_turns")
    return _TOOLS.search(text) is not None if counted is None else _turns(counted) > 1


def _problem_of(row: Mapping[str, Any], several_turns: bool) -> str:
    """Return why a function cannot know what was asked and answered; empty where it does."""
    if several_turns:
        return "a rollout with tools is one text for a function; use as_verl_manager"
    if row["answer"] is not None and not row["prompt"]:
        return "a function is handed no prompt, and 'extra_info' has no 'question'"
    return ""


def _response_of(one: Any) -> list[int]:
    """Return the ids of a response, without padding."""
    ids: list[int] = one.batch["responses"].tolist()
    length = one.non_tensor_batch.get("response_len")
    if length is None:
        length = sum(one.batch["attention_mask"].tolist()[-len(ids) :])
    return ids[: int(length)]
