"""The table `[watch]`: what it takes, and how it refuses."""

import json
import re
from pathlib import Path

import pytest

from plaudit.errors import UsageError
from plaudit.server.spec import load_spec
from plaudit.server.watch.plan import WatchPlan, make_watch
from tests.support.serving import RULES

SERVED = (
    '[serve.sums]\nrewards = "r.toml"\n'
    '[serve.good]\njudge = "pointwise"\nengine = "none:"\nreadout = "json"\n'
)
ROW = {"prompt": "2 + 2?", "completion": "4", "answer": "4", "right": True}


def plan(folder: Path, watch: str, *rows: object, served: str = SERVED) -> WatchPlan | None:
    (folder / "r.toml").write_text(RULES)
    (folder / "known.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "serve.toml").write_text(served + watch)
    return make_watch(load_spec(folder / "serve.toml"))


def test_what_is_watched(tmp_path: Path) -> None:
    assert plan(tmp_path, "") is None
    found = plan(tmp_path, '[watch]\nrows = { sums = "known.jsonl" }\nevery = 60\n', ROW)
    assert found is not None
    assert {name: (one.paid_above, len(one.known)) for name, one in found.rewards.items()} == {
        "sums": (0.5, 1),
        "good": (0.5, 0),
    }
    assert (found.options.every, found.options.window) == (60, 12)
    only = plan(tmp_path, '[watch]\nrewards = ["good"]\npaid = 0.7\n')
    assert only is not None
    assert {name: one.paid_above for name, one in only.rewards.items()} == {"good": 0.7}


@pytest.mark.parametrize(
    ("watch", "problem"),
    [
        ("[watch]\nevry = 5\n", "[watch]: there is no option 'evry' (did you mean 'every'"),
        ("[watch]\nevery = 0\n", "[watch]: every must be"),
        ("[watch]\nprobes = 1001\n", "probes must be in 1..1000"),
        ("[watch]\nallowed = 1\n", "allowed must be at least 0 and less than 1"),
        ("[watch]\nwindow = 'long'\n", "window"),
        ("[watch]\ncheats = [' ']\n", "cheats: an empty text"),
        ("[watch]\nrewards = ['sum']\n", "rewards: there is no reward 'sum' (did you mean 'sums'"),
        ("[watch.paid]\ngod = 1\n", "paid: there is no reward 'god' (did you mean 'good'"),
        ("[watch]\nrows = 'none.jsonl'\n", "none.jsonl: no such file"),
        ("[watch.rows]\nsums = 'known.jsonl'\n", "known.jsonl"),
    ],
)
def test_what_is_refused(tmp_path: Path, watch: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)) as raised:
        plan(tmp_path, watch)
    assert "serve.toml" in str(raised.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "a", "completion": "b"}, "needs one of right, value, label, and has none"),
        (ROW | {"value": 1}, "and has right and value"),
        (ROW | {"right": "yes"}, "'right' must be true or false"),
        ({"prompt": "a", "completion": "b", "value": True}, "'value' must be a finite number"),
        ({"prompt": "a", "completion": "b", "label": "x"}, "'label' is for judges"),
        ({"prompt": "a", "right": True}, "a row needs 'prompt' and 'completion'"),
        ([1], "known.jsonl:2"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: object, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)) as raised:
        plan(tmp_path, "[watch.rows]\nsums = 'known.jsonl'\n", ROW, row)
    assert "known.jsonl:2" in str(raised.value)


def test_rows_of_judges_are_checked_in_their_form(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Name a river.", "response": "The Nile.", "label": 9},
        {"prompt": "Name a river.", "completion": "The Nile.", "right": True},
    ]
    found = plan(tmp_path, "[watch.rows]\ngood = 'known.jsonl'\n", *rows)
    assert found is not None
    assert [one.label for one in found.rewards["good"].known] == [9, None]
    with pytest.raises(UsageError, match=r"known\.jsonl:3: "):
        plan(
            tmp_path, "[watch.rows]\ngood = 'known.jsonl'\n", *rows, {"prompt": "a", "right": True}
        )


def test_a_reward_without_a_known_top_needs_paid(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def own(trace):\n    return 7.0\n")
    (tmp_path / "own.toml").write_text('[rewards.own]\nfunction = "own.py:own"\n')
    served = '[serve.own]\nrewards = "own.toml"\n'
    with pytest.raises(UsageError, match=re.escape("give paid = { own = NUMBER }")):
        plan(tmp_path, "[watch]\n", served=served)
    found = plan(tmp_path, "[watch]\npaid = 3.5\n", served=served)
    assert found is not None
    assert found.rewards["own"].paid_above == 3.5
