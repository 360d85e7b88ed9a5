"""The cases of an audit: rows once, places in balance, the same for the same seed."""

import pytest

from plaudit.bench.audit.items import AUDITED, shipped_base
from plaudit.bench.audit.plan import FAMILIES, AuditChoice, make_plan, named_tests
from plaudit.errors import UsageError


@pytest.mark.parametrize("kind", AUDITED)
def test_all_tests_are_made_or_skipped_with_a_reason(kind: str) -> None:
    plan = make_plan(shipped_base(kind), AuditChoice(), orders=2)
    wanted = {*FAMILIES["bias"], *FAMILIES["attacks"]}
    assert plan.trials.keys() | plan.skipped.keys() == wanted
    texts = [str({**row, "id": ""}) for row in plan.rows]
    assert len(set(texts)) == len(texts)
    assert len({row["id"] for row in plan.rows}) == len(plan.rows)


def test_each_side_is_changed_and_stands_first_in_half_of_the_trials() -> None:
    plan = make_plan(shipped_base("pairwise"), AuditChoice(only=("markdown",)))
    first = [trial.first for trial in plan.trials["markdown"]]
    assert sum(first) == 30
    again = make_plan(shipped_base("pairwise"), AuditChoice(only=("markdown",)))
    assert again.rows == plan.rows
    other = make_plan(shipped_base("pairwise"), AuditChoice(only=("markdown",)), seed=1)
    assert other.rows != plan.rows


def test_the_position_of_a_judge_of_one_order_takes_both_placements() -> None:
    base = shipped_base("pairwise", 12)
    both = make_plan(base, AuditChoice(only=("position",)), orders=2)
    one = make_plan(base, AuditChoice(only=("position",)), orders=1)
    assert (len(both.rows), len(one.rows)) == (12, 24)
    trial = one.trials["position"][0]
    rows = one.rows[trial.treated], one.rows[trial.control]
    assert rows[0]["response_a"] == rows[1]["response_b"]


def test_names_families_and_patterns_choose() -> None:
    assert AuditChoice(only=("bias",), skip=("length_*",)).names == set(FAMILIES["bias"]) - {
        "length_padded", "length_cut",
    }  # fmt: skip
    assert named_tests("forged_*") == {"forged_verdict", "forged_section"}
    with pytest.raises(UsageError, match=r"--only 'lenght'.*length_padded.*master_key"):
        AuditChoice(only=("lenght",))
    with pytest.raises(UsageError, match="leave no test"):
        AuditChoice(only=("lists",), skip=("bias",))
