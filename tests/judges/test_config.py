"""What a configuration comes to for a kind of judge and an engine."""

from typing import Any

import msgspec
import pytest

from plaudit.engines.base import Capabilities, Sampling
from plaudit.errors import UsageError
from plaudit.judges.config import EngineFacts, JudgeConfig, Settled, settle
from plaudit.judges.feedback import FeedbackJudge
from tests.judges.making import CAPABLE, DUMB, facts, make


def settled(kind: str = "feedback", engine: EngineFacts | None = None, **given: Any) -> Settled:
    return settle(JudgeConfig(kind=kind, **given), engine or facts(), make(kind))


@pytest.mark.parametrize(
    ("engine", "given", "readout"),
    [
        (facts(), {}, "logprob"),
        (facts(reasoning=True), {}, "json"),
        (facts(DUMB), {}, "json"),
        (facts(), {"readout": "json"}, "json"),
        (facts(Capabilities(scores=True)), {}, "score"),
        (facts(Capabilities(model=False)), {}, "none"),
    ],
)
def test_the_readout(engine: EngineFacts, given: dict[str, Any], readout: str) -> None:
    assert settled("pointwise", engine, **given).readout == readout


@pytest.mark.parametrize(
    ("kind", "given", "gate"),
    [
        ("feedback", {}, 0.6),
        ("feedback", {"gate": 0.0}, 0.0),
        ("pointwise", {}, None),
        ("pointwise", {"readout": "json"}, None),
        ("pointwise", {"readout": "json", "votes": 9, "vote_error": 0.2, "gate": 0.5}, 0.5),
    ],
)
def test_the_gate(kind: str, given: dict[str, Any], gate: float | None) -> None:
    assert settled(kind, **given).gate == gate


def test_the_sampling_of_each_readout() -> None:
    assert settled(seed=5, temperature=0.7, max_tokens=9).sampling == Sampling(seed=5)
    drawn = settled(readout="json", seed=5, temperature=0.3, top_p=0.5, generation={"min_p": 0.1})
    assert drawn.sampling == Sampling(
        temperature=0.3, top_p=0.5, max_tokens=256, seed=5, extra=(("min_p", 0.1),)
    )
    assert settled(readout="json", votes=9, vote_error=0.2).sampling.temperature == 0.7
    scored = settled("pointwise", facts(Capabilities(scores=True)))
    assert scored.sampling == Sampling(max_tokens=0, seed=None)


def test_schema_logprobs_and_votes() -> None:
    by_json, by_logprob = settled(readout="json"), settled()
    assert (by_json.logprobs, by_logprob.logprobs) == (0, CAPABLE.logprobs)
    assert by_logprob.schema is None
    assert by_json.schema is not None
    assert by_json.schema.name == "feedback_verdict"
    assert msgspec.json.decode(by_json.schema.body) == FeedbackJudge.schema
    votes = settled(readout="json", votes=9, vote_error=0.2).votes
    assert votes is not None
    assert (by_json.votes, votes.votes, votes.outcomes) == (None, 9, 7)


@pytest.mark.parametrize(
    ("kind", "given", "problem"),
    [
        ("feedback", {"criteria": ({"name": "x"},)}, "takes no criteria"),
        ("pointwise", {"readout": "json", "gate": 0.5}, "cannot be gated"),
        ("pointwise", {"readout": "json", "calibration": "c.json"}, "nothing to calibrate"),
        ("feedback", {"votes": 3}, "logprob readout reads that distribution"),
        ("feedback", {"readout": "json", "votes": 3, "temperature": 0}, "votes would be alike"),
        ("feedback", {"all_votes": True}, "goes with votes="),
    ],
)
def test_what_does_not_go_together(kind: str, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        settled(kind, **given)


def test_what_an_engine_cannot_do() -> None:
    with pytest.raises(UsageError, match="gives no log-probabilities"):
        settled(engine=facts(DUMB), readout="logprob")
    with pytest.raises(UsageError, match="thinks before it answers"):
        settled(engine=facts(reasoning=True), readout="logprob")
    with pytest.raises(UsageError, match="no completion mode"):
        settled(engine=facts(DUMB), mode="completion")
