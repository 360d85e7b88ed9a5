"""A cached prompt is used again only where that changes no number."""

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.llama_reuse import Reuse
from plaudit.engines.load import load_engine
from plaudit.types import Message

ONCE = Sampling(max_tokens=1)
CHAT = (Message("system", "Be short."), Message("user", "Where is the hut?"))


def reuse(**fields: bool) -> Reuse:
    made = Reuse(longest_token=4)
    made.allowed = True
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def texts(*prompts: str) -> list[Request]:
    return [Request(prompt=prompt, sampling=ONCE) for prompt in prompts]


def ids(*prompts: tuple[int, ...]) -> list[Request]:
    return [Request(prompt="", prompt_ids=prompt, sampling=ONCE) for prompt in prompts]


def chats(*prompts: tuple[Message, ...]) -> list[Request]:
    return [Request(prompt=prompt, sampling=ONCE) for prompt in prompts]


@pytest.mark.parametrize(
    ("requests", "may"),
    [
        (texts("shots one", "shots others"), True),
        (texts("shots one", "shots one"), False),
        (texts("shots one", "shots one and more"), False),
        (texts("shots one", "shots o"), False),
        (texts("shots one", "shots of"), False),  # It may be one token.
        (ids((1, 2, 3), (1, 2, 4, 5)), True),
        (ids((1, 2, 3), (1, 2, 4)), False),
        (ids((1, 2, 3), (1, 2, 3, 4, 5)), False),
        (ids((1, 2, 3), (1, 2)), False),
        (chats(CHAT, (CHAT[0], Message("user", "Who built it?"))), True),
        (chats(CHAT, CHAT), False),
        (chats(CHAT, (*CHAT, Message("assistant", "There."), Message("user", "No."))), False),
        ([*texts("shots one"), *ids((1, 2, 3))], False),
    ],
)
def test_defect_24_what_was_sampled_and_whole_prompts_are_computed_again(
    requests: list[Request], may: bool
) -> None:
    made = reuse()
    assert [made.for_request(request) for request in requests] == [False, may]
    assert all(reuse(exact=False).for_request(request) for request in requests)
    assert not any(reuse(allowed=False).for_request(request) for request in requests)


async def test_defect_24_prefix_off_changes_no_number(local_weights) -> None:
    prompt, more = tuple(range(300, 340)), tuple(range(400, 414))
    seen = []
    for option in ("auto", "off"):
        engine = load_engine(f"local?context=512&threads=1&prefix={option}")
        first = await engine.complete(
            Request(
                prompt="", prompt_ids=prompt, sampling=Sampling(max_tokens=30), trace_tokens=True
            )
        )
        assert first.token_ids is not None
        second = await engine.complete(
            Request(
                prompt="",
                prompt_ids=(*prompt, *first.token_ids, *more),
                sampling=Sampling(max_tokens=5),
                trace_tokens=True,
            )
        )
        seen.append((first, second))
        await engine.close()
    assert seen[0] == seen[1]
