"""What a report measures is what the pairs are, counted here in the plainest way."""

import random
from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from plaudit.preferences.report.collecting import PairReport
from plaudit.preferences.rows import preferences
from plaudit.preferences.types import Candidate, PairOptions, Preference, Tally
from tests.preferences.report.measured import candidates, report_of, turns


def some(number: int, seed: int = 1) -> list[list[Candidate]]:
    """Examples of a few candidates, of which the longer are the better by and large."""
    draw = random.Random(seed)
    found: list[list[Candidate]] = []
    for n in range(number):
        texts = ["x" * draw.randrange(1, 300) for _ in range(draw.choice((2, 3, 5)))]
        scored = [(text, round(draw.gauss(len(text) / 200, 1), 1)) for text in texts]
        found.append(candidates(f"e{n}", scored))
    return found


def rows(many: list[list[Candidate]]) -> list[Preference]:
    options = PairOptions()
    return [row for turn in turns(many, Tally()) for row in preferences(turn, options)]


def test_the_numbers_are_those_of_the_rows() -> None:
    many = some(400)
    found = report_of(many)
    pairs = rows(many)
    margins = np.array([row.margin for row in pairs])
    longer = np.array([len(bytes(r.chosen)) - len(bytes(r.rejected)) for r in pairs])
    assert found.pairs == len(pairs) > 1_000
    assert found.margins is not None
    assert found.lengths is not None
    assert found.weights is not None
    assert found.margins.mean == pytest.approx(margins.mean())
    assert (found.margins.least, found.margins.most) == (margins.min(), margins.max())
    assert found.margins.quantiles["25"] == pytest.approx(np.quantile(margins, 0.25))
    assert found.margins.drawn is None
    assert sum(found.margins.counts) == len(pairs)
    sides = (found.lengths.longer, found.lengths.shorter, found.lengths.equal)
    assert sides == ((longer > 0).sum(), (longer < 0).sum(), (longer == 0).sum())
    assert found.lengths.difference.mean == pytest.approx(longer.mean())
    assert found.lengths.difference.quantiles["50"] == pytest.approx(np.median(longer))
    assert found.lengths.correlation == pytest.approx(np.corrcoef(margins, longer)[0, 1])
    assert found.lengths.chosen_mean == pytest.approx(
        np.mean([len(bytes(row.chosen)) - 2 for row in pairs])
    )
    assert sum(one.longer + one.shorter for one in found.lengths.bins) == (longer != 0).sum()
    for one in found.lengths.bins:
        assert one.longer == ((one.least <= longer) & (longer <= one.most)).sum()
    per_example = Counter(row.example_id for row in pairs)
    assert found.weights.examples.value == len(per_example)
    assert found.weights.examples.exact
    assert found.weights.mean == pytest.approx(np.mean(list(per_example.values())))
    assert found.weights.quantiles["100"] == max(per_example.values())
    heaviest = {one.example_id: one.pairs for one in found.weights.heaviest}
    assert sorted(heaviest.values()) == sorted(per_example.values())[-10:]
    assert all(per_example[id_] == count for id_, count in heaviest.items())


def test_pairs_one_by_one_give_the_same_numbers() -> None:
    many = some(50)
    tally, one_by_one, by_turn = Tally(), PairReport(3), PairReport(3)
    for turn in turns(many, tally):
        by_turn.add_turn(turn)
    for row in rows(many):
        one_by_one.add(row)
    assert one_by_one.finish(tally) == by_turn.finish(tally)


def test_batches_change_nothing() -> None:
    many = some(300)
    whole = report_of(many)
    assert report_of(many, batch=7) == whole


def test_a_length_bias_is_said_and_the_lack_of_one_too() -> None:
    longer = [candidates(n, [("xxxx", 1.0), ("x", 0.0)]) for n in range(80)]
    shorter = [candidates(n, [("xxxx", 0.0), ("x", 1.0)]) for n in range(80, 160)]
    biased, inverse, even = report_of(longer), report_of(shorter), report_of([*longer, *shorter])
    assert biased.lengths is not None
    assert inverse.lengths is not None
    assert even.lengths is not None
    assert [r.lengths.bias for r in (biased, inverse, even) if r.lengths] == [
        "longer", "shorter", "none",
    ]  # fmt: skip
    assert "longer one in 100.0% of the pairs" in biased.lengths.statement
    assert "--balance length" in biased.lengths.statement
    assert "only 0.0%" in inverse.lengths.statement
    assert even.lengths.statement.startswith("No length bias can be shown")


def test_pairs_of_one_example_are_no_evidence_of_a_bias() -> None:
    texts = [("x" * n, n / 10) for n in range(1, 40)]
    found = report_of([candidates("only", texts)])
    assert found.lengths is not None
    assert found.lengths.longer == found.pairs == 741
    assert found.lengths.longer_share is not None
    assert found.lengths.longer_share.low < 0.25
    assert found.lengths.bias == "none"


def test_a_bias_too_slight_to_matter_is_called_slight() -> None:
    sides = [n % 100 < 53 for n in range(8_000)]
    many = [candidates(n, [("xxxx", float(up)), ("x", 0.5)]) for n, up in enumerate(sides)]
    found = report_of(many)
    assert found.lengths is not None
    assert found.lengths.bias == "slight"


def test_equal_lengths_are_unknown() -> None:
    found = report_of([candidates("a", [("xx", 1.0), ("yy", 0.0)])])
    assert found.lengths is not None
    assert found.lengths.bias == "unknown"
    assert found.lengths.longer_share is None
    assert found.lengths.correlation is None


def test_duplicates_are_counted_whatever_their_spelling() -> None:
    many = [
        candidates("a", [("one", 1.0), ("two", 0.0)], prompt="same"),
        candidates("b", [(" one", 1.0), ("two ", 0.5)], prompt="same "),
        candidates("c", [("two", 1.0), ("one", 0.0)], prompt="same"),
        candidates("d", [("one", 1.0), ("two", 0.0)], prompt="other"),
        candidates("d", [("one", 1.0), ("two", 0.0)], prompt="other"),
    ]
    found = report_of(many)
    assert found.duplicates is not None
    assert found.duplicates.repeated_pairs.value == 2
    assert found.duplicates.prompts.value == 2
    assert found.duplicates.shared_prompts.value == 1


def test_weights_tell_equal_from_unequal() -> None:
    even = report_of([candidates(n, [("a", 1.0), ("b", 0.0)]) for n in range(200)]).weights
    assert even is not None
    assert even.gini == pytest.approx(0, abs=1e-9)
    assert even.top_share == pytest.approx(0.01)
    one = candidates("heavy", [(f"{n}", float(n)) for n in range(50)])
    found = report_of([one, *(candidates(n, [("a", 1.0), ("b", 0.0)]) for n in range(99))]).weights
    assert found is not None
    assert found.top_share == pytest.approx(1225 / (1225 + 99))
    assert found.gini > 0.9
    assert (found.heaviest[0].example_id, found.heaviest[0].pairs) == ("heavy", 1225)
    assert (found.curve[0], found.curve[100]) == (0, pytest.approx(1))
    assert all(a <= b + 1e-12 for a, b in pairwise(found.curve))


@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: {"fields": f}, lambda f: {"verdict": {"fields": f}}]
)
def test_the_agreement_of_both_orders_is_read_from_metadata(wrap: object) -> None:
    def metadata(gap: object, first: str, second: str) -> object:
        assert callable(wrap)
        return wrap({"order_gap": gap, "orders": [{"value": first}, {"value": second}]})

    two = [("xx", 1.0), ("y", 0.0)]
    many = [
        candidates("a", two, metadata=metadata(0.1, "A", "A")),
        candidates("b", two, metadata=metadata(0.5, "A", "A=B")),
        candidates("c", two, metadata={"order_gap": 0.3}),
        candidates("d", two, metadata={"order_gap": "wide"}),
        candidates("e", two, metadata={"text": '"order_gap"'}),
        candidates("f", two),
    ]
    orders = report_of(many).orders
    assert orders is not None
    assert (orders.pairs, orders.reported, orders.agree) == (3, 2, 1)
    assert orders.gap.mean == pytest.approx(0.3)
    assert (orders.gap.least, orders.gap.most) == (0.1, 0.5)


def test_without_such_metadata_nothing_is_said_of_orders() -> None:
    assert report_of(some(5)).orders is None


def test_shown_pairs_are_drawn_by_the_seed_from_all() -> None:
    many = some(200)
    first, again, other = (report_of(many, seed).shown for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 6
    drawn = [one.example_id for seed in range(60) for one in report_of(many[:50], seed).shown]
    assert len(set(drawn)) > 40


def test_pairs_without_a_margin_count_for_all_but_margins() -> None:
    many, report, scored = some(60), PairReport(), PairReport()
    for n, row in enumerate(rows(many)):
        report.add(msgspec.structs.replace(row, margin=None if n % 2 else row.margin))
        if n % 2 == 0:
            scored.add(row)
    found, known = report.finish(), scored.finish()
    whole = report_of(many)
    assert found.margins is not None
    assert found.margins == known.margins
    assert found.lengths is not None
    assert known.lengths is not None
    assert whole.lengths is not None
    assert found.lengths.correlation == pytest.approx(known.lengths.correlation)
    assert (found.pairs, found.lengths.bins) == (whole.pairs, whole.lengths.bins)
    assert (found.duplicates, found.weights) == (whole.duplicates, whole.weights)
    assert {one.margin is None for one in found.shown} == {True, False}


def test_without_any_margin_there_is_no_section_of_margins() -> None:
    report = PairReport()
    for row in rows(some(20)):
        report.add(msgspec.structs.replace(row, margin=None))
    found = report.finish()
    assert found.margins is None
    assert found.lengths is not None
    assert found.lengths.correlation is None


def test_nothing_is_a_report_too() -> None:
    found = PairReport().finish(Tally(candidates=3, dropped={"empty": 3}))
    assert found.pairs == 0
    assert found.margins is found.lengths is found.duplicates is found.weights is None
    assert found.tally is not None


@pytest.mark.parametrize("scores", [(8e307, -8e307), (1e-8, 0.0), (1e17 + 2e6, 1e17)])
def test_scores_at_the_ends_of_floats(scores: tuple[float, float]) -> None:
    found = report_of([candidates(n, [("xx", scores[0]), ("y", scores[1])]) for n in range(3)])
    assert found.margins is not None
    assert sum(found.margins.counts) == 3
    assert np.isfinite(found.margins.mean)


@pytest.mark.parametrize("margin", [float("inf"), 5e-324, 16.0])
def test_margins_at_the_ends_of_floats(margin: float) -> None:
    """Pairs of other makers may have any."""
    report = PairReport()
    for row in rows(some(3)):
        report.add(msgspec.structs.replace(row, margin=margin))
    found = report.finish()
    assert found.margins is not None
    assert sum(found.margins.counts) == found.pairs
    assert np.isfinite(found.margins.mean)


def test_candidates_of_any_number_are_measured() -> None:
    one = candidates("a", [("xx", 1.0), ("y", 0.0)])
    far = [msgspec.structs.replace(c, index=10**400 + n) for n, c in enumerate(one)]
    assert report_of([far]).pairs == 1


def test_pairs_in_any_order_and_with_repeated_indices_give_the_same_numbers() -> None:
    pairs = [
        msgspec.structs.replace(row, chosen_index=0, rejected_index=0) for row in rows(some(80))
    ]
    found = report_of(some(80))
    random.Random(1).shuffle(pairs)
    report = PairReport()
    for row in pairs:
        report.add(row)
    mixed = report.finish()
    assert mixed.lengths is not None
    assert found.lengths is not None
    assert mixed.duplicates == found.duplicates
    assert mixed.lengths.bins == found.lengths.bins
    assert mixed.lengths.longer_share == found.lengths.longer_share
    assert mixed.weights is not None
    assert found.weights is not None
    assert mixed.weights.curve == found.weights.curve


def test_defect_38_no_trend_is_stated_from_few_examples() -> None:
    texts = [("x" * (n * n), n / 10) for n in range(1, 7)]
    for count in (1, 2, 9):
        found = report_of([candidates(n, texts) for n in range(count)])
        assert found.lengths is not None
        assert found.lengths.correlation is not None
        assert found.lengths.correlation > 0.9
        assert found.lengths.bias == "none"
        assert found.lengths.statement.startswith("No length bias can be shown")
        assert "wider the margin" not in found.lengths.statement
    found = report_of([candidates(n, texts) for n in range(40)])
    assert found.lengths is not None
    assert found.lengths.bias == "longer"
    assert "The wider the margin, the longer" in found.lengths.statement


def test_defect_38_no_trend_is_stated_where_one_example_has_nearly_all_pairs() -> None:
    many = [candidates("heavy", [("x" * (n * n), n / 10) for n in range(1, 40)])]
    many += [candidates(n, [("xx", 1.0), ("yy", n / 40)]) for n in range(20)]
    found = report_of(many)
    assert found.lengths is not None
    assert found.lengths.correlation is not None
    assert found.lengths.correlation > 0.8
    assert "wider the margin" not in found.lengths.statement
