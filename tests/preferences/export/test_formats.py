"""How a row looks in each format, and what a format cannot carry."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.errors import UsageError
from plaudit.preferences.export import FORMATS, ExportOptions, ExportSummary, export_pairs
from plaudit.preferences.split import SplitOptions
from tests.support.command import rows_of
from tests.support.preferences import (
    CALL,
    IMAGE,
    LOOKED_UP,
    TOOL,
    chat,
    many,
    pair,
    raw,
    said,
    write,
)

ALL = SplitOptions(val_fraction=0)
TEXTS = (
    "How high did the hut stand?",
    "31 metres above the sea.",
    "I cannot tell.",
)
PROMPT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "Here."},
    {"role": "user", "content": "How high?"},
]
CALLED = [
    LOOKED_UP[0]
    | {
        "tool_calls": [
            CALL | {"function": CALL["function"] | {"arguments": {"query": "hut", "k": 3}}}
        ]
    },
    *LOOKED_UP[1:],
]


def exported(
    folder: Path, name: str, rows: Any, style: Any = "auto"
) -> tuple[list[dict[str, Any]], ExportSummary]:
    source, out = write(folder / "in.jsonl", rows), folder / "out"
    done = export_pairs(source, name, str(out), ExportOptions(split=ALL, style=style))
    return rows_of(out / done.files[0]), done


TEXT_ROWS = {
    "trl-dpo": dict(zip(("prompt", "chosen", "rejected"), TEXTS, strict=True)),
    "trl-kto": {"prompt": TEXTS[0], "completion": TEXTS[1], "label": True},
    "trl-reward": {"chosen": TEXTS[0] + TEXTS[1], "rejected": TEXTS[0] + TEXTS[2]},
    "trl-sft": {"prompt": TEXTS[0], "completion": TEXTS[1]},
    "nemo-customizer": {
        "prompt": TEXTS[0],
        "chosen_response": TEXTS[1],
        "rejected_response": TEXTS[2],
    },
    "openrlhf": dict(zip(("prompt", "chosen", "rejected"), TEXTS, strict=True)),
    "llama-factory": dict(zip(("instruction", "chosen", "rejected"), TEXTS, strict=True)),
    "axolotl": dict(zip(("prompt", "chosen", "rejected"), TEXTS, strict=True)),
}
CHOSEN, REJECTED = said(TEXTS[1]), said(TEXTS[2])
CHAT_ROWS = {
    "trl-dpo": {"prompt": PROMPT, "chosen": [CHOSEN], "rejected": [REJECTED]},
    "trl-kto": {"prompt": PROMPT, "completion": [CHOSEN], "label": True},
    "trl-reward": {"chosen": [*PROMPT, CHOSEN], "rejected": [*PROMPT, REJECTED]},
    "trl-sft": {"prompt": PROMPT, "completion": [CHOSEN]},
    "nemo-customizer": {
        "prompt": PROMPT,
        "chosen_response": TEXTS[1],
        "rejected_response": TEXTS[2],
    },
    "nemo-rl": {
        "context": PROMPT,
        "completions": [
            {"rank": 0, "completion": [CHOSEN]},
            {"rank": 1, "completion": [REJECTED]},
        ],
    },
    "openrlhf": {"prompt": PROMPT, "chosen": [CHOSEN], "rejected": [REJECTED]},
    "llama-factory": {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "Here."},
            {"from": "human", "value": "How high?"},
        ],
        "chosen": {"from": "gpt", "value": TEXTS[1]},
        "rejected": {"from": "gpt", "value": TEXTS[2]},
    },
    "axolotl": {"messages": PROMPT, "chosen": CHOSEN, "rejected": REJECTED},
}


def test_every_format_is_tried_here() -> None:
    assert {*CHAT_ROWS, "datasets"} == FORMATS.keys()


@pytest.mark.parametrize("name", TEXT_ROWS)
def test_texts(tmp_path: Path, name: str) -> None:
    rows, done = exported(tmp_path, name, [pair()])
    assert rows[0] == TEXT_ROWS[name]
    assert list(rows[0]) == list(TEXT_ROWS[name])
    assert (done.style, done.mixed, done.exit_status) == ("plain", False, 0)


@pytest.mark.parametrize("name", CHAT_ROWS)
@pytest.mark.parametrize("wrap", [lambda m: m["content"], lambda m: m, lambda m: [m]])
def test_messages(tmp_path: Path, name: str, wrap: Any) -> None:
    rows, done = exported(tmp_path, name, [pair("e", PROMPT, wrap(CHOSEN), wrap(REJECTED))])
    assert rows[0] == CHAT_ROWS[name]
    assert (done.style, done.exit_status) == ("conversational", 0)


@pytest.mark.parametrize("name", CHAT_ROWS)
def test_texts_become_messages_when_asked_to(tmp_path: Path, name: str) -> None:
    rows, done = exported(tmp_path, name, [pair()], "conversational")
    asked = json.dumps(CHAT_ROWS[name]).replace(
        json.dumps(PROMPT)[1:-1], json.dumps(chat(TEXTS[0]))[1:-1]
    )
    if name != "llama-factory":
        assert rows[0] == json.loads(asked)
    assert done.style == "conversational"


def test_a_mixed_file_becomes_messages_throughout_and_says_so(tmp_path: Path) -> None:
    rows, done = exported(tmp_path, "trl-dpo", [pair("a"), pair("b", chat("Why?"))])
    assert [type(row[name]) for row in rows for name in row] == [list] * 6
    assert done.mixed
    assert "others have messages" in done.notes[0]


def test_messages_are_set_aside_where_texts_are_asked_for(tmp_path: Path) -> None:
    rows, done = exported(tmp_path, "trl-dpo", [pair("a"), pair("b", chat("Why?"))], "plain")
    assert len(rows) == 1
    assert (done.set_aside, done.exit_status) == ({"messages": 1}, 1)


def test_a_response_that_is_one_message_of_text_is_that_text(tmp_path: Path) -> None:
    rows, _ = exported(tmp_path, "trl-dpo", [pair(chosen=CHOSEN, rejected=[REJECTED])], "plain")
    assert rows[0] == TEXT_ROWS["trl-dpo"]


def test_a_format_of_messages_alone_has_no_plain_style(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--plain"):
        exported(tmp_path, "nemo-rl", [pair()], "plain")
    assert exported(tmp_path, "nemo-rl", [pair()])[1].style == "conversational"


def test_an_unknown_format_names_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trl-dpo, trl-kto"):
        exported(tmp_path, "trl-ppo", [pair()])


def test_D3_what_was_read_is_written_byte_by_byte(tmp_path: Path) -> None:
    odd = (
        b'{"role" :"user", "content":"caf\\u00e9 \\/ \xf0\x9f\x90\x8d", "n": 1.50, '
        b'"n": 12345678901234567890}'
    )
    line = b'{"example_id":1,"prompt":[%b],"chosen":"a\\u0041","rejected":"\\n","margin":1}'
    source = write(tmp_path / "in.jsonl", [line.replace(b'"\\n"', b'"\\nb"') % odd])
    export_pairs(source, "trl-dpo", str(tmp_path / "out"), ExportOptions(split=ALL))
    written = (tmp_path / "out/train.jsonl").read_bytes()
    assert odd in written
    assert b'"content":"a\\u0041"' in written


# Tools


@pytest.mark.parametrize("name", ["trl-dpo", "trl-kto", "trl-reward", "trl-sft"])
def test_calls_have_objects_for_arguments_and_tools_a_column(tmp_path: Path, name: str) -> None:
    with_tools = pair("a", chat("How high?"), LOOKED_UP, metadata={"chosen": {"tools": [TOOL]}})
    rows, done = exported(tmp_path, name, [with_tools, pair("b")])
    assert done.exit_status == 0
    first = rows[0]
    assert (first.get("chosen") or first["completion"])[-3:] == CALLED
    assert json.loads(first["tools"]) == [TOOL]
    assert rows[-1]["tools"] is None


def test_only_arguments_are_changed(tmp_path: Path) -> None:
    call = {"function": {"arguments": '{"a": 1.50}', "name": "f", "x": 1}, "id": "1"}
    flat = {"name": "f", "arguments": {"b": 2}}
    message = {
        "role": "assistant",
        "tool_calls": [call, flat, {"function": {"name": "g", "arguments": ""}}],
    }
    rows, _ = exported(tmp_path, "trl-dpo", [pair(chosen=message)])
    found = rows[0]["chosen"][0]["tool_calls"]
    assert found[0] == {"function": {"arguments": {"a": 1.5}, "name": "f", "x": 1}, "id": "1"}
    assert found[1:] == [flat, {"function": {"name": "g", "arguments": {}}}]


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "text", "1"])
def test_arguments_that_are_no_object_are_set_aside(tmp_path: Path, arguments: str) -> None:
    message = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "f", "arguments": arguments}}],
    }
    _, done = exported(tmp_path, "trl-dpo", [pair("a"), pair("b", chosen=message)])
    assert done.set_aside == {"tool_arguments": 1}


# What a format cannot carry

LISTED = {"role": "user", "content": [{"type": "text", "text": "a"}]}
TEXT_ONLY = ("nemo-customizer", "nemo-rl", "openrlhf", "llama-factory", "axolotl")
ONE_MESSAGE = ("nemo-customizer", "llama-factory", "axolotl")
TRL = ("trl-dpo", "trl-kto", "trl-reward", "trl-sft")


@pytest.mark.parametrize(
    ("problem", "names", "bad"),
    [
        ("images", TRL, pair("b", [{"role": "user", "content": [IMAGE]}])),
        ("images", TEXT_ONLY, pair("b", [{"role": "user", "content": [IMAGE]}])),
        ("content_parts", TEXT_ONLY, pair("b", [LISTED])),
        ("tool_calls", TEXT_ONLY, pair("b", chosen=LOOKED_UP)),
        ("tools", TEXT_ONLY, pair("b", chat("a"), metadata={"tools": [TOOL]})),
        ("message_fields", TEXT_ONLY, pair("b", [{"role": "user", "content": "a", "name": "x"}])),
        ("several_messages", ONE_MESSAGE, pair("b", chosen=[said("a"), said("b")])),
        ("no_text", TEXT_ONLY, pair("b", [{"role": "user", "content": None}])),
        ("not_assistant", TEXT_ONLY, pair("b", chosen=chat("I am the user"))),
        ("roles", ("llama-factory",), pair("b", [*chat("a"), *chat("b")])),
        ("roles", ("llama-factory",), pair("b", [*chat("a"), said("b")])),
        ("roles", ("llama-factory", "axolotl"), pair("b", [{"role": "critic", "content": "a"}])),
    ],
)  # fmt: skip
def test_D3_what_a_format_cannot_carry_is_set_aside(
    tmp_path: Path, problem: str, names: tuple[str, ...], bad: Any
) -> None:
    for name in names:
        rows, done = exported(tmp_path, name, [pair("a"), bad], "conversational")
        assert len(rows) == done.train
        assert (done.set_aside, done.rejected, done.exit_status) == ({problem: 1}, 0, 1), name
        assert done.train == (2 if name == "trl-kto" else 1)
        kept = rows_of(Path(done.rejects or ""))
        assert kept[0]["error"] == f"{name} cannot carry it: {problem}"
        assert kept[0]["where"].endswith("in.jsonl:2")


def test_tools_with_texts_are_set_aside_since_no_template_would_show_them(tmp_path: Path) -> None:
    rows = [pair("a"), pair("b", metadata={"tools": [TOOL]})]
    found, done = exported(tmp_path, "trl-dpo", rows)
    assert (found, done.set_aside) == ([TEXT_ROWS["trl-dpo"]], {"tools": 1})
    assert exported(tmp_path, "trl-dpo", rows, "conversational")[1].set_aside == {}
    none = [pair("a", metadata={"tools": []}), pair("b", metadata={"chosen": {"tools": 3}})]
    assert exported(tmp_path, "trl-dpo", none)[1].set_aside == {}


# Responses that are in several pairs


def test_kto_labels_by_what_was_chosen_oftener_than_rejected(tmp_path: Path) -> None:
    best, middle, worst = "the best", "the middle", "the worst"
    pairs = [(best, middle), (best, worst), (middle, worst)]
    rows = [pair("a", "Q", chosen, rejected) for chosen, rejected in pairs]
    found, done = exported(tmp_path, "trl-kto", rows)
    assert [(row["completion"], row["label"]) for row in found] == [(best, True), (worst, False)]
    assert (done.ties, done.train, done.exit_status) == (1, 2, 0)


def test_kto_counts_within_an_example(tmp_path: Path) -> None:
    rows = [pair("a", "Q", "x", "y"), pair("b", "Q", "y", "x"), pair("a", "P", "y", "x")]
    found, done = exported(tmp_path, "trl-kto", rows)
    assert len(found) == 6
    assert done.ties == 0


def test_sft_has_every_chosen_response_once(tmp_path: Path) -> None:
    rows = [pair("a", "Q", c, r) for c, r in [("x", "y"), ("x", "z"), ("y", "z")]] + [pair("b")]
    found, _ = exported(tmp_path, "trl-sft", rows)
    assert [row["completion"] for row in found] == ["x", "y", TEXTS[1]]


# The other files


def test_the_customizers_two_files(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", many(40))
    done = export_pairs(source, "nemo-customizer", str(tmp_path / "out"))
    assert done.files == ["training/training_file.jsonl", "validation/validation_file.jsonl"]
    assert done.train + done.validation == 80
    assert len(rows_of(tmp_path / "out/validation/validation_file.jsonl")) == done.validation


@pytest.mark.parametrize(("style", "formatting"), [("plain", None), ("conversational", "sharegpt")])
def test_llama_factorys_description(tmp_path: Path, style: Any, formatting: Any) -> None:
    source = write(tmp_path / "in.jsonl", many(10))
    options = ExportOptions(style=style)
    export_pairs(source, "llama-factory", str(tmp_path / "out"), options)
    info = json.loads((tmp_path / "out/dataset_info.json").read_bytes())
    assert list(info) == ["plaudit_train", "plaudit_validation"]
    for reported in info.values():
        assert reported["ranking"] is True
        assert reported.get("formatting") == formatting
        columns = rows_of(tmp_path / "out" / reported["file_name"])[0].keys()
        assert set(reported["columns"].values()) == columns


# A datasets folder


def loaded(folder: Path, rows: Any, **options: Any) -> Any:
    datasets = pytest.importorskip("datasets")
    source = write(folder / "in.jsonl", rows)
    done = export_pairs(source, "datasets", str(folder / "out"), ExportOptions(**options))
    assert done.exit_status == 0
    return datasets.load_from_disk(str(folder / "out"))


def test_a_datasets_folder_of_texts(tmp_path: Path) -> None:
    found = loaded(tmp_path, many(30))
    assert list(found) == ["train", "validation"]
    assert found["train"].num_rows + found["validation"].num_rows == 60
    row = found["validation"][0]
    assert set(found["train"]["example_id"]) & set(found["validation"]["example_id"]) == set()
    assert row["prompt"].endswith("?")
    assert (row["chosen_score"], row["rejected_score"], row["turn_id"]) == (0.9, 0.4, "0")


def test_a_datasets_folder_of_messages_with_whatever_is_in_them(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]
    rows = [
        pair("a", asked, LOOKED_UP, metadata={"chosen": {"tools": [TOOL]}}),
        pair("b"),
        pair("c", chosen={"role": "assistant", "content": "x", "reasoning": {"deep": [1, 2.5]}}),
    ]
    found = loaded(tmp_path, rows, split=ALL)
    assert list(found) == ["train"]
    first, second, third = found["train"]
    assert first["prompt"] == asked
    assert first["chosen"] == CALLED
    assert json.loads(first["tools"]) == [TOOL]
    assert (second["prompt"], second["tools"]) == (chat(TEXTS[0]), None)
    assert third["chosen"][0]["reasoning"] == {"deep": [1, 2.5]}


def test_a_datasets_folder_with_an_empty_side(tmp_path: Path) -> None:
    found = loaded(tmp_path, [pair("a", chat("Q"))])
    assert (found["train"].num_rows, found["validation"].num_rows) == (1, 0)
    assert found["train"].features == found["validation"].features


def test_more_rows_than_one_table_holds(tmp_path: Path) -> None:
    rows = [pair("a", "Q", f"yes {n}", "no") for n in range(2_500)]
    assert loaded(tmp_path, rows, split=ALL)["train"]["chosen"][2_499] == "yes 2499"


def test_numbers_and_texts_as_ids(tmp_path: Path) -> None:
    found = loaded(tmp_path, [pair(1), pair("1", turn_id="x")], split=ALL)["train"]
    assert found["example_id"][:] == ["1", "1"]
    assert msgspec.json.decode(raw(found["turn_id"][:])) == ["0", "x"]
