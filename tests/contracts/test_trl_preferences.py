"""The examples that train on preferences, against the installed TRL: `scripts/contracts trl`."""

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: scripts/contracts trl has it")
# What the libraries of the trainer warn of among themselves is not for these tests to judge.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification  # noqa: E402
from trl.chat_template_utils import qwen2_5_chat_template  # noqa: E402

from tests.support import tiny_model  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "examples"
FILE = EXAMPLES / "candidates.jsonl"
FORMS = ["dpo", "reward"]
Row = dict[str, Any]


def candidates() -> list[Row]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def answer(candidate: Row) -> Row:
    return {"role": "assistant", "content": candidate["response"]}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pairs of the candidates, as the commands export them for each trainer."""
    folder = tmp_path_factory.mktemp("data")
    pairs = folder / "pairs.jsonl"
    python("-m", "plaudit", "pairs", FILE, "-o", pairs)
    for form in FORMS:
        python("-m", "plaudit", "export", f"trl-{form}", pairs, "-o", folder / form)
    return folder


def python(*words: object) -> str:
    """Run Python, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen a few of the candidates and prefers none of them."""
    template = qwen2_5_chat_template
    chats = [[*row["prompt"], answer(row)] for row in candidates()]
    plain = tiny_model.tokenizer_of([], template)
    texts = [plain.apply_chat_template(one, tokenize=False) for one in chats]
    tokenizer = tiny_model.tokenizer_of(texts, template)
    lessons = [tiny_model.lesson(tokenizer, one, []) for one in chats[:8]]
    made = tiny_model.taught(len(tokenizer), lessons, steps=5)
    return tiny_model.save(made, tokenizer, tmp_path_factory.mktemp("model"))


def train(form: str, data: Path, model: Path, capsys: Any, *more: str) -> Row:
    """Run an example in this process, and return what it printed."""
    words = ["--data", str(data), "--model", str(model), "--learning-rate", "1e-3", *more]
    runpy.run_path(str(EXAMPLES / f"train_{form}.py"))["main"](words)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_steps_lower_the_loss_on_held_out_pairs_and_raise_the_margin(
    form: str, data: Path, model: Path, capsys: Any
) -> None:
    found = train(form, data / form, model, capsys)
    before, after = found["before"], found["after"]
    assert found["pairs"] == len(lines(data, form, "train"))
    assert found["held_out"] == len(lines(data, form, "validation"))
    assert after["loss"] < before["loss"] - 0.2
    assert after["margin"] > before["margin"] + 0.2
    assert after["accuracy"] > 0.8
    if form == "dpo":  # The model is its own reference still.
        assert before == {"loss": round(math.log(2), 4), "accuracy": 0, "margin": 0}


def lines(data: Path, form: str, split: str) -> list[str]:
    return (data / form / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("form", FORMS)
def test_held_out_pairs_the_wrong_way_round_get_worse(
    form: str, data: Path, model: Path, tmp_path: Path, capsys: Any
) -> None:
    rows = [json.loads(line) for line in lines(data, form, "validation")]
    turned = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    validation = "".join(json.dumps(row) + "\n" for row in turned)
    (tmp_path / "validation.jsonl").write_text(validation, encoding="utf-8")
    (tmp_path / "train.jsonl").write_bytes((data / form / "train.jsonl").read_bytes())
    found = train(form, tmp_path, model, capsys)
    assert found["after"]["loss"] > found["before"]["loss"] + 0.2
    assert found["after"]["margin"] < found["before"]["margin"] - 0.2


@pytest.mark.parametrize("form", FORMS)
def test_a_seed_gives_the_same_figures_again(
    form: str, data: Path, model: Path, capsys: Any
) -> None:
    runs = [
        train(form, data / form, model, capsys, "--steps", "2", "--seed", seed)
        for seed in ("1", "1", "2")
    ]
    assert runs[0]["after"] == runs[1]["after"] != runs[2]["after"]


@pytest.mark.parametrize("form", FORMS)
def test_without_held_out_pairs_nothing_is_trained(
    form: str, data: Path, model: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "train.jsonl").write_bytes((data / form / "train.jsonl").read_bytes())
    for make in (lambda file: None, Path.touch):
        make(tmp_path / "validation.jsonl")
        with pytest.raises(SystemExit, match=r"validation\.jsonl has no pairs: export more"):
            train(form, tmp_path, model, capsys)


def test_each_is_a_command_that_prints_only_json_and_keeps_the_model(
    data: Path, model: Path, tmp_path: Path
) -> None:
    kinds = {"dpo": AutoModelForCausalLM, "reward": AutoModelForSequenceClassification}
    for form, kind in kinds.items():
        script, out = EXAMPLES / f"train_{form}.py", tmp_path / form
        reported = python(script, "--data", data / form, "--model", model, "--steps", 1, "-o", out)
        assert set(json.loads(reported)["after"]) == {"loss", "accuracy", "margin"}
        assert kind.from_pretrained(out).num_parameters() > 0
