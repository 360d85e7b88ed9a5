"""Tokenizers from files."""

import json
import pickle
import sys
from pathlib import Path

import pytest

from plaudit.errors import MissingDependencyError, UsageError
from plaudit.rollouts.tokens import tokenizer as module
from plaudit.rollouts.tokens.tokenizer import load_tokenizer
from tests.rollouts.families import GEMMA, LLAMA3, QWEN3, folder_of


def test_a_folder_or_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = folder_of(LLAMA3, tmp_path_factory)
    first, second = load_tokenizer(folder), load_tokenizer(folder / "tokenizer.json")
    assert first.identity == second.identity
    assert first.identity.startswith("tokenizer-blake2b:")
    assert first.identity != load_tokenizer(folder_of(QWEN3, tmp_path_factory)).identity


async def test_nothing_is_added_and_special_tokens_are_spelled_out(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tokenizer = load_tokenizer(folder_of(LLAMA3, tmp_path_factory))
    ids = await tokenizer.encode("<|eot_id|>Grüße")
    assert ids[0] == tokenizer.control["<|eot_id|>"]
    assert await tokenizer.decode(ids) == "<|eot_id|>Grüße"
    assert await tokenizer.encode("") == []
    assert await tokenizer.decode([]) == ""


async def test_long_texts_have_the_ids_that_they_have_in_a_batch(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tokenizer = load_tokenizer(folder_of(LLAMA3, tmp_path_factory))
    text = "The keeper of the lighthouse. <|eot_id|>" * 2000
    assert len(text) > module.LONG
    assert [await tokenizer.encode(text)] == tokenizer.encode_batch([text])


def test_control_tokens_differ_from_marks_that_models_write(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    qwen = load_tokenizer(folder_of(QWEN3, tmp_path_factory))
    assert set(qwen.control) == set(QWEN3.control)
    assert set(qwen.special_tokens) == set(QWEN3.control + QWEN3.marks)
    gemma = load_tokenizer(folder_of(GEMMA, tmp_path_factory))
    assert set(gemma.special_tokens) == {*GEMMA.control, "<table>", "</table>"}
    assert {gemma.native.token_to_id(text): text for text in gemma.control} == {
        number: text for text, number in gemma.control.items()
    }


def test_a_mark_of_a_shape_that_only_control_tokens_have_is_one(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Some tokenizers list them as plain added tokens."""
    config = json.loads((folder_of(QWEN3, tmp_path_factory) / "tokenizer.json").read_text())
    for token in config["added_tokens"]:
        token["special"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    assert set(load_tokenizer(tmp_path).control) == set(QWEN3.control)


def test_truncation_and_padding_of_the_file_do_not_count(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = json.loads((folder_of(QWEN3, tmp_path_factory) / "tokenizer.json").read_text())
    config["truncation"] = {
        "max_length": 2, "stride": 0, "strategy": "LongestFirst", "direction": "Right",
    }  # fmt: skip
    config["padding"] = {
        "strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>",
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    long, short = load_tokenizer(tmp_path).encode_batch(["one two three four five six", "a"])
    assert len(long) > 5
    assert len(short) == 1


@pytest.mark.parametrize("content", ["", "{}", "[", '{"model": 3}', "\x00" * 20])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"{path} is not a usable tokenizer"):
        load_tokenizer(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.json: No such file.*give a tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_without_the_library_it_says_what_to_install(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(QWEN3, tmp_path_factory)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[tokens\]"):
        load_tokenizer(folder)


async def test_it_survives_pickling(tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = load_tokenizer(folder_of(QWEN3, tmp_path_factory))
    again = pickle.loads(pickle.dumps(tokenizer))
    assert await again.encode("harbour <|im_end|>") == await tokenizer.encode("harbour <|im_end|>")


@pytest.mark.parametrize(
    ("text", "begin", "end", "stretch"),
    [
        ("one two three", 4, 7, " two"),
        ("<|im_end|>Grüße", 10, 15, "Grüße"),
        ("x 丘", 2, 3, "丘"),
    ],
)
def test_stretches_are_found_among_the_ids(
    text: str, begin: int, end: int, stretch: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tokenizer = load_tokenizer(folder_of(QWEN3, tmp_path_factory))
    found = tokenizer.locate(text, [(begin, end), (begin, begin)])
    ((first, last),) = found.spans
    assert tokenizer.native.decode(found.ids[first:last]) == stretch
    assert found.ids == tokenizer.ids(text)
