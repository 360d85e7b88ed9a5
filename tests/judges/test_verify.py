import math

import pytest

from plaudit.engines.base import Capabilities
from plaudit.errors import ArgumentError, Cause, UsageError
from plaudit.judges.answers import decision
from plaudit.judges.answers.base import AnswerCase, Comparison, Decision
from plaudit.judges.answers.head import model as head
from plaudit.judges.answers.types import maths
from plaudit.judges.config import JudgeConfig
from plaudit.judges.verify import UnaskedVerifyJudge
from plaudit.types import AnswerSample
from tests.judges.making import GOOD, Ask, decide, facts, make, over, sample_of, say


def row(answer: str, reference) -> dict:
    return {"question": "Who?", "answer": answer, "reference": reference}


@pytest.mark.parametrize("readout", ["json", "logprob"])
@pytest.mark.parametrize(
    ("answer", "reference", "value", "by"),
    [
        ("Shelley.", "shelley", "correct", "text"),
        ("1,200", ["12", "1200"], "correct", "number"),
        ("7", "5", "incorrect", "number"),
        ("", "5", "incorrect", "guard"),
        ("Thought process:", "5", "incorrect", "guard"),
    ],
)
async def test_a_type_or_a_guard_decides_without_asking(
    answer, reference, value, by, readout
) -> None:
    task = make("verify", readout=readout)
    ask = Ask(AssertionError("asked"))
    sample = sample_of("verify", row(answer, reference))
    verdict = await task.decide(sample, ask)
    assert (verdict.status, verdict.value, verdict.fields["decided_by"]) == ("ok", value, by)
    assert verdict.reward == (1.0 if value == "correct" else 0.0)
    assert (ask.requests, task.requests(sample), verdict.raw) == ([], [], [])


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the head says next; it decides from 0.9 and up to 0.1."""
    found = [0.95]
    monkeypatch.setattr(head, "probability", lambda case, extracted: found[0])
    monkeypatch.setattr(
        head, "decide", lambda p: "correct" if p >= 0.9 else "incorrect" if p <= 0.1 else None
    )
    return found


@pytest.fixture
def unsure(chance: list[float]) -> None:
    """The head decides nothing."""
    chance[0] = 0.5


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize("value", ["correct", "incorrect"])
async def test_what_the_rules_leave_open_is_asked(value: str) -> None:
    verdict = await decide(make("verify", readout="json"), say(GOOD["verify"] | {"verdict": value}))
    assert (verdict.status, verdict.value) == ("ok", value)
    assert verdict.reward == (1.0 if value == "correct" else 0.0)
    assert verdict.fields["decided_by"] == "model"
    task = make("verify", readout="logprob")
    verdict = await decide(task, over(task, dict.fromkeys(task.labels, 0.1) | {value: 0.9}))
    assert (verdict.value, verdict.confidence) == (value, pytest.approx(0.9))


@pytest.mark.usefixtures("unsure")
async def test_yes_in_a_no_is_not_a_yes() -> None:
    verdict = await decide(
        make("verify", readout="json"), say("No, it is not correct. Yes, yesterday.")
    )
    assert (verdict.status, verdict.reward) == ("invalid", None)


async def test_partial_credit_is_configuration() -> None:
    task = make("verify", readout="json", reward_map={"correct": 1.0, "incorrect": -0.5})
    assert (await decide(task, say("?"), row=row("7", "5"))).reward == -0.5


@pytest.mark.parametrize(
    "rewards",
    [{}, {"correct": 1.0}, {"correct": math.nan, "incorrect": 0.0}, {"right": 1, "wrong": 0}],
)
def test_a_reward_map_with_holes_is_refused(rewards) -> None:
    with pytest.raises(UsageError, match="reward"):
        make("verify", reward_map=rewards)


@pytest.mark.usefixtures("unsure")
async def test_the_gate_abstains_and_keeps_the_value() -> None:
    task = make("verify", readout="json", gate=0.95)
    verdict = await decide(task, say(GOOD["verify"]))
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.BELOW_GATE)
    assert (verdict.value, verdict.reward, verdict.confidence) == ("correct", None, 0.9)


# What the head says, under a gate and with a model.


OPEN = row("It was Mary S.", "Shelley")
"""What only the head or a model decides."""


def unasked(**config) -> UnaskedVerifyJudge:
    without = facts(Capabilities(model=False), identity="none")
    return UnaskedVerifyJudge(JudgeConfig(kind="verify", **config), without)


@pytest.mark.parametrize(("p", "value"), [(0.95, "correct"), (0.05, "incorrect")])
async def test_the_head_decides_with_its_probability(chance, p: float, value: str) -> None:
    chance[0] = p
    for task in (unasked(), make("verify", readout="json")):
        verdict = await decide(task, AssertionError("asked"), row=OPEN)
        assert (verdict.status, verdict.value) == ("ok", value)
        assert verdict.confidence == pytest.approx(0.95)
        assert verdict.probabilities == {"correct": p, "incorrect": 1 - p}
        assert verdict.fields["decided_by"] == "head"


async def test_what_nobody_decides_abstains_and_shows_what_the_head_said(chance) -> None:
    chance[0] = 0.6
    verdict = await decide(unasked(), AssertionError("asked"), row=OPEN)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.UNDECIDED)
    assert (verdict.value, verdict.reward, verdict.confidence) == (None, None, None)
    assert verdict.probabilities == {"correct": 0.6, "incorrect": pytest.approx(0.4)}
    assert verdict.fields["extracted"] == "It was Mary S"


async def test_the_gate_abstains_or_asks_the_model(chance) -> None:
    verdict = await decide(unasked(gate=0.97), AssertionError("asked"), row=OPEN)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.BELOW_GATE)
    assert (verdict.value, verdict.confidence) == ("correct", 0.95)
    certain = say(GOOD["verify"] | {"verdict": "incorrect", "confidence": 0.99})
    verdict = await decide(make("verify", readout="json", gate=0.97), certain, row=OPEN)
    assert (verdict.status, verdict.value) == ("ok", "incorrect")
    assert verdict.fields["decided_by"] == "model"


async def test_formulas_are_compared_off_the_loop_and_once(monkeypatch, chance) -> None:
    asked: list[str] = []

    def compare(answer, reference, case) -> Comparison:
        asked.append(answer)
        return Comparison(True, "equal")

    monkeypatch.setattr(maths, "applies", lambda reference, case: "x" in reference)
    monkeypatch.setattr(maths, "compare", compare)
    formula = row("the double of x", "2x + 0")
    task = make("verify", readout="json")
    sample = sample_of("verify", formula)
    requests = task.requests(sample)
    assert (len(requests), asked) == (1, [])
    assert task.decide_by(sample, say(GOOD["verify"])) is None
    verdict = await task.decide(sample, Ask(AssertionError("asked")), requests)
    assert (verdict.value, verdict.fields["decided_by"], len(asked)) == ("correct", "math", 1)


async def test_a_stored_reply_gives_the_verdict_that_asking_gives(chance) -> None:
    chance[0] = 0.5
    task = make("verify", readout="json")
    sample, reply = sample_of("verify", OPEN), say(GOOD["verify"])
    assert task.decide_by(sample, reply) == await task.decide(sample, Ask(reply))


async def test_a_sample_is_decided_once_for_its_requests_and_its_verdict(
    monkeypatch, chance
) -> None:
    chance[0] = 0.5
    decided: list[str] = []
    quickly = decision.decide_quickly

    def count(case: AnswerCase) -> Decision | None:
        decided.append(case.answer)
        return quickly(case)

    monkeypatch.setattr(decision, "decide_quickly", count)
    task, reply = make("verify", readout="json"), say(GOOD["verify"])
    for given in (OPEN, OPEN, row("Shelley.", "shelley")):
        decided.clear()
        sample = sample_of("verify", given)
        requests = task.requests(sample)
        asked = task.decide_by(sample, say("no JSON"))
        assert asked is None
        await task.decide(sample, Ask(reply), requests)
        assert len(decided) == 1
    decided.clear()
    sample = sample_of("verify", OPEN)
    assert task.requests(sample)
    assert task.decide_by(sample, reply)
    assert len(decided) == 1


async def test_a_decision_is_kept_for_one_sample_until_its_verdict(chance) -> None:
    chance[0] = 0.5
    task, sample = make("verify", readout="json"), sample_of("verify", OPEN)
    assert len(task.requests(sample)) == 1
    await task.decide(sample, Ask(say(GOOD["verify"])))
    chance[0] = 0.95
    assert task.requests(sample) == []


# Rows and options.


def test_rows_without_the_new_fields_keep_their_ids() -> None:
    plain = sample_of("verify", row("a", "b"))
    assert plain.id == "2b27a858d43a2c42"
    assert sample_of("verify", row("a", "b") | {"answer_type": None, "choices": None}) == plain
    typed = sample_of("verify", row("a", "b") | {"answer_type": "text"})
    chosen = sample_of("verify", row("a", "b") | {"choices": ["b", "c"]})
    assert len({plain.id, typed.id, chosen.id}) == 3


@pytest.mark.parametrize("more", [{}, {"answer_type": "code"}, {"choices": ["b", "c"]}])
def test_a_sample_becomes_its_row_again(more) -> None:
    given = row("a", "b") | more
    sample = sample_of("verify", given)
    assert isinstance(sample, AnswerSample)
    assert unasked().row_of(sample) == given


async def test_a_rows_own_type_comes_before_the_configured_one() -> None:
    found = row("1,200", "1200") | {"answer_type": "number"}
    assert (await decide(unasked(answer_type="code"), say("?"), row=found)).value == "correct"


def test_the_fingerprint_covers_rules_weights_libraries_and_options(monkeypatch) -> None:
    prints = {unasked().fingerprint, unasked(tolerance=0.1).fingerprint}
    prints.add(unasked(answer_type="text").fingerprint)
    monkeypatch.setattr(decision, "RULES_VERSION", decision.RULES_VERSION + 1)
    prints.add(unasked().fingerprint)
    monkeypatch.setattr(decision, "versions", lambda: {"head": "another"})
    prints.add(unasked().fingerprint)
    assert len(prints) == 5


def test_what_only_a_model_reads_is_refused_without_one() -> None:
    for name, value in {"readout": "json", "votes": 3, "shots": 2, "temperature": 0.0}.items():
        with pytest.raises(ArgumentError, match=f"{name} is for a model"):
            unasked(**{name: value})
    with pytest.raises(ArgumentError, match="answer_type is for the verify judge"):
        JudgeConfig(kind="feedback", answer_type="text")
