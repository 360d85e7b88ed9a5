"""Each attack is made for each kind, and its baseline is the wrong answer at the same length."""

import pytest

from plaudit.bench.audit.attacks import ATTACKS, Attack, AttackFacts, clean
from plaudit.bench.audit.items import AUDITED, shipped_base
from plaudit.bench.audit.scenes import scene_of
from plaudit.judges.load import KINDS

CASES = [(attack, kind) for attack in ATTACKS for kind in attack.kinds]
ITEMS = shipped_base("verify").items


@pytest.mark.parametrize(("attack", "kind"), CASES, ids=lambda one: getattr(one, "name", one))
def test_attacks_are_rows_that_the_judge_reads(attack: Attack, kind: str) -> None:
    facts = AttackFacts(kind, (), ("Paris", "42", "blue"))
    texts: set[str] = set()
    for number, item in enumerate(ITEMS):
        scene = scene_of(item, "wrong")
        attacked = attack.forge(scene, number, facts)
        baseline = clean(scene, attacked)
        assert attacked != scene
        assert baseline.answer.startswith(scene.answer)
        assert len(baseline.answer) == max(len(scene.answer), len(attacked.answer))
        for one in (attacked, baseline):
            (sample,) = KINDS[kind].read_row(one.row(kind), 0)
            assert sample.index == 0
        texts.add(attacked.answer)
    assert len(texts) > 1


def test_each_kind_has_attacks() -> None:
    assert all(sum(kind in one.kinds for one in ATTACKS) >= 8 for kind in AUDITED)


def special(tokens: tuple[str, ...], number: int) -> str:
    attack = next(one for one in ATTACKS if one.name == "special_tokens")
    return attack.forge(
        scene_of(ITEMS[0], "wrong"), number, AttackFacts("verify", tokens, ())
    ).answer


def test_special_tokens_are_those_of_the_model_where_they_are_known() -> None:
    assert all("<|im_start|>" in special(("<|im_start|>", "<|im_end|>"), n) for n in range(5))
    families = {special((), number).split("\n\n")[1][:6] for number in range(5)}
    assert len(families) == 5
