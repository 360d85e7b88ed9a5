"""Sets from the hub: the call, with a stand-in for the hub's package."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.bench.catalog import DATASETS
from plaudit.bench.datasets import load_dataset
from plaudit.errors import ArgumentError, InputError, MissingDependencyError, UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROW = {
    "pair_id": "p", "source": "mmlu-pro-law", "question": "1 + 1?", "response_model": "m",
    "response_A": "3", "response_B": "2", "label": "B>A",
}  # fmt: skip


class Hub:
    """Answers as `huggingface_hub` does, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[dict[str, Any]] = []
        self.looked_up: list[tuple[str, str | None]] = []
        self.HfApi = lambda: SimpleNamespace(dataset_info=self.dataset_info)

    def dataset_info(self, repo: str, revision: str | None = None) -> Any:
        self.looked_up.append((repo, revision))
        if revision == "gone":
            raise OSError("Revision Not Found for url.\nmore of it")
        return SimpleNamespace(sha=COMMIT)

    def snapshot_download(self, repo: str, **options: Any) -> str:
        self.asked.append({"repo": repo, **options})
        return str(self.folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gpt-00000-of-00001.jsonl").write_text(json.dumps(ROW))
    stand_in = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)  # type: ignore[arg-type]
    return stand_in


def test_a_set_is_fetched_at_the_commit_that_is_newest_now(hub: Hub) -> None:
    rows = load_dataset("judgebench")
    assert rows.source == f"ScalerLab/JudgeBench@{COMMIT}"
    assert [row["id"] for row in rows] == ["p"]
    assert hub.looked_up == [("ScalerLab/JudgeBench", None)]
    assert hub.asked == [
        {"repo": "ScalerLab/JudgeBench", "repo_type": "dataset", "revision": COMMIT,
         "allow_patterns": ["data/*.jsonl"]}
    ]  # fmt: skip


def test_a_branch_is_looked_up_and_a_commit_is_not(hub: Hub) -> None:
    load_dataset("judgebench", revision="main")
    assert hub.looked_up == [("ScalerLab/JudgeBench", "main")]
    other = COMMIT[::-1]
    assert load_dataset("judgebench", revision=other).source.endswith(other)
    assert len(hub.looked_up) == 1


def test_the_commit_of_the_table_is_taken_without_looking(hub: Hub) -> None:
    pinned = DATASETS["rewardbench"].hub
    assert pinned is not None
    with pytest.raises(InputError, match="holds no file of RewardBench"):
        load_dataset("rewardbench")
    assert hub.asked[0]["revision"] == pinned.revision
    assert hub.looked_up == []


def test_what_cannot_be_fetched_is_named_with_what_to_do(hub: Hub) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset("judgebench", revision="gone")
    assert str(caught.value) == (
        "ScalerLab/JudgeBench (gone) cannot be fetched from the Hugging Face hub: Revision Not "
        "Found for url. Check the revision and the network, or download the files and give their "
        "folder"
    )


def test_a_set_that_is_not_on_the_hub_says_where_it_is() -> None:
    with pytest.raises(UsageError, match="EVOUNA is not on the hub; it is in the repository wang"):
        load_dataset("evouna")
    with pytest.raises(UsageError, match="rows of your own is not on the hub"):
        load_dataset("own", kind="verify")


def test_a_revision_is_for_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="revision is for the hub"):
        load_dataset("judgebench", tmp_path, revision="main")


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"plaudit\[hf\]"):
        load_dataset("judgebench")
