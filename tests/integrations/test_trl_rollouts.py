"""The rollout function: what TRL is handed is what the traces say."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.errors import EngineUnusableError, UsageError
from plaudit.integrations.trl import as_trl_reward, trl_rollout_func
from plaudit.rewarding.completions import with_columns
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.trace import StopReason, Trace
from tests.rollouts.families import QWEN3, make
from tests.support.trl_trainer import StandInTrainer

END = "<|im_end|>"
CALL = '<tool_call>\n{"name": "search", "arguments": {"query": "rope"}}\n</tool_call>'


def search(query: str) -> str:
    """Search the notes.

    Args:
        query: a thing.
    """
    return f"the {query} was in the boat"


def habit(prompt: str) -> str:
    """Search, then answer."""
    return "In the boat." if "was in the boat" in prompt else CALL


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(QWEN3, tmp_path_factory.mktemp("model"))


@pytest.fixture
def trainer(folder: Path) -> Callable[..., Any]:
    def build(speak: Callable[[str], str] = habit, **fields: Any) -> StandInTrainer:
        return StandInTrainer(folder, END, speak, **fields)

    return build


def test_ids_mask_and_log_probabilities_are_those_of_the_traces(trainer: Any) -> None:
    rollouts, model = trl_rollout_func([search]), trainer()
    found = rollouts(["Where was the rope?"], model)
    (trace,) = found["trace"]
    assert trace.stop_reason is StopReason.ANSWERED
    assert trace.final_answer == "In the boat."
    assert trace.tokens.exactness == "exact"
    assert found["prompt_ids"] == [trace.tokens.prompt_ids]
    assert found["completion_ids"] == [trace.tokens.completion_ids]
    assert found["env_mask"] == [trace.tokens.completion_mask]
    (logprobs,), (mask,) = found["logprobs"], found["env_mask"]
    assert [p for p, m in zip(logprobs, mask, strict=True) if not m] == [0.0] * mask.count(0)
    assert all(p < 0 for p, m in zip(logprobs, mask, strict=True) if m)


def test_what_is_in_the_mask_is_what_the_model_wrote_and_its_end_tokens(trainer: Any) -> None:
    model = trainer()
    found = trl_rollout_func([search])(["Where was the rope?"], model)
    (ids,), (mask,) = found["completion_ids"], found["env_mask"]
    sampled = [i for i, m in zip(ids, mask, strict=True) if m]
    assert sampled == [
        *model.tokenizer.ids(CALL), model.end_id,
        *model.tokenizer.ids("In the boat."), model.end_id,
    ]  # fmt: skip
    between = [i for i, m in zip(ids, mask, strict=True) if not m]
    shown = model.tokenizer.native.decode(between, skip_special_tokens=False)
    assert "the rope was in the boat" in shown
    assert CALL not in shown


def test_a_prompt_that_comes_several_times_is_a_group(trainer: Any) -> None:
    model = trainer()
    found = trl_rollout_func([search])(["Where?", "When?", "Where?"], model)
    assert [trace.draw for trace in found["trace"]] == [0, 0, 1]
    groups = [trace.group for trace in found["trace"]]
    assert groups[0] == groups[2] != groups[1]
    assert sum(model.batches) == 6
    assert max(model.batches) == 3


def test_a_prompt_may_be_one_message_of_the_user(trainer: Any) -> None:
    prompt = [{"role": "user", "content": "Where was the rope?"}]
    (trace,) = trl_rollout_func([search])([prompt], trainer())["trace"]
    assert trace.question.question == "Where was the rope?"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        [],
        None,
        [{"role": "user", "content": [{"type": "image"}]}],
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Where?"}],
        [{"role": "assistant", "content": "Where?"}],
    ],
)
def test_a_prompt_that_is_no_question_is_refused(prompt: Any, trainer: Any) -> None:
    with pytest.raises(UsageError, match="prompt 1 of the batch is no question"):
        trl_rollout_func([search])(["Where?", prompt], trainer())


def test_defect_30_rows_of_one_text_are_groups_of_their_own(trainer: Any) -> None:
    found = trl_rollout_func([search])(["Where?", "Where?", "Where?"], trainer())["trace"]
    rows: list[dict[str, Any]] = [{"id": "a"}, {"id": "b"}, {"answer": "In the boat."}]
    known = [with_columns(*one) for one in zip(found, rows, strict=True)]
    assert [trace.group for trace in known[:2]] == ["a", "b"]
    assert [trace.id for trace in known[:2]] == ["a/0", "b/1"]
    assert len({trace.group for trace in known}) == 3
    assert all(trace.group == trace.question_id == trace.question.id for trace in known)


def test_defect_30_a_trace_in_a_log_is_a_line(trainer: Any) -> None:
    (trace,) = trl_rollout_func([search])(["Where was the rope?"], trainer())["trace"]
    length = len(trace.tokens.ids)
    assert repr(trace) == f"<Trace {trace.id}: answered, 2 turns, 1 calls, {length} tokens>"


async def test_rewards_read_the_trace_and_the_columns(trainer: Any) -> None:
    found = trl_rollout_func([search])(["Where was the rope?"] * 2, trainer())
    reward: Any = as_trl_reward({"rewards": {"correctness": {"by": "rules"}}})
    decoded = [[{"role": "assistant", "content": "all of it, tool results too"}]] * 2
    scores = await reward(
        prompts=["Where was the rope?"] * 2,
        completions=decoded,
        answer=["in the boat", "in the hut"],
        **{name: values for name, values in found.items() if name not in ("logprobs", "env_mask")},
    )
    assert scores == [1.0, 0.0]


def test_a_rollout_without_a_sampled_token_is_a_row_that_teaches_nothing(trainer: Any) -> None:
    model = trainer()
    long = "Where? " * 6000
    found = trl_rollout_func([search])(["Where was the rope?", long], model)
    good, bad = found["trace"]
    assert good.tokens is not None
    assert bad.tokens is None
    assert bad.stop_reason is StopReason.FAILED
    assert found["env_mask"][1] == [0]
    assert found["completion_ids"][1] == found["prompt_ids"][1] == [model.end_id]
    assert found["logprobs"][1] == [0.0]


def test_a_batch_without_a_sampled_token_ends_the_training(trainer: Any) -> None:
    with pytest.raises(EngineUnusableError, match="no room in a context of 4096"):
        trl_rollout_func([search])(["Where? " * 6000] * 2, trainer())


def test_an_error_of_the_model_ends_the_training(trainer: Any) -> None:
    def out_of_memory(prompt: str) -> str:
        raise RuntimeError("out of memory")

    with pytest.raises(EngineUnusableError, match="RuntimeError: out of memory"):
        trl_rollout_func([search])(["Where?"], trainer(out_of_memory))


def test_the_model_writes_no_more_than_the_trainer_allows(trainer: Any) -> None:
    model = trainer(lambda prompt: CALL, max_completion_length=100)
    found = trl_rollout_func([search], RolloutConfig(max_turns=50))(["Where was the rope?"], model)
    (trace,) = found["trace"]
    assert trace.stop_reason is StopReason.MAX_NEW_TOKENS
    assert sum(found["env_mask"][0]) == 100
    assert len(found["completion_ids"][0]) > 100


def test_defect_20_a_token_of_an_unknown_log_probability_is_not_trained_on(trainer: Any) -> None:
    model = trainer(logprob=lambda place: None if place == 1 else -0.5)
    found = trl_rollout_func([search])(["Where was the rope?"], model)
    (logprobs,), (mask,) = found["logprobs"], found["env_mask"]
    sampled = found["trace"][0].tokens.completion_mask
    left_out = [s and not m for s, m in zip(sampled, mask, strict=True)]
    assert sum(left_out) == 2  # one a turn
    assert [math.isnan(p) for p in logprobs] == left_out
    assert {p for p, m in zip(logprobs, mask, strict=True) if m} == {-0.5}


def test_a_batch_without_a_known_log_probability_ends_the_training(trainer: Any) -> None:
    model = trainer(logprob=lambda _: None)
    with pytest.raises(EngineUnusableError, match="no log-probability of what 1 rollouts sampled"):
        trl_rollout_func([search])(["Where was the rope?"], model)


def test_log_probabilities_at_another_temperature_are_TRLs_only(trainer: Any) -> None:
    found = trl_rollout_func([search])(["Where was the rope?"], trainer(temperature=0.7))
    assert any(value for value in found["logprobs"][0])
    assert set(found["trace"][0].tokens.logprobs) == {None}


@pytest.mark.parametrize(
    "config",
    [
        RolloutConfig(temperature=0.5),
        RolloutConfig(samples_per_question=4),
        RolloutConfig(top_p=0.9),
        RolloutConfig(seed=3),
        RolloutConfig(generation={"min_p": 0.1}),
    ],
)
def test_what_the_trainer_decides_is_refused(config: RolloutConfig) -> None:
    with pytest.raises(UsageError, match="set it in its GRPOConfig"):
        trl_rollout_func([search], config)


def test_arguments_of_the_chat_template_are_not_dropped_in_silence(trainer: Any) -> None:
    model = trainer(chat_template_kwargs={"enable_thinking": False})
    with pytest.raises(UsageError, match="enable_thinking"):
        trl_rollout_func([search])(["Where?"], model)


def test_a_tokenizer_of_the_configuration_is_taken_in_place_of_the_trainers(
    trainer: Any, folder: Path
) -> None:
    model = trainer(processing_class=SimpleNamespace(decode=lambda ids, **_: "The boat."))
    rollouts = trl_rollout_func([search], RolloutConfig(tokenizer=str(folder)))
    (trace,) = rollouts(["Where was the rope?"], model)["trace"]
    assert trace.final_answer == "The boat."


@pytest.mark.parametrize(
    "fields",
    [
        {"is_fsdp_enabled": True, "use_vllm": False},
        {"is_deepspeed_enabled": True, "use_vllm": False},
        {"args": {"vllm_mode": "server", "vllm_tensor_parallel_size": 1}},
        {"args": {"vllm_mode": "colocate", "vllm_tensor_parallel_size": 2}},
    ],
)
def test_processes_that_must_generate_in_step_are_refused(
    fields: dict[str, Any], trainer: Any
) -> None:
    model = trainer()
    model.accelerator.num_processes = 2
    for name, value in fields.items():
        if name == "args":
            model.args.__dict__.update(value)
        else:
            setattr(model, name, value)
    with pytest.raises(UsageError, match="must generate in step"):
        trl_rollout_func([search])(["Where?"], model)


def test_processes_that_generate_on_their_own_are_fine(trainer: Any) -> None:
    model = trainer()
    model.accelerator.num_processes = 2
    model.args.vllm_tensor_parallel_size = 1
    assert trl_rollout_func([search])(["Where was the rope?"], model)["trace"]


def test_traces_of_the_last_batch_can_be_looked_at(trainer: Any) -> None:
    rollouts, model = trl_rollout_func([search]), trainer()
    assert rollouts.traces == []
    found = rollouts(["Where was the rope?"], model)
    assert rollouts.traces == found["trace"]
    assert all(isinstance(trace, Trace) for trace in rollouts.traces)
    rollouts.close()
    assert rollouts(["Where was the rope?"], model)["trace"]
