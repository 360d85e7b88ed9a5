"""Masks from ids alone, and the markers that show them."""

import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import MissingDependencyError, UsageError
from plaudit.rollouts.tokens.masks import Markers, assistant_mask, find_markers
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import load_tokenizer
from tests.rollouts.families import FAMILIES, LLAMA3, QWEN3, Family, folder_of

H, A, N, T, U, E = 1, 2, 3, 4, 5, 9
"""Header, assistant, line break, thought, user, end."""
MARKERS = Markers(((H, A, N), (H, A, N, T, T)), (E,), ())


def mask(ids: list[int], markers: Markers = MARKERS, lengths: list[int] | None = None) -> list[int]:
    return assistant_mask(ids, markers, lengths).mask.astype(int).tolist()


def counts(
    ids: list[int], markers: Markers = MARKERS, lengths: list[int] | None = None
) -> list[int]:
    return assistant_mask(ids, markers, lengths).counts.tolist()


def test_a_reply_goes_from_its_header_to_its_end_token() -> None:
    ids = [H, U, N, 7, E, N, H, A, N, 8, 8, E, N]
    assert mask(ids) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert counts(ids) == [1]


def test_the_longest_header_counts() -> None:
    assert mask([H, A, N, T, T, 8, E]) == [0, 0, 0, 0, 0, 1, 1]
    assert mask([H, A, N, T, 8, E]) == [0, 0, 0, 1, 1, 1]


def test_a_reply_that_was_cut_off_goes_on_to_the_end() -> None:
    assert mask([H, A, N, 8, 8]) == [0, 0, 0, 1, 1]


def test_an_empty_reply_has_its_end_token() -> None:
    assert mask([H, A, N, E, 7]) == [0, 0, 0, 1, 0]


def test_a_header_at_the_end_begins_no_reply() -> None:
    assert (mask([7, H, A, N]), counts([7, H, A, N])) == ([0] * 4, [0])
    assert mask([H, A]) == [0, 0]
    assert (mask([]), counts([])) == ([], [0])


def test_a_header_within_a_reply_begins_no_other_one() -> None:
    ids = [H, A, N, 8, H, A, N, 8, E]
    assert (mask(ids), counts(ids)) == ([0, 0, 0, 1, 1, 1, 1, 1, 1], [1])


def test_a_start_before_the_beginning_of_another_message_begins_no_reply() -> None:
    markers = Markers(((N,),), (E,), (U,))
    assert mask([N, U, 7, N, 8, E], markers) == [0, 0, 0, 0, 1, 1]


def test_conversations_do_not_run_into_each_other() -> None:
    first, second, third = [H, A, N, 8], [7, E, H], [A, N, 8, E]
    ids = first + second + third
    assert mask(ids, lengths=[4, 3, 4]) == [0, 0, 0, 1] + [0] * 7
    assert counts(ids, lengths=[4, 3, 4]) == [1, 0, 0]


def slow_mask(ids: list[int]) -> list[int]:
    """The same, one id after the other."""
    found, place = [0] * len(ids), 0
    while place < len(ids):
        fit = [start for start in MARKERS.starts if ids[place : place + len(start)] == list(start)]
        if not fit:
            place += 1
            continue
        place += max(map(len, fit))
        while place < len(ids):
            found[place] = 1
            place += 1
            if ids[place - 1] == E:
                break
    return found


CONVERSATIONS = st.lists(st.lists(st.sampled_from([H, A, N, T, U, E]), max_size=30), min_size=1)


@given(CONVERSATIONS)
def test_it_agrees_with_reading_id_by_id(conversations: list[list[int]]) -> None:
    flat = [token for ids in conversations for token in ids]
    found = assistant_mask(flat, MARKERS, [len(ids) for ids in conversations])
    assert found.mask.astype(int).tolist() == [m for ids in conversations for m in slow_mask(ids)]


def test_R4_masks_from_ids_are_fast() -> None:
    """The benchmark gives figures; this only catches work that is done id by id in Python."""
    import time

    source = random.Random(0)
    turn = [H, U, N, *source.choices(range(10, 99), k=90), E, H, A, N, *[50] * 90, E]
    ids = numpy.array(turn * 20_000, dtype=numpy.int32)
    began = time.process_time()
    found = assistant_mask(ids, MARKERS)
    assert len(ids) / (time.process_time() - began) > 5e6
    assert found.counts.tolist() == [20_000]


# ---------------------------------------------------------------- markers of templates


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_markers_are_found_for_any_family(
    family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of(family, tmp_path_factory)
    tokenizer = load_tokenizer(folder)
    found = find_markers(SafeTemplate(ChatTemplate.load(folder), tokenizer), tokenizer)
    assert found is not None
    decode = tokenizer.native.decode
    starts = {decode(list(start), skip_special_tokens=False) for start in found.starts}
    expected = {
        "llama3": {"<|start_header_id|>assistant<|end_header_id|>\n\n"},
        "qwen3": {
            "<|im_start|>assistant\n",
            "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        },
        "mistral": {"[/INST]", "[/TOOL_RESULTS]"},
        "gemma": {"<start_of_turn>model\n"},
    }
    ends = {"llama3": "<|eot_id|>", "qwen3": "<|im_end|>", "mistral": "</s>"}
    assert starts == expected[family.name]
    assert found.ends == (tokenizer.control[ends.get(family.name, "<end_of_turn>")],)


PLAIN = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}ASSISTANT: {{ m.content }}"
    "{{ eos_token }}{% else %}USER: {{ m.content }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
UNCLOSED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("source", [PLAIN, UNCLOSED])
def test_ids_alone_cannot_tell_every_template(
    source: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tokenizer = load_tokenizer(folder_of(QWEN3, tmp_path_factory))
    tokens = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    template = SafeTemplate(ChatTemplate("x", {"default": source}, tokens), tokenizer)
    assert find_markers(template, tokenizer) is None


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "assistant"),
        ("{{ raise_exception('no') }}", "refuses every conversation"),
    ],
)
def test_R4_a_template_without_replies_is_an_error(
    source: str, problem: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tokenizer = load_tokenizer(folder_of(LLAMA3, tmp_path_factory))
    template = SafeTemplate(ChatTemplate("mine.jinja", {"default": source}, {}), tokenizer)
    with pytest.raises(UsageError, match=rf"chat template mine.jinja.*{problem}"):
        find_markers(template, tokenizer)


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[tokens\]"):
        assistant_mask([1], MARKERS)
