"""Judges that ask the same again, and wordings that are still those of the shipped templates."""

import asyncio
import json
from pathlib import Path

import pytest

from plaudit.bench.audit.noise import DRAWS, repeat_judges
from plaudit.bench.audit.plan import NOISE
from plaudit.bench.audit.wordings import reworded
from plaudit.engines.base import Engine
from plaudit.engines.load import load_engine
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import KINDS, bind
from plaudit.prompts.template import builtin
from tests.support import audited as judges

ALL = frozenset(NOISE)


@pytest.mark.parametrize(
    "name", [f"{kind}.{mode}" for kind in KINDS for mode in ("chat", "completion")]
)
def test_each_shipped_template_has_other_words_and_the_same_parts(name: str) -> None:
    source = builtin(name)
    other = reworded(name, source)
    assert other is not None
    assert other != source
    for part in ("{%", "{{", "[["):
        assert other.count(part) == source.count(part)
    assert reworded(name, "a template of the user") is None


def bound(
    tmp_path: Path, kind: str, reply: dict[str, object], **config: object
) -> tuple[BaseJudge, Engine]:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"match": {}, "replies": [reply]}), encoding="utf-8")
    engine = load_engine(f"scripted:{script}")
    return asyncio.run(bind(JudgeConfig(kind=kind, mode="chat", **config), engine)), engine


def test_a_judge_of_replies_can_be_asked_in_each_way(tmp_path: Path) -> None:
    task, engine = bound(tmp_path, "feedback", {"text": "{}"})
    found, skipped = repeat_judges(task, engine, ALL)
    assert (found.keys(), skipped) == (ALL, {})
    assert len(found["draws"].tasks) == DRAWS
    assert len({one.fingerprint for repeat in found.values() for one in repeat.tasks}) == (
        DRAWS + 4
    )
    reordered = found["option_order"].tasks[0]
    assert [one.label for one in reordered.options] == [one.label for one in task.options][::-1]


def test_what_cannot_be_asked_again_is_named(tmp_path: Path) -> None:
    task, engine = bound(
        tmp_path, "verify", {"text": "right", "logprobs": {"right": -0.1}}, shots=0
    )
    _, skipped = repeat_judges(task, engine, ALL)
    assert skipped == {
        "draws": "the logprob readout draws nothing",
        "option_order": "the prompt lists no options",
        "shots": "the judge has no shots",
    }
    none = load_engine("none:")
    task = asyncio.run(bind(JudgeConfig(kind="verify"), none))
    found, skipped = repeat_judges(task, none, ALL)
    assert not found
    assert set(skipped.values()) == {"this judge has no prompt"}


def test_a_judge_that_draws_lots_flips(tmp_path: Path) -> None:
    turns = iter(range(10**6))

    def dice(prompt: str) -> str:
        del prompt
        return judges.choose(("A++", "B++")[next(turns) // 7 % 2])

    done = judges.audit(dice, tmp_path, items=20, only=["noise"])
    flips = {one.name: one.change.value for one in done.results.effects}
    assert flips.keys() == {"draws", "instructions", "shots"}
    assert any(value and value > 0.1 for value in flips.values())
