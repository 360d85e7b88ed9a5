"""Exports, read by the readers of LLaMA-Factory, Axolotl and OpenRLHF: `scripts/contracts readers`.

Their packages are installed without what they train with, which needs a GPU; what turns rows into
prompts is run as it is.
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

from plaudit.preferences.export import ExportOptions, export_pairs  # noqa: E402
from plaudit.preferences.split import SplitOptions  # noqa: E402
from tests.support.preferences import chat, many, pair, said, write  # noqa: E402

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    *chat("Where?"),
    said("Here."),
    *chat('How "high"?'),
]
ROWS = {"texts": many(20, 1), "messages": [pair("m", MESSAGES, said("31 m."), "No."), *many(20, 1)]}
SIDES = ("train", "validation")


@pytest.fixture(params=ROWS)
def rows(request: pytest.FixtureRequest) -> list[Any]:
    return ROWS[request.param]


def exported(folder: Path, name: str, rows: list[Any]) -> tuple[Path, dict[str, list[Any]]]:
    options = ExportOptions(split=SplitOptions(val_fraction=0.3, seed=7))
    done = export_pairs(write(folder / "in.jsonl", rows), name, str(folder / "out"), options)
    assert done.exit_status == 0
    assert done.validation
    read = {side: (folder / "out" / f"{side}.jsonl").read_text().splitlines() for side in SIDES}
    return folder / "out", {
        side: [json.loads(line) for line in lines] for side, lines in read.items()
    }


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    pytest.importorskip("transformers")
    from trl.chat_template_utils import qwen2_5_chat_template

    from tests.support import tiny_model

    return tiny_model.tokenizer_of(["How high?"], qwen2_5_chat_template)


def test_llama_factory(tmp_path: Path, rows: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft", reason="scripts/contracts readers has LLaMA-Factory")
    monkeypatch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))  # for sounds alone
    parser = pytest.importorskip("llamafactory.data.parser")
    converter = pytest.importorskip("llamafactory.data.converter")
    out, written = exported(tmp_path, "llama-factory", rows)
    for reported in parser.get_dataset_list([f"plaudit_{side}" for side in SIDES], str(out)):
        assert reported.load_from == "file"
        side = Path(reported.dataset_name).stem
        convert = converter.get_dataset_converter(reported.formatting, reported, SimpleNamespace())
        for row in written[side]:
            found = convert(row)
            answers = [row["chosen"], row["rejected"]]
            if reported.formatting == "alpaca":
                asked, system = [row["instruction"]], ""
            else:
                asked = [m["value"] for m in row["conversations"] if m["from"] != "system"]
                system = "".join(m["value"] for m in row["conversations"] if m["from"] == "system")
                answers = [answer["value"] for answer in answers]
            assert [m["content"] for m in found["_prompt"]] == asked
            assert found["_prompt"][-1]["role"] == "user"
            assert found["_response"] == [said(answer) for answer in answers]
            assert found["_system"] == system


def test_axolotl(tmp_path: Path, rows: list[Any], tokenizer: Any) -> None:
    strategies = "axolotl.prompt_strategies.dpo"
    by_chat = pytest.importorskip(f"{strategies}.chat_template", reason="scripts/contracts readers")
    by_text = pytest.importorskip(f"{strategies}.user_defined")
    _, written = exported(tmp_path, "axolotl", rows)
    plain = "prompt" in written["train"][0]
    fields = {"field_prompt": "prompt", "field_chosen": "chosen", "field_rejected": "rejected"}
    given = {"type": fields} if plain else {"type": "chat_template.default"}
    config = Config(datasets=[Config(given)], chat_template="tokenizer_default")
    made = (by_text if plain else by_chat).default(config)
    transform = made if plain else made[0]
    for row in written["train"] + written["validation"]:
        found = transform(dict(row)) if plain else transform(dict(row), tokenizer=tokenizer)
        asked = [row["prompt"]] if plain else [m["content"] for m in row["messages"]]
        assert all(text in found["prompt"] for text in asked)
        for name in ("chosen", "rejected"):
            assert found[name].startswith(row[name] if plain else row[name]["content"])


class Config(dict[str, Any]):
    """A configuration whose entries are attributes too, as Axolotl's are."""

    __getattr__ = dict.get


def test_openrlhf(tmp_path: Path, rows: list[Any], tokenizer: Any) -> None:
    reward = pytest.importorskip(
        "openrlhf.datasets.reward_dataset", reason="scripts/contracts readers has OpenRLHF"
    )
    utils = pytest.importorskip("openrlhf.datasets.utils")
    out, written = exported(tmp_path, "openrlhf", rows)
    keys = {"prompt_key": "prompt", "chosen_key": "chosen", "rejected_key": "rejected"}
    template = isinstance(written["train"][0]["prompt"], list)
    data = SimpleNamespace(**keys, apply_chat_template=template)
    strategy = SimpleNamespace(
        args=SimpleNamespace(data=data), is_rank_0=lambda: True, print=lambda *_: None
    )
    for side in SIDES:
        loaded = utils.blending_datasets(str(out), None, strategy, dataset_split=side)
        made = reward.RewardDataset(
            loaded, tokenizer, 4096, strategy, is_dpo=True, num_processors=None
        )
        assert len(made) == len(written[side])
        for row, prompt, chosen in zip(written[side], made.prompts, made.chosens, strict=True):
            asked = row["prompt"] if template else [{"content": row["prompt"]}]
            assert all(message["content"] in prompt for message in asked)
            answer = row["chosen"][0]["content"] if template else row["chosen"]
            assert chosen.startswith(answer)
