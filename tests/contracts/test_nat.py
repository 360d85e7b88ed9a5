"""Against the installed NeMo Agent Toolkit, and a stand-in for NeMo's services on a real socket.

`scripts/contracts nat` has the toolkit; the pairs are in test_nat_pairs.py, and
what trains with them in test_nat_training.py.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nat.plugins.customizer", reason="scripts/contracts nat has the toolkit")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

from nat.builder.workflow_builder import WorkflowBuilder  # noqa: E402
from nat.data_models.finetuning import (  # noqa: E402
    OpenAIMessage,
    TrainingJobRef,
    TrainingStatusEnum,
)
from nat.plugins.customizer.dpo import config as toolkit  # noqa: E402
from nat.plugins.customizer.dpo.trajectory_builder import DPOTrajectoryBuilder  # noqa: E402
from nat.runtime.loader import load_config  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from plaudit.errors import ServiceError, UsageError  # noqa: E402
from plaudit.integrations.nat.adapter import CustomizerAdapter  # noqa: E402
from plaudit.integrations.nat.builder import PairTrajectories  # noqa: E402
from plaudit.integrations.nat.config import (  # noqa: E402
    CustomizerAdapterConfig,
    PairTrajectoriesConfig,
)
from tests.support.nat_runs import Item, Step, collected, evaluates, typed_step  # noqa: E402
from tests.support.nemo_services import NemoServices  # noqa: E402

TRAINING, VALIDATION = "training/training_file.jsonl", "validation/validation_file.jsonl"
KEYS = [
    "dpo_type", "score_diff", "example_id", "turn_id", "chosen_score", "rejected_score",
    "chosen_index", "rejected_index", "num_candidates", "chosen_raw_metadata",
    "rejected_raw_metadata",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, since logs go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def builder_of(**settings: Any) -> PairTrajectories:
    return PairTrajectories(PairTrajectoriesConfig(**settings))


def run(*scores: float | None, **fields: Any) -> list[Item]:
    given = {"turn": "t", "index": None, "prompt": "q"} | fields
    steps = [
        Step(uid=n, score=score, response=f"answer {n}", **given) for n, score in enumerate(scores)
    ]
    return [Item("e", steps)]


# Settings


def shape(model: type[BaseModel]) -> dict[str, Any]:
    """Keys and defaults, through all levels."""
    found: dict[str, Any] = {}
    for name, given in model.model_fields.items():
        if given.default_factory is not None:
            found[name] = shape(type(given.get_default(call_default_factory=True)))
        else:
            found[name] = ("required",) if given.is_required() else ("default", given.default)
    return found


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (PairTrajectoriesConfig, toolkit.DPOTrajectoryBuilderConfig),
        (CustomizerAdapterConfig, toolkit.NeMoCustomizerTrainerAdapterConfig),
    ],
)
def test_the_settings_are_those_of_the_toolkit(mine: Any, other: Any) -> None:
    assert shape(mine) == shape(other)
    assert list(mine.model_fields) == list(other.model_fields)
    kinds = [{k: str(f.annotation) for k, f in c.model_fields.items()} for c in (mine, other)]
    own = {"hyperparameters", "deployment_config"}
    assert {k: kinds[0][k] for k in kinds[0].keys() - own} == {
        k: kinds[1][k] for k in kinds[1].keys() - own
    }


def loaded(url: str, folder: Path) -> Any:
    """What docs/reference/nat.md shows, with a workflow, these hosts, and no patience."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "nat.md").read_text(encoding="utf-8")
    shown = page.split("```yaml\n")[1].split("```")[0]
    shown = re.sub(r"http://\S+", f"{url}/", shown)
    shown = shown.replace("num_runs: 2", "num_runs: 2\n    deduplicate_pairs: false")
    shown = shown.replace("namespace: ", "poll_interval_seconds: 0.01\n    namespace: ")
    workflow = "workflow: {_type: chat_completion, llm_name: none}\n"
    path = folder / "config.yml"
    path.write_text(f"{workflow}{shown}  output_dir: out\n")
    return load_config(path)


def finetuned(nemo: NemoServices, folder: Path) -> Any:
    """The whole way with the toolkit's own loader, plugin discovery and trainer."""
    config = loaded(nemo.url, folder)
    made = config.trajectory_builders["pairs"]
    assert (type(made), made.min_score_diff) == (PairTrajectoriesConfig, 0.05)

    async def finetune() -> Any:
        async with WorkflowBuilder() as builder:
            for name, one in config.trajectory_builders.items():
                await builder.add_trajectory_builder(name, one)
            for name, one in config.trainer_adapters.items():
                await builder.add_trainer_adapter(name, one)
            for name, one in config.trainers.items():
                await builder.add_trainer(name, one)
            pairs = await builder.get_trajectory_builder("pairs")
            customizer = await builder.get_trainer_adapter("customizer")
            trainer = await builder.get_trainer(
                "dpo", trajectory_builder=pairs, trainer_adapter=customizer
            )
            evaluates(pairs, run(0.1, 0.5, 0.9))
            await trainer.initialize(config.finetuning)
            try:
                return await trainer.run(1)
            finally:
                await trainer.cleanup()

    return asyncio.run(finetune())


def test_a_user_changes_the_type_and_nothing_else(nemo: NemoServices, folder: Path) -> None:
    nemo.statuses = ["created", "running", {"status": "completed", "percentage_done": 100.0}]
    (status,) = finetuned(nemo, folder)
    assert (status.status, status.progress) == (TrainingStatusEnum.COMPLETED, 100.0)
    assert status.metadata["output_model"] == "space/model@1"
    (files,) = nemo.repositories.values()
    assert len(files[TRAINING].splitlines()) == 2 * 3


def test_D7_a_failed_job_ends_the_toolkits_trainer_with_an_error(
    nemo: NemoServices, folder: Path
) -> None:
    nemo.statuses = ["running", "failed"]
    with pytest.raises(ServiceError, match="failed, and no model was trained"):
        finetuned(nemo, folder)


# The builder


def test_each_trajectory_has_all_metadata() -> None:
    for exhaustive in (True, False):
        (group,) = collected(builder_of(exhaustive_pairs=exhaustive), run(0.1, 0.9)).trajectories
        assert list(group[0].metadata) == KEYS


def test_D1_a_failed_run_frees_its_id() -> None:
    builder = builder_of()

    async def fail() -> Any:
        raise RuntimeError("no dataset")

    async def runs() -> Any:
        builder.run_eval = fail
        await builder.start_run("r")
        with pytest.raises(RuntimeError, match="no dataset"):
            await builder.finalize("r")
        await builder.start_run("r")
        await asyncio.sleep(0)  # It fails, and nobody finalizes it.
        await asyncio.sleep(0)
        evaluates(builder, run(0.1, 0.9))
        await builder.start_run("r")
        return await builder.finalize("r")

    assert len(asyncio.run(runs()).trajectories) == 1
    assert builder.evaluation_runs == {}


def test_a_cancelled_run_frees_its_id() -> None:
    builder = builder_of()

    async def hang() -> Any:
        await asyncio.sleep(60)

    async def runs() -> None:
        builder.run_eval = hang
        await builder.start_run("r")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(builder.finalize("r"), 0.01)
        assert builder.evaluation_runs == {}

    asyncio.run(runs())


def test_an_id_that_is_in_progress_is_refused_and_an_unknown_one_too() -> None:
    builder = builder_of()
    evaluates(builder, run(0.1, 0.9))

    async def runs() -> None:
        await builder.start_run("r")
        with pytest.raises(UsageError, match="'r' is in progress"):
            await builder.start_run("r")
        await builder.finalize("r")
        with pytest.raises(UsageError, match="no run 'r'"):
            await builder.finalize("r")

    asyncio.run(runs())


def test_an_empty_collection_frees_the_run_id(caplog: pytest.LogCaptureFixture) -> None:
    builder = builder_of(ttc_step_name="another")
    for _ in range(2):
        assert collected(builder, run(0.1, 0.9)).trajectories == []
    assert "seen: TTC_END 'dpo_candidate_move'" in caplog.text
    assert collected(builder_of(), run(0.5, 0.5)).trajectories == []
    assert "makes no pairs: {'dropped_candidates': {}, 'dropped_pairs': {'tie': 1}}" in caplog.text


def logged(builder: Any, run_id: str, folder: Path) -> dict[str, Any]:
    builder.log_progress(run_id, {"loss": 1.5}, str(folder))
    (path,) = folder.iterdir()
    return json.loads(path.read_text())


def test_D1_runs_at_the_same_time_have_counters_of_their_own(folder: Path) -> None:
    builder = builder_of()

    async def runs() -> None:
        for count in range(2, 6):
            evaluates(builder, run(*(n / 10 for n in range(count))))
            await builder.start_run(f"r{count}")
        await asyncio.gather(*(builder.finalize(f"r{count}") for count in range(2, 6)))

    asyncio.run(runs())
    counted = [logged(builder, f"r{n}", folder / str(n))["total_candidates"] for n in range(2, 6)]
    assert counted == [2, 3, 4, 5]


def test_the_progress_log_keeps_path_name_and_fields(folder: Path) -> None:
    lines: list[dict[str, Any]] = []
    for number, builder in enumerate(
        (DPOTrajectoryBuilder(toolkit.DPOTrajectoryBuilderConfig()), builder_of())
    ):
        collected(builder, run(0.1, 0.5, 0.5, 0.9))
        builder.log_progress("run", {})
        (path,) = (folder / ".tmp/nat/finetuning/dpo_trajectory_builder").iterdir()
        assert path.name == "dpo_trajectory_builder_run.jsonl"
        lines.append(json.loads(path.read_text().splitlines()[number]))
    other, mine = lines
    assert list(mine)[: len(other)] == list(other)
    assert mine["config"] == other["config"]
    assert set(mine) - set(other) == {"skipped_steps", "dropped_candidates", "dropped_pairs"}


def test_D2_skipped_steps_are_counted(caplog: pytest.LogCaptureFixture, folder: Path) -> None:
    builder = builder_of()
    steps = [one.made() for one in run(0.1, 0.9, None)[0].steps]
    steps.append(typed_step({"score": 1.0, "output": "no turn"}, "dpo_candidate_move"))
    steps.append(typed_step(None, "dpo_candidate_move"))
    steps.append(typed_step({"turn_id": "t", "score": [1]}, "dpo_candidate_move"))
    collected(builder, [("e", steps)])
    line = logged(builder, "run", folder / "log")
    assert (line["total_candidates"], line["skipped_steps"]) == (2, 3)
    assert line["dropped_candidates"] == {"no_score": 1}
    assert "is left out: it has no turn_id" in caplog.text


def test_D2_repeated_ids_and_colliding_keys_keep_all_pairs() -> None:
    items = [Item("a::b", run(0.1, 0.9)[0].steps), Item("a", run(0.2, 0.9, turn="b::t")[0].steps)]
    items += run(0.3, 0.9) + run(0.4, 0.9) + run(0.5, 0.9)
    groups = collected(builder_of(), items).trajectories
    margins = [[round(one.reward, 1) for one in group] for group in groups]
    assert margins == [[0.8], [0.7], [0.6, 0.5, 0.4]]


def test_D3_what_items_cannot_hold_is_left_out_and_never_a_repr(
    caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function"}]}
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    user = {"role": "user", "content": "q"}
    prompts: list[Any] = [
        [user, call],
        [{"role": "user", "content": [picture]}],
        [{"role": "user", "content": [{"type": "text", "text": "q"}]}],
        {"role": "user", "content": "q", "name": None},
        {"board": ["x", None]},
        None,
    ]
    items = [Item(n, run(0.1, 0.9, prompt=one)[0].steps) for n, one in enumerate(prompts)]
    items[2].steps[0].response = {"role": "assistant", "content": "a message"}
    items[3].steps[0].response = {"move": True}
    items[4].steps[0].response = [call]
    items[4].steps.append(Step(5, "t", None, 0.0, prompts[4], "another"))
    builder = builder_of()
    groups = collected(builder, items).trajectories
    made = [group[0].episode[0] for group in groups]
    assert [item.prompt for item in made] == [
        [OpenAIMessage(**user)], [OpenAIMessage(**user)], '{"board":["x",null]}', ""
    ]  # fmt: skip
    assert [item.rejected_response for item in made] == [
        "a message", '{"move":true}', "another", "answer 0"
    ]  # fmt: skip
    assert logged(builder, "run", folder / "log")["dropped_candidates"]["not_text"] == 5
    assert "5 candidates are left out" in caplog.text


HOSTILE = [
    "",
    ".",
    "..",
    "../../etc",
    "a/b",
    "/abs",
    "a\\b",
    "x" * 300,
    "\n",
    "a\0b",
    "é",
    "-a",
    "a.",
]


@pytest.mark.parametrize("run_id", HOSTILE)
def test_D5_run_ids_are_made_safe_for_file_names(run_id: str, folder: Path) -> None:
    nowhere = {"entity_host": "http://127.0.0.1:9", "datastore_host": "http://127.0.0.1:9"}
    config = CustomizerAdapterConfig(**nowhere, namespace="space", customization_config="meta/x")
    builder, adapter = builder_of(), CustomizerAdapter(config)
    builder.log_progress(run_id, {}, str(folder / "log"))
    adapter.log_progress(TrainingJobRef(run_id=run_id, backend="b"), {}, str(folder / "log"))
    assert [path.name for path in folder.iterdir()] == ["log"]
    names = [path.name for path in (folder / "log").iterdir()]
    assert len(names) == 2
    assert all(
        json.loads((folder / "log" / name).read_text())["run_id"] == run_id for name in names
    )
