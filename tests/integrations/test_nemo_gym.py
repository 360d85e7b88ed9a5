"""A resources server of NeMo Gym, on a stand-in for its base class."""

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.nemo_gym import as_gym_server
from tests.support.rl_peers import GYM_CALL, Body, HTTPException, gym_body, gym_text, standing_in

RULES = {"rewards": {"correctness": {"by": "rules"}}}


@pytest.fixture(autouse=True)
def peers():
    with standing_in():
        yield


async def verify(choice: Any, body: dict[str, Any]) -> dict[str, Any]:
    server = as_gym_server(RULES, when_unscored=choice)()
    return vars(await server.verify(Body(**body)))


async def test_the_request_comes_back_with_its_reward() -> None:
    body = gym_body(gym_text("4"), expected_answer="4", _ng_task_index=0)
    assert await verify("error", body) == body | {"reward": 1.0, "unscored": 0.0}
    ended = gym_body(*GYM_CALL, expected_answer="5")
    assert (await verify("error", ended))["reward"] == 0.0  # A tool's result is no answer.
    answered = gym_body(*GYM_CALL, gym_text("It is 5."), ground_truth="5")
    assert (await verify("error", answered))["reward"] == 1.0


async def test_a_row_without_a_value_is_marked() -> None:
    found = await verify("drop", gym_body(gym_text("4")))
    assert (found["reward"], found["unscored"]) == (0.0, 1.0)
    assert (found["mask_sample"], found["_ng_failure_class"]) == (True, "judge_failed")
    assert "no_reference" in found["_ng_failure_judge_error"]
    numbered = await verify(-1, gym_body(gym_text("4")))
    assert (numbered["reward"], numbered["unscored"]) == (-1.0, 1.0)
    assert "mask_sample" not in numbered


async def test_an_error_is_an_answer_of_http() -> None:
    with pytest.raises(HTTPException, match="no_reference") as raised:
        await verify("error", gym_body(gym_text("4")))
    assert raised.value.status_code == 422


async def test_metrics_leave_marked_rows_out_and_count_them() -> None:
    server = as_gym_server(RULES, when_unscored="drop")()
    right = vars(await server.verify(Body(**gym_body(gym_text("4"), answer="4"))))
    lost = vars(await server.verify(Body(**gym_body(gym_text("4")))))
    found = await server.aggregate_metrics(Body(verify_responses=[right, lost]))
    assert found.agent_metrics == {"mean/reward": 1.0, "mean/unscored": 0.5}
    assert found.key_metrics == found.agent_metrics
    none = await server.aggregate_metrics(Body(verify_responses=[lost]))
    assert none.agent_metrics == {"mean/unscored": 1.0}


@pytest.mark.parametrize("given", [None, "null", "group-mean"])
def test_a_choice_is_required(given: Any) -> None:
    with pytest.raises(UsageError, match="NeMo Gym"):
        as_gym_server(RULES, when_unscored=given)
