"""Rollouts of plaudit's agent as what a TRL trainer samples."""

import datetime
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from plaudit._util.aio import together
from plaudit._util.loops import run_sync
from plaudit.corpus.questions import Question
from plaudit.engines.base import Engine
from plaudit.errors import EngineUnusableError, PlauditError, UsageError
from plaudit.integrations.trl_sampling import trainer_engine
from plaudit.rewarding.rows import TRACE
from plaudit.rollouts.agent import Agent
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.policy import Policy
from plaudit.rollouts.tools.toolset import ToolSet
from plaudit.rollouts.trace import Trace

Rows = dict[str, Any]
"""What TRL expects of a rollout function, one value a prompt in each list."""

_NO_OUTCOME: tuple[type[PlauditError], ...] = ()


class TRLRollouts:
    """A rollout function for TRL's `GRPOTrainer`; `trl_rollout_func` makes it.

    Attributes:
        traces: those of the last batch, in the order of its rows.
    """

    def __init__(self, tools: ToolSet, config: RolloutConfig) -> None:
        _check_config(config)
        self.traces: list[Trace] = []
        self._tools = tools
        self._config = config
        self._bound: _Bound | None = None

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> Rows:
        """Roll out a batch of prompts, each as often as it is there.

        Raises:
            UsageError: a prompt is no question, or the trainer cannot be used in this way.
            EngineUnusableError: the model cannot generate.
        """
        questions = [_question(prompt, number) for number, prompt in enumerate(prompts)]
        traces = run_sync(self._roll_out(questions, trainer))
        at_one = trainer.temperature == 1
        logprobs = at_one or trainer.use_vllm
        rows = [_row(trace, trainer, logprobs) for trace in traces]
        _check_learnable(traces, rows)
        self.traces = traces if at_one or not trainer.use_vllm else list(map(_unsure, traces))
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "logprobs": [row.logprobs for row in rows] if logprobs else None,
            "env_mask": [row.mask for row in rows],
            TRACE: self.traces,
        }

    def close(self) -> None:
        """Close the tools, such as MCP servers; they are opened again where they are needed."""
        run_sync(self._tools.close())

    async def _roll_out(self, questions: Sequence[Question], trainer: Any) -> list[Trace]:
        await self._tools.open()
        if self._bound is None or self._bound.trainer is not trainer:
            self._bound = await self._bind(trainer)
        agent, engine = self._bound.agent, self._bound.engine
        runs = (
            agent.run(question, draw, engine.complete)
            for question, draw in zip(questions, _draws(questions), strict=True)
        )
        try:
            return cast("list[Trace]", await together(runs, _NO_OUTCOME))
        finally:
            await engine.close()

    async def _bind(self, trainer: Any) -> "_Bound":
        engine, given = trainer_engine(trainer), trainer.processing_class
        _check_template(trainer)
        with tempfile.TemporaryDirectory() as folder:
            if self._config.tokenizer is None:
                getattr(given, "tokenizer", given).save_pretrained(folder)
            config = msgspec.structs.replace(
                self._config,
                max_new_tokens=min(self._config.max_new_tokens, trainer.max_completion_length),
                date=self._config.date or datetime.date.today().isoformat(),
                tokens="exact",
                tokenizer=self._config.tokenizer or folder,
            )
            policy = await Policy.bind(engine, self._tools, config)
        return _Bound(trainer, engine, Agent(policy, self._tools, config))


class _Bound(NamedTuple):
    """A trainer, and what it takes to roll out its model."""

    trainer: Any
    engine: Engine
    agent: Agent


def _check_config(config: RolloutConfig) -> None:
    """Refuse what the trainer decides."""
    default = RolloutConfig()
    for name in ("samples_per_question", "temperature", "top_p", "seed", "generation", "tokens"):
        if getattr(config, name) != getattr(default, name):
            raise UsageError(f"{name} is the trainer's to say: set it in its GRPOConfig")


def _check_template(trainer: Any) -> None:
    arguments = getattr(trainer, "chat_template_kwargs", None)
    if arguments:
        raise UsageError(
            f"chat_template_kwargs ({', '.join(arguments)}) do not reach rollouts: put a template "
            "that needs none beside the tokenizer, and name it in RolloutConfig(tokenizer=FOLDER)"
        )


def _question(prompt: Any, number: int) -> Question:
    """Return the question of a prompt: a text, or a chat of one message of the user."""
    text = prompt
    if isinstance(prompt, list):
        match cast("list[Any]", prompt):
            case [{"role": "user", "content": str(asked)}]:
                text = asked
            case _:
                text = None
    if not isinstance(text, str) or not text.strip():
        raise UsageError(
            f"prompt {number} of the batch is no question: give a text, or one message of the user "
            "with a text; a system prompt goes into RolloutConfig(system=FILE)"
        )
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Question(id=digest, question=text)


def _draws(questions: Iterable[Question]) -> list[int]:
    """Number the rollouts of each question."""
    seen: Counter[str] = Counter()
    draws: list[int] = []
    for question in questions:
        draws.append(seen[question.id])
        seen[question.id] += 1
    return draws


def _check_learnable(traces: Sequence[Trace], rows: Sequence["_Row"]) -> None:
    """Refuse a batch with an empty mask: training on would only look like training."""
    if not traces or any(any(row.mask) for row in rows):
        return
    if any(trace.tokens is not None for trace in traces):
        raise EngineUnusableError(
            f"no log-probability of what {len(traces)} rollouts sampled is known, so there is "
            "nothing to train on: let the trainer's vLLM return them"
        )
    first = traces[0]
    why = "" if first.error is None else f": {first.error.message}"
    raise EngineUnusableError(
        f"not one of {len(traces)} rollouts has a token that the model sampled "
        f"({first.stop_reason}){why}"
    )


class _Row(msgspec.Struct, frozen=True):
    prompt_ids: list[int]
    completion_ids: list[int]
    mask: list[int]
    logprobs: list[float]
    """NaN where sampled and unknown, which TRL reads as unknown too; 0 where not sampled."""


def _row(trace: Trace, trainer: Any, logprobs: bool) -> _Row:
    """Return what TRL takes of a trace.

    With `logprobs` a token of an unknown log-probability is not in the mask; else TRL computes them
    all.
    """
    tokens = trace.tokens
    if tokens is None:
        # TRL wants a row for each prompt. Nothing is learned from this one.
        end = trainer.eos_token_ids[0]
        return _Row([end], [end], [0], [0.0])
    mask = list(map(int, tokens.completion_known)) if logprobs else tokens.completion_mask
    return _Row(tokens.prompt_ids, tokens.completion_ids, mask, tokens.filled_logprobs)


def _unsure(trace: Trace) -> Trace:
    """Leave out log-probabilities at another temperature than that of traces."""
    if trace.tokens is None:
        return trace
    unknown: list[float | None] = [None] * len(trace.tokens.ids)
    tokens = msgspec.structs.replace(trace.tokens, logprobs=unknown)
    return msgspec.structs.replace(trace, tokens=tokens)
