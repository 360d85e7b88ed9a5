"""NeMo Customizer's adapter against a stand-in for the services: `scripts/contracts nat`."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nat.plugins.customizer", reason="scripts/contracts nat has the toolkit")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

from nat.data_models.finetuning import (  # noqa: E402
    DPOItem,
    FinetuneConfig,
    OpenAIMessage,
    TrainingJobRef,
    TrainingStatusEnum,
    Trajectory,
    TrajectoryCollection,
)
from nat.plugins.customizer.dpo import config as toolkit  # noqa: E402
from nat.plugins.customizer.dpo.trainer_adapter import NeMoCustomizerTrainerAdapter  # noqa: E402

from plaudit.errors import InputError, ServiceError, UsageError  # noqa: E402
from plaudit.integrations.nat import adapter as adapters  # noqa: E402
from plaudit.integrations.nat import services  # noqa: E402
from plaudit.integrations.nat.adapter import CustomizerAdapter  # noqa: E402
from plaudit.integrations.nat.config import CustomizerAdapterConfig  # noqa: E402
from plaudit.integrations.nat.records import is_held_out, write_files  # noqa: E402
from tests.support.nemo_services import NemoServices  # noqa: E402

TRAINING, VALIDATION = "training/training_file.jsonl", "validation/validation_file.jsonl"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, since logs go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def adapter_of(url: str, **settings: Any) -> CustomizerAdapter:
    return CustomizerAdapter(CustomizerAdapterConfig(**given(url, **settings)))


def given(url: str, **settings: Any) -> dict[str, Any]:
    return {
        "entity_host": url,
        "datastore_host": url,
        "namespace": "space",
        "customization_config": "meta/llama@v1+A100",
        "poll_interval_seconds": 0.01,
    } | settings


def collection(examples: int, run_id: str = "run", pairs: int = 3) -> TrajectoryCollection:
    """Pairs of examples, each with three siblings."""
    return TrajectoryCollection(
        run_id=run_id,
        trajectories=[
            [
                Trajectory(
                    episode=[
                        DPOItem(
                            prompt=[
                                OpenAIMessage(role="system", content="be good"),
                                OpenAIMessage(role="user", content=f"question {example}"),
                            ],
                            chosen_response=f"good {pair} é\u2028",
                            rejected_response=f"bad {pair}",
                        )
                    ],
                    reward=1.0,
                    metadata={"example_id": f"example {example}"},
                )
                for pair in range(pairs)
            ]
            for example in range(examples)
        ],
    )


def submitted(adapter: Any, data: TrajectoryCollection) -> Any:
    async def both() -> Any:
        await adapter.initialize(FinetuneConfig())
        return await adapter.submit(data)

    return asyncio.run(both())


def rows_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


@pytest.mark.parametrize("whole", [True, False])
def test_the_services_get_what_the_toolkit_sends(whole: bool) -> None:
    """The same rows and the same job, in two files at the same paths; the split is another."""
    sent: list[tuple[Any, Any, Any]] = []
    for kind, config in (
        (NeMoCustomizerTrainerAdapter, toolkit.NeMoCustomizerTrainerAdapterConfig),
        (CustomizerAdapter, CustomizerAdapterConfig),
    ):
        with NemoServices() as server:
            # The toolkit cannot upload without a token, which is its default: its client refuses.
            settings = given(server.url, use_full_message_history=whole, hf_token="token")
            adapter = kind(config(**settings))
            ref = submitted(adapter, collection(20))
            (files,) = server.repositories.values()
            rows = [row for path in (TRAINING, VALIDATION) for row in rows_of(files[path])]
            (job,) = server.bodies("POST", "/v1/customization/jobs")
            (entry,) = server.datasets.values()
            assert job.pop("dataset")["name"] == entry["name"] == ref.metadata["dataset_name"]
            assert entry["files_url"] == f"hf://datasets/space/{entry['name']}"
            sent.append((sorted(map(repr, rows)), job, (ref.backend, ref.metadata["job_id"])))
            if isinstance(adapter, NeMoCustomizerTrainerAdapter):
                adapter.entity_client.close()  # Nobody else does.
    assert sent[0] == sent[1]


def test_large_files_go_through_lfs_which_the_data_store_knows(nemo: NemoServices) -> None:
    """The client would send them to the public hub's own storage, were they given by name."""
    nemo.large = True
    submitted(adapter_of(nemo.url), collection(20))
    (files,) = nemo.repositories.values()
    assert len(nemo.objects) == 2
    assert sum(len(rows_of(data)) for data in files.values()) == 60


def test_D7_an_examples_pairs_are_on_one_side(nemo: NemoServices) -> None:
    ref = submitted(adapter_of(nemo.url), collection(50))
    files = nemo.repositories[f"space/{ref.metadata['dataset_name']}"]
    sides = [{row["prompt"] for row in rows_of(files[path])} for path in (TRAINING, VALIDATION)]
    assert sides[0] | sides[1] == {f"question {n}" for n in range(50)}
    assert not sides[0] & sides[1]
    assert 4 <= len(sides[1]) <= 18
    counts = ref.metadata["training_pairs"], ref.metadata["validation_pairs"]
    assert counts == (3 * len(sides[0]), 3 * len(sides[1]))
    assert sides[1] == {f"question {n}" for n in range(50) if is_held_out(f"example {n}")}


def test_D7_one_example_has_no_validation_file_and_says_so(
    nemo: NemoServices, caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    for example in range(30):  # Whatever side its hash is on.
        data = collection(1)
        for one in data.trajectories[0]:
            one.metadata = {"example_id": str(example)}
        assert write_files(folder / str(example), data, whole_history=False) == {TRAINING: 3}
        assert [path.name for path in (folder / str(example)).iterdir()] == ["training_file.jsonl"]
    submitted(adapter_of(nemo.url), data)
    assert [list(files) for files in nemo.repositories.values()] == [[TRAINING]]
    assert "no validation file" in caplog.text


def test_D7_each_run_has_its_own_data_set(nemo: NemoServices) -> None:
    for run_id in ("run 1", "run 2"):
        submitted(adapter_of(nemo.url), collection(10, run_id))
    assert len(nemo.repositories) == len(nemo.datasets) == 2
    assert [len(added) for _, added in nemo.commits] == [2, 2]


def test_trajectories_without_pairs_are_an_error_and_free_the_run(nemo: NemoServices) -> None:
    adapter = adapter_of(nemo.url)
    with pytest.raises(InputError, match="nothing to train on"):
        submitted(adapter, TrajectoryCollection(run_id="run", trajectories=[]))
    assert submitted(adapter, collection(5)).metadata["job_id"] == "cust-0"


def test_files_are_kept_where_that_is_wanted(nemo: NemoServices, folder: Path) -> None:
    adapter = adapter_of(nemo.url, dataset_output_dir=str(folder / "kept"))
    submitted(adapter, collection(20, "../../out"))
    (kept,) = (folder / "kept").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == [
        "training_file.jsonl", "validation_file.jsonl"
    ]  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_an_empty_token_does_not_send_the_users_own(
    nemo: NemoServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    submitted(adapter_of(nemo.url), collection(5))
    assert "hf_secret" not in repr(nemo.requests)
    adapter = adapter_of(nemo.url, hf_token="for-the-store")
    submitted(adapter, collection(5, "other"))
    sent = [r.headers.get("Authorization") for r in nemo.requests if "/v1/hf" in r.path]
    assert sent[-1] == "Bearer for-the-store"
    assert "for-the-store" not in repr(adapter.config)


def test_D7_the_health_check_asks(nemo: NemoServices, caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(adapter_of(nemo.url).is_healthy())
    assert not asyncio.run(adapter_of("http://127.0.0.1:9").is_healthy())
    for broken, status in (("GET /v1/customization", 401), ("GET /v1/datastore", 503)):
        nemo.broken = {broken: status}
        assert not asyncio.run(adapter_of(nemo.url).is_healthy())
        assert str(status) in caplog.text
    adapter = adapter_of(nemo.url)
    with pytest.raises(ServiceError, match="answers 503"):
        asyncio.run(adapter.initialize(FinetuneConfig()))


def test_namespaces_are_made_once_and_only_where_wanted(nemo: NemoServices) -> None:
    for wanted in (False, True, True):
        adapter = adapter_of(nemo.url, create_namespace_if_missing=wanted)
        asyncio.run(adapter.initialize(FinetuneConfig()))
        assert nemo.namespaces == nemo.stores == ({"space"} if nemo.namespaces else set())
    assert nemo.namespaces == {"space"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("POST /v1/namespaces", "cannot be made in the entity store"),
        ("POST /v1/datastore/namespaces", "cannot be made in the data store"),
        ("POST /v1/hf/api/repos/create", "cannot be uploaded"),
        ("POST /v1/hf/api/datasets/space/nat-dpo-run/commit", "cannot be uploaded"),
        ("POST /v1/datasets", "cannot be registered"),
        ("POST /v1/customization/jobs", "no job was confirmed"),
    ],
)
def test_what_a_service_refuses_is_said_and_the_run_is_free(
    nemo: NemoServices, broken: str, said: str
) -> None:
    nemo.broken = {broken: 403}
    adapter = adapter_of(nemo.url)
    with pytest.raises(ServiceError, match=said):
        submitted(adapter, collection(5))
    assert nemo.jobs == []
    nemo.broken = {}
    assert submitted(adapter, collection(5)).metadata["job_id"] == "cust-0"


def test_a_job_is_asked_for_once_though_its_answer_is_lost(nemo: NemoServices) -> None:
    nemo.broken = {"POST /v1/customization/jobs": 502}
    with pytest.raises(ServiceError, match="no job was confirmed"):
        submitted(adapter_of(nemo.url), collection(5))
    assert len(nemo.bodies("POST", "/v1/customization/jobs")) == 1


def test_a_store_that_never_answers_is_given_up(
    nemo: NemoServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "UPLOAD_SECONDS", 0.3)
    nemo.broken = {"POST /v1/hf": None}
    with pytest.raises(ServiceError, match=r"not uploaded to .* within 0.3 s"):
        submitted(adapter_of(nemo.url), collection(5))


def test_a_run_with_a_job_is_refused_until_it_ended(nemo: NemoServices) -> None:
    adapter = adapter_of(nemo.url)
    ref = submitted(adapter, collection(5))
    with pytest.raises(UsageError, match="'run' has a job"):
        submitted(adapter, collection(5))
    waited(adapter, ref)
    submitted(adapter, collection(5))


def waited(adapter: CustomizerAdapter, ref: Any) -> Any:
    return asyncio.run(adapter.wait_until_complete(ref))


def job(nemo: NemoServices, *statuses: Any, **settings: Any) -> tuple[CustomizerAdapter, Any]:
    nemo.statuses = list(statuses)
    adapter = adapter_of(nemo.url, **settings)
    return adapter, submitted(adapter, collection(5))


def test_a_job_is_watched_to_its_end(nemo: NemoServices, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    half = {"status": "running", "percentage_done": 50.0, "epochs_completed": 1}
    end = waited(*job(nemo, "created", "pending", half, "cancelling", "completed"))
    assert (end.status, end.metadata["nemo_status"]) == (TrainingStatusEnum.COMPLETED, "completed")
    assert "Status: running, Epochs: 1, 50.0 %" in caplog.text


@pytest.mark.parametrize("trouble", [500, 404, "unknown", "surprised"])
def test_transient_trouble_is_borne_and_lasting_trouble_is_an_error(
    nemo: NemoServices, trouble: Any
) -> None:
    lines = ["running", trouble, trouble, "running", trouble, trouble, "completed"]
    if trouble == 500:  # The client itself asks three times.
        lines = [one for one in lines for _ in range(3 if one == 500 else 1)]
    assert waited(*job(nemo, *lines)).status == TrainingStatusEnum.COMPLETED
    adapter, ref = job(nemo, "running", trouble, max_consecutive_status_failures=2)
    nemo.reported.clear()
    with pytest.raises(ServiceError, match=r"2 times in a row. The job may still be running"):
        waited(adapter, ref)


def test_a_status_that_never_comes_is_an_error(
    nemo: NemoServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "SECONDS", 0.2)
    adapter, ref = job(nemo, None, max_consecutive_status_failures=1)
    began = time.monotonic()
    with pytest.raises(ServiceError, match="is unknown"):
        waited(adapter, ref)
    assert time.monotonic() - began < 20


def test_D7_a_failed_job_is_an_error_that_says_why(nemo: NemoServices) -> None:
    log = [{"updated_at": "2026-01-01T00:00:00Z", "message": "out of memory", "detail": "step 3"}]
    adapter, ref = job(nemo, "running", {"status": "failed", "status_logs": log})
    with pytest.raises(ServiceError, match=r"cust-0 of run 'run' failed.*out of memory, step 3"):
        waited(adapter, ref)
    asked = asyncio.run(adapter.status(ref))
    assert asked.status == TrainingStatusEnum.FAILED


def test_a_canceled_job_has_that_status(nemo: NemoServices) -> None:
    assert waited(*job(nemo, "cancelled")).status == TrainingStatusEnum.CANCELED
    with pytest.raises(ServiceError, match="was canceled, and nothing is deployed"):
        nemo.reported.clear()
        adapter = adapter_of(nemo.url, deploy_on_completion=True)
        waited(adapter, submitted(adapter, collection(5, "other")))


def test_a_status_that_is_unknown_is_no_status(nemo: NemoServices) -> None:
    adapter, ref = job(nemo, 404)
    with pytest.raises(ServiceError, match="the status of job cust-0 is unknown"):
        asyncio.run(adapter.status(ref))
    with pytest.raises(UsageError, match="has no job"):
        asyncio.run(adapter.status(TrainingJobRef(run_id="r", backend="b")))


def test_a_trained_model_is_deployed_and_waited_for(nemo: NemoServices) -> None:
    nemo.deployment = ["created", 500, 500, 500, "running", "ready"]
    wanted = {"image_name": "image", "gpu": 2}
    adapter, ref = job(nemo, "completed", deploy_on_completion=True, deployment_config=wanted)
    assert waited(adapter, ref).status == TrainingStatusEnum.COMPLETED
    (config,) = nemo.bodies("POST", "/v1/deployment/configs")
    assert config["nim_deployment"] == {"image_name": "image", "image_tag": "latest", "gpu": 2}
    assert (config["model"], config["name"]) == ("space/model@1", "nat-deploy-config-run")
    assert list(nemo.deployments) == ["space/nat-deployment-run"]


@pytest.mark.parametrize(
    ("reported", "said"),
    [("failed", "is failed: as told"), ("pending", "not ready within 0.3 s.*pending")],
)
def test_a_deployment_that_is_not_ready_is_an_error(
    nemo: NemoServices, reported: str, said: str
) -> None:
    nemo.deployment = [reported]
    wanted = {"deploy_on_completion": True, "deployment_timeout_seconds": 0.3}
    with pytest.raises(ServiceError, match=said):
        waited(*job(nemo, "completed", **wanted))


def test_without_an_output_model_nothing_is_deployed_and_that_is_said(nemo: NemoServices) -> None:
    nemo.output_model = None
    with pytest.raises(ServiceError, match="names no output model"):
        waited(*job(nemo, "completed", deploy_on_completion=True))


def test_the_adapters_log_keeps_path_name_and_fields(nemo: NemoServices, folder: Path) -> None:
    ref = TrainingJobRef(run_id="run", backend="nemo-customizer")
    config = toolkit.NeMoCustomizerTrainerAdapterConfig(**given(nemo.url))
    for one in (NeMoCustomizerTrainerAdapter(config), adapter_of(nemo.url)):
        one.log_progress(ref, {"loss": 0.5})
    (path,) = (folder / ".tmp/nat/finetuning/trainer_adapter").iterdir()
    assert path.name == "nemo_customizer_run.jsonl"
    other, mine = (json.loads(line) for line in path.read_text().splitlines())
    assert list(mine) == list(other)
    assert mine | {"timestamp": ""} == other | {"timestamp": ""}
