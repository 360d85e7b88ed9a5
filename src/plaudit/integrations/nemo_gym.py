"""NeMo Gym: plaudit's rewards as a resources server."""

from importlib import import_module
from typing import Any

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import take_choice, value_of
from plaudit.rewarding.responses import UNSCORED, is_verified, row_of_response, verified
from plaudit.rewarding.unscored import UnscoredError


def as_gym_server(
    reward: RewardSource | None = None,
    *,
    when_unscored: str | float | None = None,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
) -> type[Any]:
    """Make a resources server's class for NeMo Gym, a `SimpleResourcesServer`.

    ::

        Quality = as_gym_server("rewards.toml", when_unscored="drop")

        if __name__ == "__main__":
            Quality.run_webserver()

    `/verify` gives the whole request back with `reward`, and with `unscored`, 1 or 0. Fields of the
    request are columns of the row; of `answer`, `reference`, `expected_answer` and `ground_truth`
    the first is the reference. Tools are for a subclass to add.

    Args:
        reward: see `RewardSource`; None: the default specification.
        when_unscored: Gym takes no null, so choose: `drop` marks the answer as one whose judge
            failed, `error` refuses the request, with 422 or 502; or a number.
        name: of the reward; None: its own, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until there is an answer; Gym itself waits for ever.

    Raises:
        UsageError: the specification cannot be used, or nothing was chosen.
        ModuleNotFoundError: nemo-gym is not installed.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    choice = take_choice("NeMo Gym", ("drop", "error", "number"), when_unscored)
    gym = import_module("nemo_gym.base_resources_server")
    base = gym.SimpleResourcesServer
    request, response = (
        type(one.__name__, (one,), {"model_config": {"extra": "allow"}, "__module__": __name__})
        for one in (gym.BaseVerifyRequest, gym.BaseVerifyResponse)
    )

    async def verify(self: Any, body: Any) -> Any:
        del self
        fields: dict[str, Any] = body.model_dump(mode="json")
        (row,) = await adapted.ascore([row_of_response(fields)])
        try:
            value = value_of(row, choice)
        except UnscoredError as error:
            status = 502 if error.may_pass else 422
            raise import_module("fastapi").HTTPException(status, str(error)) from error
        return response.model_validate(fields | verified(row, value))

    async def aggregate_metrics(self: Any, body: Any) -> Any:
        given: list[dict[str, Any]] = body.verify_responses
        kept = [row for row in given if is_verified(row)]
        asked = body.model_copy(update={"verify_responses": kept})
        found = await base.aggregate_metrics(self, asked)
        share = sum(row.get(UNSCORED, 0.0) for row in given) / max(1, len(given))
        own = {f"mean/{UNSCORED}": share}
        return found.model_copy(
            update={
                "agent_metrics": {**found.agent_metrics, **own},
                "key_metrics": {**found.key_metrics, **own},
            }
        )

    # What FastAPI reads to parse the requests.
    verify.__annotations__ = {"body": request, "return": response}
    aggregate_metrics.__annotations__ = dict(base.aggregate_metrics.__annotations__)
    methods = {"verify": verify, "aggregate_metrics": aggregate_metrics, "__module__": __name__}
    return type("PlauditResourcesServer", (base,), methods)
