"""slime's reward function, called as its rollout calls it."""

from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge
from plaudit.errors import UsageError
from plaudit.integrations.slime import as_slime_reward
from plaudit.preferences.strengths import bradley_terry
from plaudit.rewarding.unscored import UnscoredError
from tests.support.command import write_rows
from tests.support.judged import compared
from tests.support.rl_peers import ASKED, TOOL_TURNS, Sample, slime_args, slime_group

RULES = {"rewards": {"correctness": {"by": "rules"}}}
GROUP = slime_args(group_rm=True)


def mixed() -> list[Sample]:
    """Two right, one wrong, one without a reference."""
    return [Sample(), Sample(response="4<|im_end|>"), Sample(response="5"), Sample(label=None)]


def rewarding(choice: Any) -> Any:
    return as_slime_reward(RULES, name="sums", when_unscored=choice)


async def test_one_sample_and_a_list_without_group_rewards() -> None:
    reward = rewarding("error")
    assert await reward(slime_args(), Sample()) == 1.0
    assert await reward(slime_args(), Sample(prompt=[ASKED], response="5")) == 0.0
    assert await reward(slime_args(), mixed()[:3], evaluation=True) == [1.0, 1.0, 0.0]
    with pytest.raises(UnscoredError, match="1 of 1 rows have no value: no_reference"):
        await reward(slime_args(), mixed()[3])


async def test_a_dropped_sample_is_masked_and_moves_no_baseline() -> None:
    group = mixed()
    centred = await slime_group(rewarding("drop"), GROUP, group)
    assert [sample.remove_sample for sample in group] == [False, False, False, True]
    assert centred == pytest.approx([1 / 3, 1 / 3, -2 / 3, 0])
    assert [sample.metadata["sums/unscored"] for sample in group] == [0, 0, 0, 1]
    assert "sums" not in group[3].metadata
    assert group[0].metadata["sums"] == 1.0


async def test_a_group_without_any_value_is_masked_whole() -> None:
    group = [Sample(label=None), Sample(label=None)]
    assert await slime_group(rewarding("drop"), GROUP, group) == [0, 0]
    assert all(sample.remove_sample for sample in group)
    with pytest.raises(UnscoredError):
        await rewarding("group-mean")(GROUP, group)


async def test_the_mean_and_a_number_mask_nothing() -> None:
    for choice, expected in (("group-mean", pytest.approx(2 / 3)), (-1, -1)):
        group = mixed()
        assert (await rewarding(choice)(GROUP, group))[3] == expected
        assert not any(sample.remove_sample for sample in group)
    assert await rewarding(-1)(slime_args(), Sample(label=None)) == -1


@pytest.mark.parametrize("choice", ["drop", "group-mean"])
async def test_what_needs_a_group_is_refused_before_it_is_needed(choice: str) -> None:
    for given in (Sample(), [Sample()]):
        with pytest.raises(UsageError, match="needs --group-rm"):
            await rewarding(choice)(slime_args(), given)


async def test_an_old_slime_cannot_drop() -> None:
    class Old:
        prompt, response, label, metadata = "2 + 2?", "4", "4", None

    with pytest.raises(UsageError, match="remove_sample"):
        await rewarding("drop")(GROUP, [Old()])
    assert await rewarding("error")(GROUP, [Old()]) == [1.0]


async def test_texts_of_tools_are_no_answer() -> None:
    reward = rewarding(-1)
    mixed_text = Sample(response="sum()5", label="5", loss_mask=[1, 1, 0])
    assert await reward(slime_args(), mixed_text) == -1
    off_policy = slime_args(mask_offpolicy_in_partial_rollout=True)
    assert await reward(off_policy, Sample(loss_mask=[0, 1])) == 1.0
    ended = Sample(label="5", loss_mask=[1, 0], metadata={"completion": TOOL_TURNS})
    assert await reward(slime_args(), ended) == 0.0
    said = [*TOOL_TURNS, {"role": "assistant", "content": "It is 5."}]
    answered = Sample(label="5", loss_mask=[1, 0], metadata={"completion": said})
    assert await reward(slime_args(), answered) == 1.0


async def test_rewards_under_a_key_have_their_parts() -> None:
    args = slime_args(reward_key="score", eval_reward_key="accuracy")
    found = await rewarding(-1)(args, Sample())
    assert found == {"score": 1.0, "accuracy": 1.0, "correctness": 1.0, "unscored": 0.0}
    lost = await rewarding(-1)(args, Sample(label=None))
    assert lost == {"score": -1.0, "accuracy": -1.0, "unscored": 1.0}
    group = mixed()
    keyed = slime_args(group_rm=True, reward_key="score")
    assert (await slime_group(rewarding("drop"), keyed, group))[3] == pytest.approx(0)


async def test_a_sample_that_was_rewarded_is_worth_the_same_again() -> None:
    sample = Sample()
    reward = rewarding("error")
    assert [await reward(slime_args(), sample) for _ in range(2)] == [1.0, 1.0]


async def test_a_pairwise_judge_compares_a_group(tmp_path: Path) -> None:
    choices = {"a|b": "A++", "a|c": "A+", "b|c": "A=B"}
    lines = [
        {"match": {"sample_id": pair}, "replies": [{"text": compared(choice)}]}
        for pair, choice in choices.items()
    ]
    script = write_rows(tmp_path / "script.jsonl", lines)
    judge = Judge("pairwise", engine=f"scripted:{script}", readout="json", swap=False)
    reward = as_slime_reward(judge, when_unscored="drop")
    group = [Sample(response=f"River {id}", metadata={"id": id}) for id in "abc"]
    found = await reward(GROUP, group)
    assert found == bradley_terry(3, [(0, 1, 0.95), (0, 2, 0.75), (1, 2, 0.5)])
    with pytest.raises(UnscoredError, match="bad_row"):
        await as_slime_reward(judge, when_unscored="error")(slime_args(), group[0])


def test_a_choice_is_required() -> None:
    with pytest.raises(UsageError, match="slime"):
        rewarding(None)
