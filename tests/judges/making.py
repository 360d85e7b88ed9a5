"""Tasks, samples and scripted answers for the tests of the judging core."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plaudit.engines.base import Capabilities, Completion, Request, TokenLogprob
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.load import task_type
from plaudit.types import Sample, Usage, Verdict

KINDS = ("feedback", "pointwise", "pairwise", "verify")
MODES = ("chat", "completion")
READOUTS = ("json", "logprob")
CAPABLE = Capabilities(logprobs=20, json_schema=True, chat=True, completion=True, seed=True)
DUMB = Capabilities(json_schema=True)

ROWS: Mapping[str, dict[str, Any]] = {
    "feedback": {"query": "How far is it?", "answer": "Ten miles.", "follow_up": "In km, please."},
    "pointwise": {"prompt": "Name a prime.", "response": "Seven."},
    "pairwise": {"prompt": "Name a prime.", "response_a": "Seven.", "response_b": "Nine."},
    "verify": {"question": "Who wrote it?", "answer": "It was Mary S.", "reference": "Shelley"},
}
GOOD: Mapping[str, dict[str, Any]] = {
    "feedback": {"rationale": "r", "label": "pos_praise", "confidence": 0.9},
    "pointwise": {
        "intent": "i", "checklist": "c", "strengths": "s", "weaknesses": "w", "score": 8
    },
    "pairwise": {
        "analysis of A": "1", "analysis of B": "2", "reason of A=B": "3", "reason of A>B": "4",
        "reason of B>A": "5", "choice": "A+",
    },
    "verify": {"reasoning": "r", "verdict": "correct", "confidence": 0.9},
}  # fmt: skip
DECIDING = {"feedback": "label", "pointwise": "score", "pairwise": "choice", "verify": "verdict"}
"""The field of the json readout from which the value comes."""


def facts(capabilities: Capabilities = CAPABLE, **fields: Any) -> EngineFacts:
    return EngineFacts(identity=fields.pop("identity", "test"), capabilities=capabilities, **fields)


def make(kind: str, engine: EngineFacts | None = None, **config: Any) -> BaseJudge:
    if config.get("readout") != "json":
        config.setdefault("prior", "none")
    return task_type(kind)(JudgeConfig(kind=kind, **config), engine or facts())


def sample_of(kind: str, row: Mapping[str, Any] | None = None) -> Sample:
    (sample,) = task_type(kind).read_row(ROWS[kind] if row is None else row, 0)
    return sample


def say(reply: Any, **fields: Any) -> Completion:
    text = reply if isinstance(reply, str) else json.dumps(reply)
    return Completion(text=text, usage=fields.pop("usage", Usage(10, 2)), **fields)


def show(
    candidates: Mapping[str, float] | Iterable[tuple[str, float]], **fields: Any
) -> Completion:
    """A reply whose first token has these candidates, by probability."""
    pairs = candidates.items() if isinstance(candidates, Mapping) else candidates
    ranked = sorted(pairs, key=lambda pair: -pair[1])
    shown = tuple(TokenLogprob(t, math.log(p) if p > 0 else -9999.0) for t, p in ranked)
    text = fields.pop("text", ranked[0][0] if ranked else "")
    return Completion(text=text, logprobs=shown, usage=Usage(10, 1), **fields)


def over(task: BaseJudge, probabilities: Mapping[str, float]) -> Completion:
    """A reply whose first token has these probabilities on the option words, by label."""
    words = {option.label: option.word for option in task.options}
    return show({" " + words[label]: p for label, p in probabilities.items()})


class Ask:
    """Answers requests in turn, from a list of completions and errors; keeps the requests."""

    def __init__(self, *replies: Completion | Exception) -> None:
        self._replies = list(replies)
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Completion:
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


async def decide(task: BaseJudge, *replies: Completion | Exception, row: Any = None) -> Verdict:
    return await task.decide(sample_of(task.kind, row), Ask(*replies))


def is_no_number(verdict: Verdict) -> bool:
    """Whether a judgement that could not be made has nothing that could be learned from."""
    return (
        verdict.status in ("invalid", "failed")
        and not verdict.should_update
        and verdict.error is not None
        and (verdict.value, verdict.reward, verdict.confidence) == (None, None, None)
        and verdict.probabilities is None
        and verdict.fields == {}
    )


def text_of(request: Request) -> str:
    if isinstance(request.prompt, str):
        return request.prompt
    return "\n".join(str(message.content) for message in request.prompt)


def starting(options: Sequence[str], label: str, p: float) -> dict[str, float]:
    """A distribution with `p` on one label and the rest spread evenly."""
    rest = (1 - p) / (len(options) - 1)
    return {option: p if option == label else rest for option in options}
