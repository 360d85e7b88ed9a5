# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false
"""Pairs as the toolkit's trajectories."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
from nat.data_models.finetuning import DPOItem, OpenAIMessage, Trajectory

from plaudit.integrations.nat.collecting import prompt_of, response_of
from plaudit.preferences.types import Candidate, CandidateGroup, PairOptions
from plaudit.types import Json


def trajectories(turn: CandidateGroup, options: PairOptions) -> Iterator[Any]:
    """Yield a trajectory of one DPO item for each pair of a turn."""
    if not turn.picks:
        return
    prompt = _items_prompt(turn.candidates[0])
    texts = [cast(str, response_of(one.response)) for one in turn.candidates]
    metadata = [_decoded(one) for one in turn.candidates]
    for negative, chosen_index, rejected_index, i, j in turn.picks:
        chosen, rejected = turn.candidates[i], turn.candidates[j]
        yield Trajectory(
            episode=[DPOItem(prompt=prompt, chosen_response=texts[i], rejected_response=texts[j])],
            reward=-negative if options.reward == "margin" else chosen.score,
            metadata={
                "dpo_type": "preference_pair",
                "score_diff": -negative,
                "example_id": str(chosen.example_id),
                "turn_id": str(chosen.turn_id),
                "chosen_score": chosen.score,
                "rejected_score": rejected.score,
                "chosen_index": chosen_index,
                "rejected_index": rejected_index,
                "num_candidates": len(turn.candidates),
                "chosen_raw_metadata": metadata[i],
                "rejected_raw_metadata": metadata[j],
            },
        )


def _items_prompt(candidate: Candidate) -> Any:
    prompt = prompt_of(candidate.prompt)
    return [OpenAIMessage(**one) for one in prompt] if isinstance(prompt, list) else prompt


def _decoded(candidate: Candidate) -> Json:
    return {} if candidate.metadata is None else msgspec.json.decode(candidate.metadata)
