"""The feedback judge: how did the user react to the answer?

The next message of a user shows whether the answer helped. Seven labels, each with a reward;
`topic_shift` shows nothing about the answer and is never learned from.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from operator import mul
from typing import TYPE_CHECKING, Any

from plaudit.errors import Cause, InputError, UsageError
from plaudit.judges import json_reply, readout, rows
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.kind import Untrusted
from plaudit.judges.readout import Option
from plaudit.judges.verdict import Reading
from plaudit.types import Failure, FeedbackSample, Json, Message, Sample

REWARDS: Mapping[str, float] = {
    "neg_constraint_restate": -1.0,
    "neg_correction": -0.8,
    "neg_confusion": -0.6,
    "neutral": 0.0,
    "pos_progress": 0.1,
    "pos_praise": 0.8,
}
"""Reward of each label; `topic_shift` has none."""

_FIELDS = frozenset({"id", "query", "answer", "follow_up", "query_t", "answer_t", "query_t1"})


class FeedbackJudge(BaseJudge):
    """Labels the user's reaction; the reward is the expectation over the labels."""

    kind = "feedback"
    variables = frozenset({"query", "answer", "follow_up"})
    options = (
        Option("neg_constraint_restate", "requirement", "the user repeats a wish that was ignored"),
        Option("neg_correction", "correction", "the user points out a mistake"),
        Option("neg_confusion", "confusion", "the user does not understand the answer"),
        Option("neutral", "neutral", "the user shows no opinion of the answer"),
        Option("pos_progress", "next", "the answer worked and the user builds on it"),
        Option("pos_praise", "praise", "the user is pleased or says thanks"),
        Option("topic_shift", "unrelated", "the user changes the subject"),
    )
    schema = json_reply.choice_schema("rationale", "label", options)
    json_tokens = 256
    default_gate = 0.6
    json_has_confidence = True

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """See `BaseJudge`; also checks the reward map."""
        self.rewards = dict(REWARDS) if config.reward_map is None else dict(config.reward_map)
        _check_rewards(self.rewards)
        super().__init__(config, facts)

    @classmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take one sample from a flat row, or every triple from a conversation."""
        name = rows.chat_name(row, ["messages"], _FIELDS - {"id"})
        if name is not None:
            return _triples(row, name, index)
        query = rows.take_text(row, "query", "query_t")
        answer = rows.take_text(row, "answer", "answer_t")
        follow_up = rows.take_text(row, "follow_up", "query_t1")
        sample = FeedbackSample(
            id=rows.row_id(row, {"query": query, "answer": answer, "follow_up": follow_up}),
            index=index,
            metadata=rows.unknown_columns(row, _FIELDS),
            query=query,
            answer=answer,
            follow_up=follow_up,
        )
        rows.refuse_blank(sample)
        return [sample]

    def row_of(self, sample: FeedbackSample) -> dict[str, Json]:
        """Return the sample as an input row."""
        return {"query": sample.query, "answer": sample.answer, "follow_up": sample.follow_up}

    def sample_variables(self, sample: FeedbackSample) -> dict[str, Untrusted]:
        """Return question, answer and follow-up."""
        return {"query": sample.query, "answer": sample.answer, "follow_up": sample.follow_up}

    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return a shot's label."""
        return feedback["label"]

    def feedback_of(self, label: str) -> dict[str, Json] | None:
        """Return the label with its meaning for a reason."""
        meaning = next((o.meaning for o in self.options if o.label == label), "")
        return {"rationale": f"{meaning.capitalize()}.", "label": label, "confidence": 0.95}

    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Take the most probable label; the reward is the expectation without `topic_shift`."""
        value = readout.likeliest(probabilities)
        learned = [*map(probabilities.__getitem__, self.rewards)]
        weight = math.fsum(learned)
        gain = math.fsum(map(mul, learned, self.rewards.values()))
        expected = gain / weight if weight > 0 else 0.0
        return self._reading(value, expected, probabilities[value], probabilities, {})

    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Take the stated label and its reward."""
        value = json_reply.take_option(reply, "label", self.labels)
        confidence = json_reply.take_number(reply, "confidence", 0, 1)
        fields = {"rationale": json_reply.take_text(reply, "rationale")}
        return self._reading(value, self.rewards.get(value, 0.0), confidence, None, fields)

    def cues(self, sample: FeedbackSample) -> dict[str, float]:
        """Return how the reaction sounds."""
        return sentiment(sample.answer, sample.follow_up)

    def further_parts(self) -> dict[str, Json]:
        """Add the lexicon, where a head weighs the sentiment."""
        weighs = any(head.cues for head in self.logprobs.heads)
        return super().further_parts() | ({"lexicon": lexicon()} if weighs else {})

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Take the expectation over the votes, those for `topic_shift` left out."""
        learned = [vote.reward for vote in votes if vote.abstain is None]
        expected = math.fsum(learned) / len(learned) if learned else 0.0
        return self._reading(
            str(winners[0].value),
            expected,
            0.0,
            None,
            {name: field for name, field in winners[0].fields.items() if name != "expected_reward"},
        )

    def _reading(
        self,
        value: str,
        reward: float,
        confidence: float,
        probabilities: dict[str, float] | None,
        fields: dict[str, Json],
    ) -> Reading:
        return Reading(
            value=value,
            reward=reward,
            confidence=confidence,
            probabilities=probabilities,
            fields={"expected_reward": reward, **fields},
            abstain=None if value in self.rewards else _TOPIC_SHIFT,
        )


_TRIPLE_ROLES = ["user", "assistant", "user"]
_TOPIC_SHIFT = Failure(
    Cause.TOPIC_SHIFT, "the user changed the subject, which says nothing about the answer"
)


def _triples(row: Mapping[str, Any], column: str, index: int) -> list[Sample]:
    turns = _turns(rows.take_messages(row, column))
    name = rows.row_id(row, row[column])
    metadata = rows.unknown_columns(row, frozenset({"id", column}))
    starts = [i for i in range(len(turns) - 2) if [t[0] for t in turns[i : i + 3]] == _TRIPLE_ROLES]
    if not starts:
        raise InputError(f"{column!r} has no user message that follows an assistant's answer")
    return [
        FeedbackSample(
            id=f"{name}#{n}",
            index=index + n - 1,
            metadata=metadata,
            query=turns[start][1],
            answer=turns[start + 1][1],
            follow_up=turns[start + 2][1],
        )
        for n, start in enumerate(starts, 1)
    ]


def _turns(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Join consecutive messages of one role; leave out messages of other roles."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        text = rows.message_text(message) if message.tool_calls is None else message.content or ""
        if message.role not in ("user", "assistant") or not isinstance(text, str):
            continue
        if not rows.is_visible(text):
            continue
        if turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n\n{text}")
        else:
            turns.append((message.role, text))
    return turns


def _check_rewards(rewards: Mapping[str, float]) -> None:
    if rewards.keys() != REWARDS.keys():
        raise UsageError(f"the reward map must give a number for each of {', '.join(REWARDS)}")
    for label, reward in rewards.items():
        if not math.isfinite(reward):
            raise UsageError(f"the reward of {label} must be a finite number")


# Sentiment


if TYPE_CHECKING:
    from vader import SentimentIntensityAnalyzer

LEXICON = "nltk-vader-sentiment"
"""The distribution whose version a fingerprint names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LONGEST = 1000
"""Characters of a text that are read; a reaction is shorter."""
_WORDS = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
_ENGLISH = _words(
    "the is are were be been it it's its that's this these those you your i i'm i've i'd i'll my "
    "we they he she of to for from with and but or not don't didn't isn't can't doesn't which who "
    "where when why how there have has had do does did would could should will can just about any "
    "one please thanks thank thx yes okay good great"
)
_FOREIGN = _words(
    "der das und ist ich sie nicht kein ein eine einen dem den im mit bei von auf zu wie wer wo "
    "wann mir mich dir dich sind hab habe danke bitte nein ja aber schon doch noch mal stimmt "
    "le la les des du est pas je et une merci oui mais dans que qui cette avec c'est bien alors "
    "el los las por gracias pero es en del yo muy como esto eso ya lo de y si ahora donde "
    "il di che grazie per sono della ma questo ho molto allora "
    "um uma os obrigado obrigada mas isso muito para com eu "
    "het een niet ik dank maar van voor"
)
"""Common words of German, French, Spanish, Italian, Portuguese and Dutch that English lacks."""
_DENIAL = re.compile(r"\s*(?:no|nope|nah)\s*(?:[,.;:!-]\s*|$)", re.IGNORECASE)
"""A "no" of its own, which answers a question as often as it rejects an answer."""
_REFUSAL = re.compile(
    r"\b(?:sorry|unfortunately|afraid|unable|cannot|can't|couldn't|could not|no longer|"
    r"sold out|unsuccessful|not (?:able|available|possible)|there (?:is|are) no(?:ne)?)\b",
    re.IGNORECASE,
)


def sentiment(answer: str, follow_up: str) -> dict[str, float]:
    """Return how a reaction sounds: `sentiment`, from -1 to 1.

    A head weighs it beside the tokens: a small model reads who reacts to what, and the lexicon
    (VADER, Hutto and Gilbert 2014) knows how words sound. It is 0 where the follow-up is not
    English, so that the tokens alone decide. A friendly word after a refusal is a courtesy and
    counts as 0 too. A "no" of its own at the beginning is left out.

    Args:
        answer: of the assistant; its end is read.
        follow_up: the user's reaction to it; its beginning is read.
    """
    follow_up, answer = follow_up[:_LONGEST], answer[-_LONGEST:]
    if not is_english(follow_up):
        return {"sentiment": 0.0}
    heard = polarity(_DENIAL.sub("", follow_up, count=1))
    refused = heard > 0 and _REFUSAL.search(answer) is not None
    return {"sentiment": 0.0 if refused else heard}


def is_english(text: str) -> bool:
    """Return whether a short text may be English: no more of its words are foreign than English.

    Foreign are common words of six other languages, and words with letters outside ASCII.
    """
    words = _WORDS.findall(text.casefold())
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)


def polarity(text: str) -> float:
    """Return how positive an English text sounds, from -1 to 1."""
    return _analyzer().polarity_scores(text)["compound"]


@cache
def lexicon() -> str:
    """Name the lexicon with its version."""
    return f"{LEXICON} {version(LEXICON)}"


@cache
def _analyzer() -> "SentimentIntensityAnalyzer":
    from vader import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
