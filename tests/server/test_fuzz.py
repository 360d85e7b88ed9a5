"""No body makes the server fail: random JSON at each path is answered or refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import drawn
from tests.support.serving import RULES, serving

NAMES = (
    "prompt", "completion", "messages", "answer", "id", "rows", "group", "deadline", "query",
    "prompts", "labels", "response", "label", "text_1", "text_2", "input", "verify_responses",
    "responses_create_params", "output", "role", "content", "type", "key", "size", "tool_calls",
    "schema", "reward", "model", "question", "metadata", "tokens",
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["user", "assistant", "tool", "message", "42"])
)  # fmt: skip
BODIES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(NAMES[:12], BODIES),
)


def test_no_body_makes_it_fail(tmp_path: Path) -> None:
    statuses: set[int] = set()

    async def ask(bodies: list[Any]) -> None:
        async with serving(RULES, folder=tmp_path, when_unscored="-1") as client:
            api = (await client.get("/openapi.json")).body
            paths = [path.format(name="rewards", kind="verify") for path in api["paths"]]
            for path in paths:
                for body in bodies:
                    data = json.dumps(body).encode("utf-8", "surrogatepass")
                    headers = {"Content-Type": "application/json"}
                    found = await client.post(path, data=data, headers=headers)
                    statuses.add(found.status)
                    assert found.status < 500, (path, body, found.body)

    @settings(max_examples=drawn(12), suppress_health_check=list(HealthCheck))
    @given(st.lists(BODIES | SHAPED, min_size=20, max_size=40))
    def fuzz(bodies: list[Any]) -> None:
        asyncio.run(ask(bodies))

    fuzz()
    assert {200, 400, 404, 405} >= statuses >= {200, 400}
