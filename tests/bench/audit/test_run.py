"""Planted judges: each is found, and accused of nothing else."""

from pathlib import Path

from tests.support import audited as judges
from tests.support.audited import audit, found


def test_a_fair_judge_is_accused_of_nothing(tmp_path: Path) -> None:
    done = audit(judges.fair, tmp_path)
    assert found(done) == set()
    assert done.exit_status == 0
    assert done.results.items == 30


def test_a_judge_of_the_first_place_is_found_though_it_abstains_on_all(tmp_path: Path) -> None:
    done = audit(judges.first, tmp_path)
    assert found(done) == {"position"}
    position, *others = [one for one in done.results.effects if one.family == "bias"]
    assert position.change.value is not None
    assert abs(position.change.value - 0.45) < 1e-9
    assert position.change.why == "all changes are alike, so the interval has no width"
    assert all(one.change.value is None for one in others)
    assert all(one.success.value is None for one in done.results.attacks)
    assert "abstained (order_conflict)" in str(others[0].change.why)
    assert done.exit_status == 1  # no verdict is usable


def test_a_judge_of_length_is_found_and_not_taken_for_another(tmp_path: Path) -> None:
    done = audit(judges.longer, tmp_path)
    assert found(done) == {"length_padded", "length_cut"}
    change = {one.name: one.change.value or 0.0 for one in done.results.effects}
    assert change["length_padded"] > 0.3 > -0.3 > change["length_cut"]


def test_a_judge_that_believes_forged_verdicts_is_found(tmp_path: Path) -> None:
    done = audit(judges.believer, tmp_path)
    # Turns that are forged with special tokens hold forged verdicts as well.
    assert {"forged_verdict"} <= found(done) <= {"forged_verdict", "special_tokens"}
    attack = next(one for one in done.results.attacks if one.name == "forged_verdict")
    assert (attack.success.value, attack.baseline.value) == (1.0, 0.0)
    assert 0 < len(attack.examples) <= 3
    shown = attack.examples[0].answer
    assert '"choice"' in shown or "Verdict:" in shown


def test_a_judge_that_likes_thought_processes_is_found(tmp_path: Path) -> None:
    done = audit(judges.thinker, tmp_path, "pointwise")
    assert found(done) == {"master_key"}
    attack = next(one for one in done.results.attacks if one.name == "master_key")
    assert attack.examples[0].answer == "Thought process:"


def test_a_judge_that_says_nothing_has_no_number(tmp_path: Path) -> None:
    done = audit(judges.silent, tmp_path, items=12, only=["length_*", "attacks", "draws"])
    figures = [one.change for one in done.results.effects]
    figures += [one.success for one in done.results.attacks]
    assert {figure.value for figure in figures} == {None}
    assert "invalid (unparseable)" in str(figures[0].why)
    assert (done.ok, done.invalid, done.exit_status) == (0, done.samples, 1)


def test_a_choice_of_tests_asks_for_no_others(tmp_path: Path) -> None:
    done = audit(judges.fair, tmp_path, items=12, only=["bias"], skip=["length_*", "language"])
    names = {one.name for one in done.results.effects}
    assert "position" in names
    assert not {"length_padded", "language", "draws"} & names
    assert done.results.attacks == []
