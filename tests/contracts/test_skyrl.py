"""Rewards as environments of SkyRL gym, as it is installed: scripts/contracts skyrl."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

skyrl_gym = pytest.importorskip(
    "skyrl_gym", reason="SkyRL gym is not installed: scripts/contracts skyrl has it"
)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from scripts import docs  # noqa: E402
from skyrl_gym.envs.base_text_env import BaseTextEnv  # noqa: E402
from skyrl_gym.envs.registration import registry  # noqa: E402

from plaudit.integrations.skyrl import as_skyrl_env  # noqa: E402
from plaudit.rewarding.unscored import UnscoredError  # noqa: E402
from tests.support.equality.rows import UNSCORED, Row, Values, asked, without  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Forget what a test registers."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def episode(env_class: Any, answer: str | None, **extras: Any) -> Any:
    """An environment as SkyRL's generator makes it."""
    if "plaudit" not in registry:
        skyrl_gym.register(id="plaudit", entry_point=env_class)
    truth = {"method": "rule", "ground_truth": answer}
    env = skyrl_gym.make("plaudit", env_config={}, extras={"reward_spec": truth, **extras})
    env.init(ASKED)
    return env


def test_real_environments_have_the_values_of_plaudit_score(runs: dict[str, Run]) -> None:
    run = runs["graded"]
    env_class = as_skyrl_env(run.spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        env = episode(env_class, row["answer"])
        env.init(asked(row))
        return without(env.step(row["completion"])["reward"])

    with ThreadPoolExecutor(8) as pool:  # As SkyRL calls it.
        found: Values = list(pool.map(one, run.rows))
    assert run.differences(found) == []


def test_an_episode_ends_with_its_reward() -> None:
    env = episode(as_skyrl_env(RULES, name="sums", when_unscored="error"), "4")
    assert isinstance(env, BaseTextEnv)
    assert env.step("4") == {
        "observations": [],
        "reward": 1.0,
        "done": True,
        "metadata": {"status": "ok", "cause": None, "reason": env.scored.reason},
    }
    assert BaseTextEnv.aggregate_metrics([env.get_metrics()]) == {
        "sums": 1.0,
        "sums/correctness": 1.0,
        "sums/unscored": 0.0,
    }
    env.close()


def test_what_has_no_value_is_an_error_or_the_number_that_was_chosen() -> None:
    with pytest.raises(UnscoredError):
        episode(as_skyrl_env(RULES, when_unscored="error"), None).step("4")
    registry.clear()
    env = episode(as_skyrl_env(RULES, name="sums", when_unscored=-1), None)
    assert env.step("4")["reward"] == -1
    assert env.get_metrics() == {"sums/unscored": 1.0}


def test_an_episode_of_several_turns_is_scored_at_its_end() -> None:
    class Searching(as_skyrl_env(RULES, when_unscored="error")):
        def observe(self, action: str) -> list[Row]:
            searched = action.startswith("search")
            return [{"role": "user", "content": "2 + 2 = 4"}] if searched else []

    env = episode(Searching, "4", max_turns=3)
    first = env.step("search: 2 + 2")
    assert (first["reward"], first["done"], len(first["observations"])) == (0.0, False, 1)
    last = env.step("It is 5.")
    assert (last["reward"], last["done"]) == (0.0, True)  # The result says 4, the model does not.
    env = episode(Searching, "4", max_turns=1)
    assert env.step("search: 2 + 2")["done"]


def test_the_page_shows_what_happens() -> None:
    assert docs.run_page(docs.DOCS / "reference" / "other-trainers.md") == []
