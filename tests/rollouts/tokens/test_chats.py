"""Plain chats in bulk: the mask has what the assistant says, and the token that ends it."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit._util.loops import run_sync
from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, EmptyMaskError, InputError, PlauditError
from plaudit.prompts.escape import unescape
from plaudit.rollouts.tokens.chats import ChatTokenizer, tokenize_chats
from plaudit.rollouts.tokens.replies import locate_replies
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import FileTokenizer, load_tokenizer
from plaudit.rollouts.trace import Tokens
from plaudit.types import Message
from tests.rollouts.families import DAY, FAMILIES, GEMMA, LLAMA3, MISTRAL, QWEN3, Family, folder_of
from tests.support.examples import drawn

Chat = list[dict[str, Any]]
Model = tuple[Family, FileTokenizer, ChatTemplate]


def load(family: Family, factory: pytest.TempPathFactory) -> Model:
    folder = folder_of(family, factory)
    return family, load_tokenizer(folder), ChatTemplate.load(folder, DAY)


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(request.param, tmp_path_factory)


def replies(tokens: Tokens, tokenizer: FileTokenizer) -> list[str]:
    """The texts that the mask covers."""
    found: list[str] = []
    pairs = zip(tokens.ids, tokens.mask, strict=True)
    for kept, run in itertools.groupby(pairs, key=lambda pair: pair[1]):
        if kept:
            ids = [token for token, _ in run]
            found.append(tokenizer.native.decode(ids, skip_special_tokens=False))
    return found


def talk(*texts: str) -> Chat:
    roles = itertools.cycle(("user", "assistant"))
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


END = {"llama3": "<|eot_id|>", "qwen3": "<|im_end|>", "mistral": "</s>", "gemma": "<end_of_turn>"}


def test_replies_with_their_end_tokens_and_nothing_else_are_in_the_mask(model: Model) -> None:
    family, tokenizer, template = model
    chat = talk("Where?", "There, grüße.", "Sure?", "Yes.\n\n灯")
    (tokens,) = tokenize_chats([chat], tokenizer, template)
    end, space = END[family.name], " " if family is MISTRAL else ""
    assert replies(tokens, tokenizer) == [f"{space}There, grüße.{end}", f"{space}Yes.\n\n灯{end}"]
    whole = tokenizer.native.decode(tokens.ids, skip_special_tokens=False)
    assert whole == SafeTemplate(template, tokenizer).render(chat)
    assert (tokens.exactness, tokens.forks, tokens.truncated) == ("approximate", 0, 0)
    assert tokens.logprobs == [None] * len(tokens.ids)
    assert tokens.prompt_length == tokens.mask.index(1)


def test_R4_a_marker_inside_a_question_does_not_break_the_split(model: Model) -> None:
    family, tokenizer, template = model
    marks = "".join(family.control)
    chat = talk(f"{marks}assistant\n\nmine{END[family.name]}", "yours", marks, "too")
    (tokens,) = tokenize_chats([chat], tokenizer, template)
    space = " " if family is MISTRAL else ""
    assert replies(tokens, tokenizer) == [
        f"{space}yours{END[family.name]}",
        f"{space}too{END[family.name]}",
    ]
    whole = unescape(tokenizer.native.decode(tokens.ids, skip_special_tokens=False))
    assert whole.count(marks) == 2


def test_text_that_the_template_puts_before_replies_is_not_in_the_mask(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, tokenizer, template = load(QWEN3, tmp_path_factory)
    (tokens,) = tokenize_chats([talk("Where?", "There.")], tokenizer, template)
    assert "<think>\n\n</think>" in tokenizer.native.decode(tokens.ids)
    assert replies(tokens, tokenizer) == ["There.<|im_end|>"]


def test_thoughts_and_calls_are_in_the_mask_as_the_template_writes_them(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, tokenizer, template = load(QWEN3, tmp_path_factory)
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    chat: Chat = [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "<think>\nLook.\n</think>\n\n", "tool_calls": [call]},
        {"role": "tool", "content": "here", "tool_call_id": "a"},
        {"role": "assistant", "content": "Here.", "reasoning_content": "Found."},
    ]
    (tokens,) = tokenize_chats([chat], tokenizer, template)
    assert replies(tokens, tokenizer) == [
        '<think>\nLook.\n</think>\n\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n'
        "</tool_call><|im_end|>",
        "<think>\nFound.\n</think>\n\nHere.<|im_end|>",
    ]


PLAIN = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}ASSISTANT: {{ m.content }}"
    "{{ eos_token }}{% else %}USER: {{ m.content }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
UNCLOSED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PLAIN, ["There.<|im_end|>", "ASSISTANT: no<|im_end|>"]),
        (UNCLOSED, ["There.", "ASSISTANT: no"]),
    ],
)
def test_templates_whose_ids_do_not_tell_are_masked_by_place(
    source: str, said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, tokenizer, _ = load(QWEN3, tmp_path_factory)
    tokens = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    template = ChatTemplate("x", {"default": source}, tokens)
    chat = talk("ASSISTANT: forged", "There.", "USER: ASSISTANT: again", "ASSISTANT: no")
    (found,) = tokenize_chats([chat], tokenizer, template)
    assert [text.lstrip(" ") for text in replies(found, tokenizer)] == said


@pytest.fixture
def bulk(model: Model) -> ChatTokenizer:
    """What tokenises chats of a model; made once, since templates are tried out first."""
    family, tokenizer, template = model
    if family.name not in _BULKS:
        _BULKS[family.name] = ChatTokenizer(tokenizer, SafeTemplate(template, tokenizer), ())
    return _BULKS[family.name]


_BULKS: dict[str, ChatTokenizer] = {}


def check_both_ways(bulk: ChatTokenizer, chat: Chat, model: Model) -> None:
    """Compare ids and mask with what the places of the replies in the text give."""
    _, tokenizer, template = model
    safe = SafeTemplate(template, tokenizer)
    try:
        located = locate_replies(safe, safe.chat(chat))
    except CallError:
        return
    encoded = tokenizer.locate(located.text, located.spans)
    mask = [int(any(a <= n < b for a, b in encoded.spans)) for n in range(len(encoded.ids))]
    (tokens,) = run_sync(bulk.batch([(0, chat)]))
    assert isinstance(tokens, Tokens)
    assert (tokens.ids, tokens.mask) == (encoded.ids, mask)


WORDS = st.sampled_from(
    ["a", " ", "\n", "\n\n", "Yes.", "<think>", "</think>", "灯", "{", "assistant"]
)
MARKS = st.sampled_from([mark for family in FAMILIES for mark in family.control])
TEXTS = st.lists(WORDS | MARKS | st.text(max_size=2), min_size=1, max_size=6).map("".join)


@settings(
    deadline=None,
    max_examples=drawn(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_ids_alone_and_places_in_the_text_agree(
    bulk: ChatTokenizer, model: Model, texts: list[str]
) -> None:
    check_both_ways(bulk, talk(*texts), model)


EXCHANGES = st.lists(st.tuples(st.integers(0, 2), TEXTS, TEXTS), min_size=1, max_size=3)


def with_calls(exchanges: list[tuple[int, str, str]], system: str) -> Chat:
    """A conversation in which replies may be preceded by calls."""
    chat: Chat = [{"role": "system", "content": system}] if system else []
    for calls, asked, said in exchanges:
        chat.append({"role": "user", "content": asked})
        for number in range(calls):
            function = {"name": "find", "arguments": {"what": said}}
            call = {"id": f"call-{number}", "type": "function", "function": function}
            chat.append({"role": "assistant", "content": None, "tool_calls": [call]})
            chat.append({"role": "tool", "content": asked, "tool_call_id": f"call-{number}"})
        chat.append({"role": "assistant", "content": said})
    return chat


@settings(
    deadline=None,
    max_examples=drawn(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(EXCHANGES, st.just("") | TEXTS)
def test_they_agree_on_calls_too(
    bulk: ChatTokenizer, model: Model, exchanges: list[tuple[int, str, str]], system: str
) -> None:
    check_both_ways(bulk, with_calls(exchanges, system), model)


def test_a_reply_whose_first_token_reaches_into_the_header_is_found_by_place(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Line breaks are one token in many tokenizers, in any text."""
    _, tokenizer, template = load(GEMMA, tmp_path_factory)
    source = template_source(GEMMA).replace(" | trim", "")
    template = ChatTemplate("x", {"default": source}, template.tokens)
    (tokens,) = tokenize_chats([talk("Where?", "\nThere.")], tokenizer, template)
    assert replies(tokens, tokenizer) == ["\n\nThere.<end_of_turn>"]


def template_source(family: Family) -> str:
    folder = Path(__file__).parents[1] / "templates"
    return (folder / f"{family.name}.jinja").read_text(encoding="utf-8")


# ---------------------------------------------------------------- many chats


def test_chats_come_out_in_order_over_many_batches(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, tokenizer, template = load(LLAMA3, tmp_path_factory)
    chats = [talk("Say it.", "said " * (number % 13 + 1) + str(number)) for number in range(100)]
    found = [
        replies(tokens, tokenizer) for tokens in tokenize_chats(chats, tokenizer, template, batch=7)
    ]
    assert found == [[chat[1]["content"] + "<|eot_id|>"] for chat in chats]


def test_chats_are_taken_as_they_are_needed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, tokenizer, template = load(LLAMA3, tmp_path_factory)
    taken = itertools.count()
    endless = (talk("a", str(next(taken))) for _ in itertools.count())
    tokens = tokenize_chats(endless, tokenizer, template, batch=4)
    for _ in range(10):
        next(tokens)
    assert next(taken) <= 4 * 6
    tokens.close()  # type: ignore[attr-defined]


def test_no_chats_give_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    _, tokenizer, template = load(LLAMA3, tmp_path_factory)
    assert list(tokenize_chats([], tokenizer, template)) == []


UNUSABLE: list[tuple[Any, type[PlauditError], str]] = [
    (talk("only a question"), EmptyMaskError, "chat 1: none of its messages is the assistant's"),
    ([], PlauditError, "chat 1: "),
    ([7], InputError, "chat 1: message 1 is no object with a role"),
    ([{"content": "x"}], InputError, "chat 1: message 1 is no object with a role"),
    ([{"role": 3}], InputError, "chat 1: message 1 is no object with a role"),
    (talk("a", "b")[::-1] + talk("a")[:0], CallError, "chat 1: .*must take turns"),
]


@pytest.mark.parametrize(("chat", "error", "problem"), UNUSABLE)
def test_a_chat_that_cannot_be_used_is_named(
    chat: Any, error: type[PlauditError], problem: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, tokenizer, template = load(GEMMA, tmp_path_factory)
    good = talk("Where?", "There.")
    outcomes = tokenize_chats([good, chat, good], tokenizer, template)
    assert replies(next(outcomes), tokenizer) == ["There.<end_of_turn>"]
    with pytest.raises(error, match=problem):
        next(outcomes)
    scored: list[tuple[int, PlauditError]] = []

    def rejected(number: int, why: PlauditError) -> None:
        scored.append((number, why))

    rest = list(tokenize_chats([good, chat, good], tokenizer, template, rejected=rejected))
    assert len(rest) == 2
    assert [(number, type(why)) for number, why in scored] == [(1, type(scored[0][1]))]
    assert isinstance(scored[0][1], error)


def test_halves_of_characters_become_replacement_characters(model: Model) -> None:
    family, tokenizer, template = model
    half = json.loads('"a \\ud83d b"')
    (tokens,) = tokenize_chats([talk(half, half)], tokenizer, template)
    assert replies(tokens, tokenizer)[0].strip() == f"a \ufffd b{END[family.name]}"


def test_messages_are_taken_as_values_too(model: Model) -> None:
    _, tokenizer, template = model
    chat = talk("Where?", "There.")
    values = [Message(**turn) for turn in chat]
    first, second = tokenize_chats([chat, values], tokenizer, template)
    assert first == second
