"""The table of published sets: what each is, how to get it, how it is read, what its score is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from plaudit.bench import formats
from plaudit.bench.dialogues import read_dialogues
from plaudit.bench.formats import Entry, Row
from plaudit.io.sources import RowReader

Source = tuple[str, Path]
"""The name of a subset, and its file."""


class FoundRow(NamedTuple):
    """One entry of a published file, as it stands there."""

    where: str
    data: Mapping[str, Any]


class HubSource(NamedTuple):
    """Where a set stands on the Hugging Face hub."""

    repo: str
    files: tuple[str, ...]
    """Patterns of the files to fetch."""
    revision: str | None = None
    """Commit that is fetched unless another is asked for; None: the newest one, whose commit is
    looked up first."""


def _json_entries(path: Path) -> Iterator[FoundRow]:
    with RowReader(path, strict=True) as entries:
        for entry in entries:
            assert entry.data is not None  # strict
            yield FoundRow(entry.where, entry.data)


def _dialogues(path: Path) -> Iterator[FoundRow]:
    for dialogue in read_dialogues(path):
        yield FoundRow(f"{path}: line {dialogue.line}", {"turns": dialogue.turns})


class DatasetFormat(NamedTuple):
    """What one set is, and how it is read."""

    kind: str
    """The judge that its rows are for; empty: the caller names it."""
    title: str
    licence: str
    get: str
    """How to get it, in one sentence."""
    score: str
    """How its published score is computed, in one sentence."""
    fields: str
    """What an entry holds, for the message when one does not."""
    find: Callable[[Path], Sequence[Source]]
    """Finds the files of the set in a folder."""
    read: Callable[[Entry], Iterator[Row]]
    signature: frozenset[str] = frozenset()
    """Fields by which an entry is recognised, for the message about a file of another set."""
    hub: HubSource | None = None
    options: frozenset[str] = frozenset()
    entries: Callable[[Path], Iterator[FoundRow]] = _json_entries
    """Reads the entries of a file."""


def looks_like(data: Mapping[str, Any]) -> str | None:
    """Return the name of the set that an entry is from; None: no set has its fields."""
    matches = [
        (len(form.signature), name)
        for name, form in DATASETS.items()
        if form.signature and form.signature <= data.keys()
    ]
    if matches:
        return max(matches)[1]
    is_bias = bool(data) and all(_is_pairs(part) for part in data.values())
    return "biasbench" if is_bias else None


def _is_pairs(part: Any) -> bool:
    """Whether this is the list of one bias of EvalBiasBench."""
    first: Any = next(iter(cast("list[Any]", part)), None) if isinstance(part, list) else None
    return isinstance(first, dict) and "response1" in first


# Where the files of a set are


def subset_of(path: Path) -> str:
    """Name the subset that a file holds: the file's name, or that of its folder."""
    if path.stem != "dataset":
        return path.stem
    parents = [p.name.lower() for p in (path.parent.parent, path.parent)]
    return "_".join(parents if parents[0] == "adversarial" else parents[1:])


def _llmbar_files(folder: Path) -> list[Source]:
    """Find LLMBar's own layout, a `dataset.json` a subset, or a file a subset."""
    files = sorted(folder.rglob("dataset.json")) or sorted(folder.glob("*.json"))
    return [(subset_of(file), file) for file in files]


def _files_named(*patterns: str) -> Callable[[Path], list[Source]]:
    def find(folder: Path) -> list[Source]:
        found = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
        return [(subset_of(file), file) for file in found]

    return find


def _first_named(*patterns: str) -> Callable[[Path], list[Source]]:
    """Find the files of the first pattern that has any: a set in one form, not in two."""

    def find(folder: Path) -> list[Source]:
        for pattern in patterns:
            if found := _files_named(pattern)(folder):
                return found
        return []

    return find


def _places(name: str) -> list[str]:
    """Return where files of a name may be, in each form, the published one first."""
    forms = ("parquet", "jsonl", "json")
    return [f"{folder}{name}.{form}" for folder in ("", "data/") for form in forms]


def _rmbench_files(folder: Path) -> list[Source]:
    """Find the file of the whole set, or those of its domains, which together hold the same."""
    names = "total_dataset.json", "data/total_dataset.json", "*_filtered.json"
    return _first_named(*names, "data/*_filtered.json")(folder)


def _folder_itself(folder: Path) -> list[Source]:
    return [(folder.name, folder)]


DATASETS: Mapping[str, DatasetFormat] = {
    "rewardbench": DatasetFormat(
        kind="pairwise",
        title="RewardBench",
        licence="ODC-BY",
        get="on the hub as allenai/reward-bench (the split filtered)",
        score="mean of four sections, in which each subset weighs as many examples as it has "
        "and math-prm as much as all code; a tie or no verdict counts half",
        fields="prompt, chosen, rejected and subset",
        find=_first_named(*_places("filtered*")),
        read=formats.read_rewardbench,
        signature=frozenset({"prompt", "chosen", "rejected", "subset"}),
        hub=HubSource(
            "allenai/reward-bench",
            ("data/filtered*.parquet",),
            "b66ed46e9421b622069add1c1cc427f13c4bfd4c",
        ),
    ),
    "rewardbench2": DatasetFormat(
        kind="pairwise",
        title="RewardBench 2",
        licence="ODC-BY",
        get="on the hub as allenai/reward-bench-2",
        score="mean over six subsets: the share of items whose chosen response beats all three "
        "others, a tie of k counting 1/k; Ties by accuracy and margins of its scores",
        fields="id, prompt, chosen (a list), rejected (a list), num_correct and subset",
        find=_first_named(*_places("test*")),
        read=formats.read_rewardbench2,
        signature=frozenset({"prompt", "chosen", "rejected", "subset", "num_correct"}),
        hub=HubSource("allenai/reward-bench-2", ("data/test*.parquet",)),
    ),
    "judgebench": DatasetFormat(
        kind="pairwise",
        title="JudgeBench",
        licence="MIT",
        get="in the repository ScalerLab/JudgeBench (data/*.jsonl), and on the hub as "
        "ScalerLab/JudgeBench",
        score="share of pairs with more orders for the right side than against it; an order "
        "without a decision is for neither",
        fields="pair_id, source, question, response_model, response_A, response_B and label",
        find=_first_named(*_places("*")),
        read=formats.read_judgebench,
        signature=frozenset({"pair_id", "question", "response_A", "response_B", "label"}),
        hub=HubSource("ScalerLab/JudgeBench", ("data/*.jsonl",)),
    ),
    "rmbench": DatasetFormat(
        kind="pairwise",
        title="RM-Bench",
        licence="ODC-BY",
        get="on the hub as THU-KEG/RM-Bench (total_dataset.json)",
        score="mean over chat, math, code and safety of easy, normal and hard: the share of "
        "chosen styles that are strictly preferred to each rejected style",
        fields="id, prompt, chosen (three styles), rejected (three styles) and domain",
        find=_rmbench_files,
        read=formats.read_rmbench,
        signature=frozenset({"prompt", "chosen", "rejected", "domain"}),
        hub=HubSource("THU-KEG/RM-Bench", ("total_dataset.json",)),
    ),
    "llmbar": DatasetFormat(
        kind="pairwise",
        title="LLMBar",
        licence="MIT",
        get="in the repository princeton-nlp/LLMBar (Dataset/LLMBar)",
        score="share of right decisions over both orders of all pairs; a tie counts half",
        fields="input, output_1, output_2 and label (1 or 2)",
        find=_llmbar_files,
        read=formats.read_llmbar,
        signature=frozenset({"input", "output_1", "output_2", "label"}),
    ),
    "pandalm": DatasetFormat(
        kind="pairwise",
        title="the test set of PandaLM",
        licence="Apache-2.0",
        get="in the repository WeOpenML/PandaLM (data/testset-v1.json)",
        score="share of pairs whose majority of three annotators, ties included, the judge has",
        fields="instruction, input, response1, response2, cmp_key and annotator1 to annotator3",
        find=_files_named("testset-v1.json"),
        read=formats.read_pandalm,
        signature=frozenset({"instruction", "response1", "response2", "annotator1"}),
        options=frozenset({"unanimous"}),
    ),
    "biasbench": DatasetFormat(
        kind="pairwise",
        title="EvalBiasBench",
        licence="BSD-3-Clause",
        get="in the repository ncsoft/offsetbias (data/evalbiasbench/biasbench.json)",
        score="share of right decisions over both orders of all pairs; a tie counts half",
        fields="by bias, lists of instruction, response1, response2 and label (1 or 2)",
        find=_files_named("biasbench.json"),
        read=formats.read_biasbench,
    ),
    "evouna": DatasetFormat(
        kind="verify",
        title="EVOUNA",
        licence="Apache-2.0",
        get="in the repository wangcunxiang/QA-Eval (NQ.json, TQ.json)",
        score="share of answers that the judge and people call the same, over all systems; no "
        "verdict counts as wrong",
        fields="question, golden_answer, improper, and answer_X and judge_X of each system X",
        find=_files_named("NQ.json", "TQ.json"),
        read=formats.read_evouna,
        signature=frozenset({"question", "golden_answer", "improper"}),
    ),
    "uss": DatasetFormat(
        kind="feedback",
        title="user-satisfaction-simulation",
        licence="none",
        get="in the repository sunnweiwei/user-satisfaction-simulation (dataset/*.txt)",
        score="AUROC: chance that a reaction that people rate positive scores above a negative "
        "one; the authors, whose judges rate from 1 to 5, have another score",
        fields="dialogues of lines ROLE, text, action and ratings, with tabs between them",
        find=_first_named("*.txt", "dataset/*.txt"),
        read=formats.read_uss,
        entries=_dialogues,
    ),
    "own": DatasetFormat(
        kind="",
        title="rows of your own",
        licence="yours",
        get="any file of rows with a label",
        score="share of rows whose label the judge gives: a tie counts half, and what it withholds "
        "or fails to say as wrong; AUROC where the labels are only positive and negative",
        fields="label, and what the judge reads",
        find=_folder_itself,
        read=formats.read_own,
        options=frozenset({"kind", "group"}),
    ),
}
"""The sets that can be read, by name."""
