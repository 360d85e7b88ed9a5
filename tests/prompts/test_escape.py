"""Escaping: reversible for every text, and nothing that could speak as the prompt survives it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.prompts.escape import (
    JOINER,
    KNOWN_SHAPES,
    KNOWN_SPECIAL_TOKENS,
    Escaper,
    unescape,
)

DELIMITERS = ("[[", "]]", "User:", "Reaction:", "aa", "aba")
SPECIAL = ("<|custom|>", "<end>", "endend")
ESCAPER = Escaper(DELIMITERS, SPECIAL)
PIECES = st.sampled_from(
    [
        *DELIMITERS, *SPECIAL, *KNOWN_SPECIAL_TOKENS, JOINER, JOINER * 2, JOINER * 3, "user:",
        "USER:", "[", "]", "<", "|", ">", "a", "b", "A", "\n", " ", "ser:", "end", "<<", "[[[[",
    ]
)  # fmt: skip
HOSTILE = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@settings(deadline=None)
@given(st.text() | HOSTILE)
def test_escaping_is_reversible(text: str) -> None:
    assert unescape(ESCAPER.escape(text)) == text


@settings(deadline=None)
@given(HOSTILE)
def test_no_delimiter_and_no_special_token_survives(text: str) -> None:
    escaped = ESCAPER.escape(text)
    for token in (*SPECIAL, *KNOWN_SPECIAL_TOKENS):
        assert token not in escaped
    for delimiter in DELIMITERS:
        assert not re.search(re.escape(delimiter), escaped, re.IGNORECASE)


@settings(deadline=None)
@given(st.lists(st.text() | HOSTILE, max_size=4))
def test_texts_that_are_harmless_as_one_are_so_each(texts: list[str]) -> None:
    if ESCAPER.is_harmless("\n".join(texts)):
        assert [ESCAPER.escape(text) for text in texts] == texts


def test_most_texts_are_seen_to_be_harmless() -> None:
    escaper = Escaper(["[[", "]]"])
    assert escaper.is_harmless("It took 3 days (or 4?), and cost $5 {in all}.")
    assert not escaper.is_harmless("a [[ b")
    assert not escaper.is_harmless("<|end|>")


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (ESCAPER.escape(one) == ESCAPER.escape(other)) == (one == other)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=JOINER)))
def test_benign_text_is_left_alone(text: str) -> None:
    escaper = Escaper(["=== section ==="])
    shaped = re.search("|".join(KNOWN_SHAPES), text)
    if not shaped and not any(token in text for token in KNOWN_SPECIAL_TOKENS):
        assert escaper.escape(text) == text


@pytest.mark.parametrize(
    "text", ["[[", "[[[", "[[[[", "user:", "uSeR:", "<|im_end|>", "<<|end|>>", "aaaa", "ababa"]
)
def test_overlapping_matches_and_case_variants_are_broken(text: str) -> None:
    escaped = ESCAPER.escape(text)
    assert escaped != text
    assert escaped.replace(JOINER, "") == text


def test_every_character_is_kept_in_order() -> None:
    assert ESCAPER.escape("a [[x]] b").replace(JOINER, "") == "a [[x]] b"


def test_tokens_that_cannot_be_broken_do_not_hang() -> None:
    escaper = Escaper(["", "x"], ["", "y", JOINER * 2, f"a{JOINER}"])
    assert unescape(escaper.escape(f"xy{JOINER * 4}a{JOINER}")) == f"xy{JOINER * 4}a{JOINER}"


@pytest.mark.parametrize("unit", ["[", "<|", "a", "User:", JOINER, "<", "x "])
def test_a_long_hostile_text_is_escaped_quickly(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    escaped = ESCAPER.escape(text)
    assert unescape(escaped) == text


FAMILIES = {
    "Apertus": ("<SPECIAL_10>", "<|assistant_start|>", "<|inner_prefix|>"),
    "Baichuan": ("<reserved_106>", "<reserved_107>"),
    "BERT": ("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]"),
    "Cohere": ("<BOS_TOKEN>", "<EOS_TOKEN>", "<PAD>", "<EOP_TOKEN>", "<|START_OF_TURN_TOKEN|>"),
    "DeepSeek": ("<\uff5cUser\uff5c>", "<\uff5ctool\u2581calls\u2581begin\uff5c>", "<|EOT|>"),
    "Ernie": ("<mask:0>", "<mask:1>", "<|begin_of_sentence|>", "<|IMAGE_PLACEHOLDER|>"),
    "EXAONE": ("[|user|]", "[|assistant|]", "[|endofturn|]", "[|system|]", "[|tool|]"),
    "Falcon": (">>TITLE<<", ">>ABSTRACT<<", ">>INTRODUCTION<<", ">>ANSWER<<", ">>MIDDLE<<"),
    "Gemma": (
        "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<unused0>",
        "<unused98>", "<|turn>", "<turn|>", "<|tool_call>", "<tool_call|>", "<channel|>", "<bos>",
        "<image_soft_token>", "[multimodal]",
    ),
    "GLM": (
        "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|user|>", "<|observation|>", "<tools>",
        "</tools>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</think>",
    ),
    "Granite": ("<|start_of_role|>", "<|end_of_text|>", "<fim_prefix>", "<reponame>"),
    "Idefics, SmolVLM": ("<end_of_utterance>", "<fake_token_around_image>", "<image>"),
    "InternLM": ("[UNUSED_TOKEN_146]", "[UNUSED_TOKEN_0]", "<|plugin|>"),
    "Kimi": (
        "[EOT]", "[BOS]", "[EOS]", "[PAD]", "[UNK]", "[start_header_id]", "[extra_id_3]",
        "<|im_middle|>", "<|tool_calls_section_begin|>", "\u25c1think\u25b7",
    ),
    "Llama": ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<|eot_id|>", "<|header_start|>"),
    "MiniMax": ("]~b]", "]~!b[", "[e~[", "]<]speech[>[", "<minimax:tool_call>", "<filename>"),
    "Mistral": (
        "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_CONTENT]", "[ARGS]",
        "[CALL_ID]", "[SYSTEM_PROMPT]", "[/THINK]", "[IMG]", "[IMG_BREAK]", "[BEGIN_AUDIO]",
        "<SPECIAL_20>",
    ),
    "Nemotron": ("<SPECIAL_10>", "<SPECIAL_999>", "<extra_id_0>"),
    "OLMo": ("|||IP_ADDRESS|||", "|||EMAIL_ADDRESS|||", "<|endoftext|>"),
    "Persimmon, Fuyu": ("|ENDOFTEXT|", "|SPEAKER|", "|NEWLINE|"),
    "Qwen": ("<|im_start|>", "<tool_call>", "</tool_response>", "<think>", "<|vision_pad|>"),
    "Seed": ("<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>", "<seed:tool_call>"),
    "StarCoder": ("<fim_middle>", "<issue_start>", "<jupyter_code>", "<empty_output>"),
    "T5": ("<extra_id_0>", "<extra_id_99>", "<pad>", "<unk>"),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_defect_18_special_tokens_of_unknown_tokenizers_are_broken(family: str) -> None:
    escaper = Escaper(["=== section ==="])
    for token in FAMILIES[family]:
        text = f"a {token}{token} b"
        assert not escaper.is_harmless(text)
        escaped = escaper.escape(text)
        assert token not in escaped
        assert unescape(escaped) == text


@pytest.mark.parametrize(
    "text",
    [
        "a < b and b > c, so a <= c | d", "see [1] and [Smith 2020], [ok], [A] or [x, y]",
        "<b>bold</b> <div class='x'> <br/> <List<String>> </body>", ">> quoted, > twice",
        "| a | b |\n|---|---|\n| 1 | 2 |", "std::vector<int>::size_type; a[i] || b[j]",
        "C:\\> dir | more", "x->y; y<-x; [[ -f file ]] && echo <<EOF",
    ],
)  # fmt: skip
def test_what_is_usual_in_texts_and_code_stays(text: str) -> None:
    assert Escaper(["=== section ==="]).escape(text) == text
