"""The readout head: what it reads, and that what is hidden never picks a wrong winner."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.engines.base import Completion, TokenLogprob
from plaudit.errors import Cause, ReplyError
from plaudit.judges.feedback import FeedbackJudge
from plaudit.scoring.calibration import Platt
from plaudit.scoring.head import Head, likeliest, shipped_heads

TOKENS = ["a", "b", "c", "d", "e"]
SPELLINGS = [s for t in TOKENS for s in (t, f" {t}", t.upper(), f" {t.upper()}")]
OTHERS = [f"other{n}" for n in range(8)]


def make_head(weights: list[list[float]], bias: list[float], view: int = 12) -> Head:
    return Head(
        prompt="p",
        model="m",
        view=view,
        floor=-12.0,
        labels=["x", "y", "z"],
        tokens=TOKENS,
        weights=weights,
        bias=bias,
        reference=[],
        samples=1,
        calibration=Platt(slope=1, intercept=0, samples=1),
    )


def reply(masses: dict[str, float], shown: int) -> Completion:
    total = sum(masses.values())
    ranked = sorted(masses.items(), key=lambda item: (-item[1], item[0]))[:shown]
    return Completion(
        text="", logprobs=tuple(TokenLogprob(t, math.log(m / total)) for t, m in ranked)
    )


number = st.floats(-2, 2).map(lambda x: round(x, 3))
masses = st.fixed_dictionaries(
    {t: st.floats(0.0001, 1) for t in SPELLINGS} | {t: st.floats(0.001, 1) for t in OTHERS}
)


@given(
    weights=st.lists(st.lists(number, min_size=5, max_size=5), min_size=3, max_size=3),
    bias=st.lists(number, min_size=3, max_size=3),
    masses=masses,
    shown=st.integers(1, 11),
)
def test_fewer_log_probabilities_never_give_another_winner(
    weights: list[list[float]], bias: list[float], masses: dict[str, float], shown: int
) -> None:
    head = make_head(weights, bias)
    try:
        whole = head.distribution(reply(masses, 12))
    except ReplyError as error:
        assert error.cause == Cause.LOW_OPTION_MASS
        with pytest.raises(ReplyError):
            head.distribution(reply(masses, shown))
        return
    assert abs(sum(whole.values()) - 1) < 1e-9
    try:
        limited = head.distribution(reply(masses, shown))
    except ReplyError as error:
        assert error.cause == Cause.OPTIONS_NOT_VISIBLE
        return
    best = max(limited, key=limited.__getitem__)
    assert whole[best] >= max(whole.values()) - 1e-9


def test_spellings_are_summed_and_what_is_beyond_the_view_is_not_read() -> None:
    head = make_head([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], [0, 0, 0], view=2)
    both = Completion(text="", logprobs=(TokenLogprob(" a", -1), TokenLogprob("A", -1)))
    x = math.log(2 * math.exp(-1))
    expected = math.exp(x) / (math.exp(x) + 2)
    assert head.distribution(both)["x"] == pytest.approx(expected)


def test_cues_move_the_options_by_their_weights() -> None:
    plain = make_head([[0] * 5] * 3, [0, 0, 0])
    head = msgspec.structs.replace(plain, cues={"sentiment": [1.0, 0.0, -1.0]})
    seen = reply({"a": 1}, 1)
    whole = msgspec.structs.replace(seen, logprobs=seen.logprobs * 12)
    reported = head.distribution(whole, {"sentiment": 0.5})
    assert reported["x"] / reported["y"] == pytest.approx(math.exp(0.5))
    assert head.distribution(whole, {"sentiment": 0.0}) == plain.distribution(whole)


def test_a_model_is_known_by_its_replies_to_the_probes() -> None:
    one = reply({"a": 5, "b": 3, "c": 1}, 3)
    head = msgspec.structs.replace(make_head([[0] * 5] * 3, [0] * 3), reference=[likeliest(one)])
    assert head.fits([one])
    assert not head.fits([])
    assert not head.fits([reply({"a": 3, "b": 5, "c": 1}, 3)])
    assert not head.fits([reply({"d": 5, "b": 3, "c": 1}, 3)])


def test_the_shipped_head_is_for_the_shipped_prompt_and_the_embedded_model() -> None:
    from plaudit.engines.base import Capabilities
    from plaudit.engines.llama.catalogue import known_model
    from plaudit.judges.config import EngineFacts, JudgeConfig

    model = known_model("smollm2-135m-instruct")
    facts = EngineFacts(
        identity=f"gguf-sha256:{model.sha256}",
        capabilities=Capabilities(logprobs=256, completion=True, default_mode="completion"),
        special_tokens=model.special_tokens,
    )
    task = FeedbackJudge(JudgeConfig(kind="feedback"), facts)
    (head,) = shipped_heads("feedback")
    assert head.prompt == task.prompt.digest, "fit it again: scripts/bench fit_feedback_head"
    assert task.calibration == head.calibration
    assert head.labels == list(task.labels)
    assert len(head.weights) == len(head.bias) == len(head.labels)
    assert {len(row) for row in head.weights} == {len(head.tokens)}
    assert {len(pull) for pull in head.cues.values()} == {len(head.labels)}
    assert set(head.cues) == {"sentiment"}
