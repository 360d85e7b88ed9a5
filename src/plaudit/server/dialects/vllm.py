"""vLLM's `/score` and `/classify`, where a judge stands in for a reward model.

Clients read one number a text, so there is no place for null.
"""

import time
from collections.abc import Sequence
from uuid import uuid4

import msgspec

from plaudit.errors import InputError
from plaudit.rewarding.rows import Row
from plaudit.server.dialects.base import Answers, Dialect, NoPrompt, ScoringRoute
from plaudit.server.dialects.llama_factory import row_of_text
from plaudit.types import Json


class ScoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts and responses; further fields are passed over."""

    text_1: str | list[str]
    """A prompt, or one for each response."""
    text_2: str | list[str]
    """The responses."""
    model: str | None = None


class ClassifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Rendered chats of one turn, or one chat as messages."""

    input: str | list[str] | None = None
    messages: list[dict[str, Json]] | None = None
    model: str | None = None


class TextUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the request, which are not counted here."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens: int = 0


class ScoreItem(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's score."""

    index: int
    object: str = "score"
    score: float


class ClassifyItem(msgspec.Struct, frozen=True, kw_only=True):
    """One text's score, as the only class of a reward model."""

    index: int
    label: str = "LABEL_0"
    probs: list[float]
    num_classes: int = 1


class ScoreList(msgspec.Struct, frozen=True, kw_only=True):
    """What `/score` answers."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[ScoreItem]
    usage: TextUsage = TextUsage()


class ClassifyList(msgspec.Struct, frozen=True, kw_only=True):
    """What `/classify` answers."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[ClassifyItem]
    usage: TextUsage = TextUsage()


def _pairs(body: ScoreRequest) -> list[Row]:
    first, second = _listed(body.text_1), _listed(body.text_2)
    if len(first) == 1:
        first *= len(second)
    if len(first) != len(second):
        raise InputError(f"text_1 has {len(first)} texts and text_2 {len(second)}")
    return [{"prompt": one, "completion": two} for one, two in zip(first, second, strict=True)]


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _chats(body: ClassifyRequest) -> Sequence[Row | NoPrompt]:
    if body.messages is not None:
        return [{"messages": body.messages}]
    if body.input is None:
        raise InputError("the body needs 'input' or 'messages'")
    return [row_of_text(text) for text in _listed(body.input)]


def _scores(body: ScoreRequest, answers: Answers) -> ScoreList:
    data = [
        ScoreItem(index=n, score=value)
        for n, value in enumerate(answers.values)
        if value is not None
    ]
    return ScoreList(
        id=f"score-{uuid4().hex}", created=int(time.time()), model=_model(body, answers), data=data
    )


def _classes(body: ClassifyRequest, answers: Answers) -> ClassifyList:
    data = [
        ClassifyItem(index=n, probs=[value])
        for n, value in enumerate(answers.values)
        if value is not None
    ]
    return ClassifyList(
        id=f"classify-{uuid4().hex}",
        created=int(time.time()),
        model=_model(body, answers),
        data=data,
    )


def _model(body: ScoreRequest | ClassifyRequest, answers: Answers) -> str:
    return body.model or answers.name


VLLM = Dialect(
    name="vllm",
    title="vLLM's scoring and classification",
    choices=("error", "number"),
    deadline=110.0,
    scoring=[
        ScoringRoute("/score", ScoreRequest, ScoreList, _pairs, _scores),
        ScoringRoute("/classify", ClassifyRequest, ClassifyList, _chats, _classes),
    ],
)
