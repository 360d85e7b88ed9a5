"""Judges whose engine is a trained reward model: it reads the conversation itself, no prompt.

The score readout. A model trained on comparisons (Bradley and Terry 1952) gives a score whose
difference between two responses is the log-odds that the first is the better one.
"""

import math
from collections.abc import Sequence
from functools import partial

import msgspec

from plaudit.engines.base import Completion, Request, ScoreReply
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.judges import readout, rows
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.pairwise import PairwiseJudge
from plaudit.judges.pointwise import PointwiseJudge
from plaudit.judges.verdict import Reading, Transcript, all_made
from plaudit.types import Json, Message, PairSample, ResponseSample, Sample

_REPLY = msgspec.json.Decoder(ScoreReply)


class RewardModelJudge(BaseJudge):
    """What judges with a reward model share."""

    variables = frozenset()
    prompted = False

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """Refuse what only a prompt has, and settle the rest.

        Raises:
            UsageError: the configuration asks for what a reward model does not have.
        """
        _refuse_prompt_options(config)
        self.outputs = dict(facts.capabilities.labels)
        super().__init__(config, facts)

    def identity_parts(self, facts: EngineFacts) -> dict[str, Json]:
        """Return what can change a score: the model and what is sent."""
        return {
            "version": 1,
            "kind": self.kind,
            "readout": self.readout,
            "outputs": facts.capabilities.labels,
            "extra": self.prompt.sampling.extra,
            "model": facts.identity,
        }

    async def ask_and_read(self, sample: Sample, request: Request, reported: Transcript) -> Reading:
        """Ask for the scores and read them."""
        return self.read(sample, await reported.ask(request))

    def conversation(self, messages: Sequence[Message], sample: Sample, turn: str) -> Request:
        """Return the request for the scores of a conversation."""
        escape = self.prompt.escape
        prompt = tuple(Message(m.role, escape(rows.message_text(m))) for m in messages)
        sampling = self.prompt.sampling
        return Request(prompt=prompt, sampling=sampling, sample_id=sample.id, turn=turn)


class RewardModelPointwise(RewardModelJudge, PointwiseJudge):
    """Scores a response by a reward model, or by what a classifier's labels are worth.

    With one output the value is the raw score and the reward its sigmoid, in 0..1. With the
    outputs of a classifier the value is what the likeliest label is worth (a pointwise value is a
    number), and the reward the expectation over all labels.
    """

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `RewardModelJudge`; only a classifier has a confidence."""
        self.json_has_confidence = bool(facts.capabilities.labels)
        super().__init__(config, facts)

    def render(self, sample: Sample, turn: str = "main") -> Request:
        """Return the request for the scores of the whole conversation."""
        assert isinstance(sample, ResponseSample)
        whole = (*sample.prompt, Message("assistant", sample.response))
        return self.conversation(whole, sample, turn)

    def read(self, sample: Sample, completion: Completion) -> Reading:
        """Read the scores.

        Raises:
            ReplyError: they are not finite numbers, or not as many as are named.
        """
        reply = read_scores(completion)
        if not self.outputs:
            score = only_score(reply)
            return Reading(value=score, reward=sigmoid(score), fields={"raw_score": score})
        if len(reply.scores) != len(self.outputs):
            raise ReplyError(
                Cause.UNKNOWN_OPTION,
                f"the model has {len(reply.scores)} outputs, and {len(self.outputs)} are named "
                "in the engine URI (labels=)",
            )
        return self._read_labels(finite(reply), reply.label)

    def _read_labels(self, scores: Sequence[float], label: str | None) -> Reading:
        top = max(scores)
        weights = [math.exp(score - top) for score in scores]
        total = math.fsum(weights)
        probabilities = {n: w / total for n, w in zip(self.outputs, weights, strict=True)}
        likeliest = readout.likeliest(probabilities)
        fields: dict[str, Json] = {"label": likeliest, "raw_scores": list(scores)}
        if label is not None:
            fields["server_label"] = label
        return Reading(
            value=self.outputs[likeliest],
            reward=math.fsum(p * self.outputs[name] for name, p in probabilities.items()),
            confidence=probabilities[likeliest],
            probabilities=probabilities,
            fields=fields,
        )


class RewardModelPairwise(RewardModelJudge, PairwiseJudge):
    """Compares two responses by their scores: p_a is the sigmoid of the difference.

    Each conversation is scored alone, so there is no order that could matter.
    """

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `RewardModelJudge`; a classifier's labels are no scores that could be compared."""
        if facts.capabilities.labels:
            raise UsageError(
                "the pairwise judge compares the scores of a reward model with one output; use "
                "the pointwise judge with labels="
            )
        super().__init__(config, facts)

    def render(self, sample: Sample, turn: str = "A") -> Request:
        """Return the request for the scores of one conversation, that of the turn `A` or `B`."""
        assert isinstance(sample, PairSample)
        messages = sample.conversation_b if turn == "B" else sample.conversation_a
        return self.conversation(messages, sample, turn)

    def requests(self, sample: Sample) -> list[Request]:
        """Return one request a conversation."""
        return [self.render(sample, "A"), self.render(sample, "B")]

    async def judge_sample(
        self, sample: Sample, requests: Sequence[Request], reported: Transcript
    ) -> Reading:
        """Score both, and compare."""
        asks = [partial(_ask, request) for request in requests]
        replies = all_made(await reported.do_all(asks, requests))
        a, b = (only_score(read_scores(reply)) for reply in replies)
        p_a = sigmoid(a - b)
        value = "A=B" if a == b else "A" if a > b else "B"
        return Reading(
            value=value,
            reward=2 * p_a - 1,
            confidence=max(p_a, 1 - p_a),
            probabilities={"A": p_a, "B": sigmoid(b - a), "A=B": 0.0},
            fields={"p_a": p_a, "raw_scores": {"A": a, "B": b}},
        )


async def _ask(request: Request, reported: Transcript) -> Completion:
    return await reported.ask(request)


def read_scores(completion: Completion) -> ScoreReply:
    """Return what a reward engine's completion holds.

    Raises:
        ReplyError: it is no such completion.
    """
    try:
        reply = _REPLY.decode(completion.text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ReplyError(Cause.UNPARSEABLE, f"the reply holds no scores: {error}") from None
    return reply


def only_score(reply: ScoreReply) -> float:
    """Return the score of a model with one output.

    Raises:
        ReplyError: it has several, or the score is no finite number.
    """
    if len(reply.scores) != 1:
        raise ReplyError(
            Cause.UNKNOWN_OPTION,
            f"the model has {len(reply.scores)} outputs, so it is a classifier; for the pointwise "
            "judge, name them and what each is worth in the engine URI: ?labels=bad:0,good:1",
        )
    return finite(reply)[0]


def finite(reply: ScoreReply) -> list[float]:
    """Return scores.

    Raises:
        ReplyError: one is no finite number.
    """
    found = [score for score in reply.scores if score is not None and math.isfinite(score)]
    if len(found) < len(reply.scores):
        raise ReplyError(Cause.OUT_OF_RANGE, "a score is not a finite number")
    return found


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_OF_PROMPTS = (
    "readout", "template", "shots", "pool", "select", "shot_template", "feedback_template",
    "criteria", "votes", "reward_map",
)  # fmt: skip
"""Options that a reward model has no use for."""


def _refuse_prompt_options(config: JudgeConfig) -> None:
    plain = JudgeConfig(kind=config.kind)
    for name in _OF_PROMPTS:
        if getattr(config, name) != getattr(plain, name):
            raise UsageError(
                "a reward model reads the conversation itself and answers with a score; leave out "
                f"{name}="
            )
